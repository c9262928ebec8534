"""Finds keys that would outlive their jobs: whatever is not permanent by list must have a TTL within its bound.

Called by fixtures after each test (or module) that had a Redis, and by the state machine after each of its runs.
"""

from __future__ import annotations

from typing import cast

from simpledist import policy
from simpledist.broker import Keys, Link
from simpledist.broker.keys import PERMANENT
from tests.links import open_link

_TIMES = policy.TIMINGS
BOUND_SECONDS: dict[str, float] = {
    "queue": _TIMES.unfinished_ttl_seconds,
    "queued": _TIMES.unfinished_ttl_seconds,
    "current": _TIMES.unfinished_ttl_seconds,
    "meta": _TIMES.unfinished_ttl_seconds,  # of a lane that is not the plain one
    "held": _TIMES.unfinished_ttl_seconds,
    "code": _TIMES.unfinished_ttl_seconds,
    "job": _TIMES.unfinished_ttl_seconds,
    "call": _TIMES.unfinished_ttl_seconds,
    "control": _TIMES.control_ttl_seconds,
    "given": _TIMES.control_ttl_seconds,
    "connections": _TIMES.ended_ttl_seconds,
    "demand": _TIMES.control_ttl_seconds,
    "suspects": _TIMES.control_ttl_seconds,
    "rollcall": _TIMES.control_ttl_seconds,
    "result": _TIMES.ended_ttl_seconds,
    "staged_result": _TIMES.ended_ttl_seconds,
    "slices": _TIMES.ended_ttl_seconds,
    "archive": policy.ARCHIVE_SECONDS,
    "blob": policy.BLOB_SECONDS,
    "blobs": policy.BLOB_SECONDS,
    "reply": _TIMES.ended_ttl_seconds,
    "history": policy.HISTORY_MINUTES * 60,
    "recent": policy.HISTORY_MINUTES * 60,
    "failures": policy.HISTORY_MINUTES * 60,
    "pulse": policy.HISTORY_MINUTES * 60,
    "join": _TIMES.unfinished_ttl_seconds,
    "kept": policy.CACHED_SECONDS,
    "cached": policy.CACHED_SECONDS,
    "cached_bytes": policy.CACHED_SECONDS,
}
OF_A_JOB = ("job", "call")
ENDED = (b"succeeded", b"failed", b"cancelled")


def no_key_stays(url: str, namespace: str = "simpledist") -> None:
    """Fails where the Redis at `url` holds a key that it should not."""
    with open_link(url) as link:
        leaks = key_leaks(link, Keys(namespace))
    assert not leaks, "\n".join(leaks)


def key_leaks(link: Link, keys: Keys, *, but: str = "") -> list[str]:
    """A sentence for each key that is not ours, lacks a TTL or has one over its bound; none for the key `but`."""
    names = [name for name in _scan(link) if name != but]
    ended = _ended(link, keys, names)  # first: what ends meanwhile has the shorter TTL by then
    ttls = link.pipeline([("PTTL", name) for name in names]) if names else []
    leaks: list[str] = []
    for name, ttl in zip(names, ttls, strict=True):
        template = keys.template_of(name)
        if template is None:
            leaks.append(f"{name}: built from no template of keys.py")
        elif (template not in PERMANENT or keys.is_of_other_lane(name)) and ttl != -2:
            bound = BOUND_SECONDS[template]
            if name in ended:
                bound = _TIMES.ended_ttl_seconds
            if ttl < 0:
                leaks.append(f"{name}: has no TTL")
            elif ttl > bound * 1000:
                leaks.append(f"{name}: lives {ttl / 1000:.0f} s, {bound:.0f} s at most were right")
    return leaks


def _scan(link: Link) -> list[str]:
    names: set[bytes] = set()
    cursor = b"0"
    while True:
        cursor, page = cast("tuple[bytes, list[bytes]]", link.call("SCAN", cursor, "COUNT", 1000))
        names.update(page)
        if int(cursor) == 0:
            return sorted(name.decode() for name in names)


def _ended(link: Link, keys: Keys, names: list[str]) -> set[str]:
    """Return those of the names that belong to a job which has ended."""
    of_jobs = [name for name in names if keys.template_of(name) in OF_A_JOB]
    ids = [name[len(keys.prefix) :].split(":")[1] for name in of_jobs]
    states = link.pipeline([("HGET", keys.named("job", id), "state") for id in ids]) if ids else []
    return {name for name, state in zip(of_jobs, states, strict=True) if state in ENDED}
