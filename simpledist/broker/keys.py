"""Every key in Redis, built here and nowhere else.

`TEMPLATES` is the one table: Python builds names from it, the keys in Lua are written out from it (scripts.py), and a
test holds docs/redis-keys.md against it.
"""

from __future__ import annotations

TEMPLATES: dict[str, str] = {
    # permanent
    "functions": "functions",
    "workers": "workers",
    "heartbeats": "heartbeats",
    "clients": "clients",
    "epoch": "epoch",
    "offers": "offers:{function}",
    "meta": "meta:{function}",  # and of each lane that is not the plain one, with a TTL
    "lanes": "lanes:{function}",
    "active": "active",
    "vitals": "vitals",
    # with a TTL, renewed at each write
    "queue": "queue:{lane}",
    "queued": "queued:{lane}",
    "current": "current:{lane}",
    "held": "held:{worker}",
    "code": "code:{worker}",
    "control": "control:{worker}",
    "connections": "connections",
    "demand": "demand",
    "suspects": "suspects",
    "rollcall": "rollcall",
    "job": "job:{id}",
    "call": "data:{id}:call",
    "result": "data:{id}:result",
    "staged_result": "data:{id}:staged",
    "slices": "data:{id}:slices",
    "reply": "reply:{client}",
    "archive": "data:{sha256}:archive",
    "blob": "data:{sha256}:blob",
    "blobs": "blobs",
    "given": "data:{worker}:given",
    "history": "history:{function}",
    "recent": "recent:{function}",
    "failures": "failures:{function}",
    "pulse": "pulse:{hour}",
    "join": "join:{address}",
    "kept": "data:{address}:cached",
    "cached": "cached:{function}",
    "cached_bytes": "cached_bytes",
}

PERMANENT = frozenset(
    {"functions", "workers", "heartbeats", "vitals", "clients", "epoch", "active", "offers", "meta", "lanes"}
)
SEALED = frozenset(
    {"call", "result", "staged_result", "slices", "reply", "given", "kept", "archive", "blob"}
)  # bytes: who only looks may not read them
# Fields of meta:{function} that are no counters: statistics leave them out.
NOT_COUNTED = frozenset(
    {
        "stamp",
        "reaped",
        "checked",
        "witness",
        "minute",
        "wanted",
        "wanted_tags",
        "idle",
        "disabled",
        "protocol_sent_at",
        "other_code_sent_at",
        "unmet",
    }
)


class Keys:
    """The key names of one namespace."""

    def __init__(self, namespace: str = "simpledist") -> None:
        self.namespace = namespace
        self.prefix = namespace + ":"
        self.functions = self.prefix + TEMPLATES["functions"]
        self.workers = self.prefix + TEMPLATES["workers"]
        self.heartbeats = self.prefix + TEMPLATES["heartbeats"]
        self.clients = self.prefix + TEMPLATES["clients"]
        self.epoch = self.prefix + TEMPLATES["epoch"]
        self.connections = self.prefix + TEMPLATES["connections"]
        self.suspects = self.prefix + TEMPLATES["suspects"]
        self.rollcall = self.prefix + TEMPLATES["rollcall"]
        self.active = self.prefix + TEMPLATES["active"]
        self.blobs = self.prefix + TEMPLATES["blobs"]
        self.vitals = self.prefix + TEMPLATES["vitals"]
        self.demand = self.prefix + TEMPLATES["demand"]

    def named(self, template: str, part: str) -> str:
        """Return the key of `template` ("queue", "job", ...) for one function, lane, worker, client, job id or hour."""
        head, _, tail = TEMPLATES[template].partition("{")
        return self.prefix + head + part + tail.partition("}")[2]

    def queue(self, lane: str) -> str:
        return self.named("queue", lane)

    def control(self, worker: str) -> str:
        return self.named("control", worker)

    def given(self, worker: str) -> str:
        return self.named("given", worker)

    def code(self, worker: str) -> str:
        return self.named("code", worker)

    def reply(self, client: str) -> str:
        return self.named("reply", client)

    def is_of_other_lane(self, key: str) -> bool:
        """Return whether a key belongs to a lane that is not the plain one of its function: such a key has a TTL."""
        return any(mark in key[len(self.prefix) :] for mark in "+~!")

    def template_of(self, key: str) -> str | None:
        """Return the template that a key was built from, or None if it is not one of ours."""
        if not key.startswith(self.prefix):
            return None
        rest = key[len(self.prefix) :]
        for name, template in TEMPLATES.items():
            head, brace, tail = template.partition("{")
            tail = tail.partition("}")[2]
            if not brace:
                if rest == template:
                    return name
            elif rest.startswith(head) and rest.endswith(tail) and (tail or rest.count(":") <= head.count(":")):
                return name
        return None
