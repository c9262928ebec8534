"""Reads what `simpledist doctor` judges, from Redis and from this machine; judges nothing.

Reads text and names of keys, never a call or a result, and sends no command that the dashboard's user may not use: a
refused attempt would itself stand in ACL LOG. Only as the user `default`, who may usually do everything, it asks more.
"""

from __future__ import annotations

import os
import stat
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from simpledist.broker import Keys, Link
from simpledist.broker.keys import PERMANENT, SEALED
from simpledist.broker.sentinel import Sentinels
from simpledist.config import Config, on_this_machine
from simpledist.config.sentinel_url import names_sentinels
from simpledist.errors import ConfigurationError, OperatorError, RedisRefused
from simpledist.monitor import Dropped, Failure, Monitor, Snapshot, Tally
from simpledist.monitor.rows import finite
from simpledist.wire import key_file, user_key

PINGS = 15
SCAN_PAGE = 1000
SCAN_PAGES = 100
CLIENTS_MOST = 10_000
LOG_SECONDS = 3600.0
RECENT_MINUTES = 10  # local runs within them are reported


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Keys of our namespace that would stay for ever; `complete` is False where there were too many to read all."""

    foreign: tuple[str, ...]  # built from no template
    immortal: tuple[str, ...]  # without the TTL that they should have
    looked_at: int
    complete: bool


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file with a key or token; `trouble` says in one line why it cannot be used. `ids`: of its keys."""

    path: str
    open_to_others: bool
    trouble: str = ""
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that one look found; None where it could not be read."""

    snapshot: Snapshot
    info: dict[str, str] = field(default_factory=dict[str, str])
    latency_seconds: float | None = None
    skew_seconds: float | None = None  # how far this machine's clock is ahead of Redis'
    user: str | None = None
    protocols: dict[int, int] = field(default_factory=dict[int, int])  # that clients speak -> how many do
    recent: Mapping[str, Tally] = field(default_factory=dict[str, Tally])  # function -> its last RECENT_MINUTES
    dropped: tuple[Dropped, ...] = ()  # elements of Redis that no process of ours writes
    failures: tuple[Failure, ...] = ()  # in groups, the latest first
    refusals: tuple[str, ...] = ()  # of ACL LOG, to connections of ours, in the last hour
    leftovers: Leftovers | None = None
    key_file: SecretFile | None = None
    token_file: SecretFile | None = None
    sentinels: tuple[tuple[str, str, str], ...] = ()  # each with the primary that it names, or what is wrong


def gather(config: Config) -> Facts:
    """Read Redis and the files that are named; never raise for what is wrong with either."""
    monitor = Monitor.connect(config.url, config.namespace)
    first = Facts(
        monitor.snapshot(),
        recent=monitor.last(RECENT_MINUTES),
        failures=monitor.failures(),
        key_file=_key_file(config),
        token_file=_token_file(os.environ.get("SIMPLEDIST_WEB_TOKEN_FILE")),
        sentinels=_sentinels(config.url),
    )
    first = replace(first, dropped=monitor.dropped())
    monitor.close()
    if not first.snapshot.redis.ok:
        return first
    link = Link(config.url, name="simpledist-doctor")
    try:
        link.connect()
        user = _text(_try(link, "ACL", "WHOAMI"))
        return replace(
            first,
            info=_info(_try(link, "INFO")),
            latency_seconds=_latency(link),
            skew_seconds=_skew(link),
            user=user,
            protocols=_protocols(_try(link, "HSCAN", Keys(config.namespace).clients, "0", "COUNT", str(CLIENTS_MOST))),
            refusals=_refusals(_try(link, "ACL", "LOG", "100")) if user == "default" else (),
            leftovers=_leftovers(link, Keys(config.namespace), sealed=user == "default"),
        )
    except OperatorError:  # Redis went away in between
        return first
    finally:
        link.close()


def _sentinels(url: str) -> tuple[tuple[str, str, str], ...]:
    return tuple(Sentinels(url, name="simpledist-doctor").opinions()) if names_sentinels(url) else ()


def _try(link: Link, *command: str) -> Any:
    """Return the reply, None where Redis refuses the command."""
    try:
        return link.call(*command)
    except RedisRefused:
        return None


def _latency(link: Link) -> float | None:
    """Return the median of some round trips."""
    seconds: list[float] = []
    for _ in range(PINGS):
        began = time.perf_counter()
        if _try(link, "PING") is None:
            return None
        seconds.append(time.perf_counter() - began)
    return sorted(seconds)[PINGS // 2]


def _skew(link: Link) -> float:
    before = time.time()
    clock = link.call("TIME")
    after = time.time()
    return (before + after) / 2 - (int(clock[0]) + int(clock[1]) / 1e6)


def _refusals(log: Any) -> tuple[str, ...]:
    found: list[str] = []
    for entry in cast("list[Any]", log) if isinstance(log, list) else ():
        values = [_text(value) or "" for value in (cast("list[Any]", entry) if isinstance(entry, list) else ())]
        facts = dict(zip(values[::2], values[1::2], strict=False))
        young = (finite(facts.get("age-seconds", "0")) or 0.0) < LOG_SECONDS
        if "name=simpledist" in facts.get("client-info", "") and young:
            found.append(f"user {facts.get('username')} may not use {facts.get('reason')} {facts.get('object')}")
    return tuple(dict.fromkeys(found))


def _protocols(rows: Any) -> dict[int, int]:
    """Return how many clients speak each protocol, from the last word of each client's row."""
    found = [(_text(row) or "").rpartition("protocol:")[2] for row in (rows[1] if rows else ())[1::2]]
    return dict(Counter(int(number) for number in found if number.isdecimal() and len(number) < 10))


def _leftovers(link: Link, keys: Keys, *, sealed: bool) -> Leftovers | None:
    cursor: Any = "0"
    foreign: list[str] = []
    immortal: list[str] = []
    looked_at = 0
    for _ in range(SCAN_PAGES):
        reply = _try(link, "SCAN", cursor, "MATCH", f"{keys.prefix}*", "COUNT", str(SCAN_PAGE))
        if reply is None:
            return None
        cursor, page = reply[0], reply[1]
        looked_at += len(page)
        mortal: list[str] = []
        for name in (key.decode("utf-8", "replace") for key in page):
            template = keys.template_of(name)
            if template is None:
                foreign.append(name)
            elif (template not in PERMANENT or keys.is_of_other_lane(name)) and (sealed or template not in SEALED):
                mortal.append(name)
        immortal += _without_ttl(link, mortal)
        if int(cursor) == 0:
            return Leftovers(tuple(foreign), tuple(immortal), looked_at, complete=True)
    return Leftovers(tuple(foreign), tuple(immortal), looked_at, complete=False)


def _without_ttl(link: Link, names: Sequence[str]) -> list[str]:
    ttls = link.pipeline([("PTTL", name) for name in names]) if names else []
    return [name for name, ttl in zip(names, ttls, strict=True) if ttl == -1]


def _key_file(config: Config) -> SecretFile | None:
    """Return the key that calls of this user are signed with: the one that is named, else the user's own."""
    path = config.secret_file or ""
    try:
        if not path and not config.insecure and on_this_machine(config.url):
            path = str(user_key.find(config.url) or "")
        keyring = key_file.keyring_from(path) if path else None
    except ConfigurationError as error:
        return SecretFile(path, bool(path) and _open_to_others(path), str(error))
    return SecretFile(path, _open_to_others(path), ids=keyring.ids) if keyring else None


def _token_file(path: str | None) -> SecretFile | None:
    if not path:
        return None
    trouble = "" if os.access(path, os.R_OK) else "it cannot be read"
    return SecretFile(path, _open_to_others(path), trouble)


def _open_to_others(path: str) -> bool:
    try:
        status = os.stat(path)
        # Another's that we can read is a secret that a container is given; key_file.py refuses what is not safe.
        return status.st_uid == os.geteuid() and bool(stat.S_IMODE(status.st_mode) & 0o077)
    except OSError:
        return False


def _info(reply: Any) -> dict[str, str]:
    lines = (_text(reply) or "").splitlines()
    return {key: value for key, colon, value in (line.partition(":") for line in lines) if colon}


def _text(reply: Any) -> str | None:
    return reply.decode("utf-8", "replace") if isinstance(reply, bytes) else None if reply is None else str(reply)
