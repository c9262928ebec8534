"""The read model: what pages, `status` and metrics know of Redis.

Reads only text (never data:* or reply:*), never unpickles, never writes. Times are by Redis TIME. Whatever lies in Redis is
hostile input here: rows that are not ours are passed over. A Redis that is away gives a Snapshot that says so.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from simpledist import config, job, policy
from simpledist.broker import Keys, Link
from simpledist.errors import RedisDown, RedisRefused

TEXT_CHARACTERS = 128
CACHE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Running:
    """One attempt that runs now."""

    function: str
    job: str
    worker: str
    slot: str
    attempt: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Function:
    """One function (in one version) and its queue; `counters` are totals since Redis was last emptied."""

    function: str
    name: str
    version: str | None
    queued: int
    running: int
    workers: int
    oldest_wait_seconds: float
    counters: dict[str, int]


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker; `health` is alive, late, silent or dead."""

    id: str
    label: str
    host: str
    pid: int
    slots: int
    busy: int
    beat_age_seconds: float
    functions: tuple[str, ...]
    health: str
    python: str
    started_ms: int
    running: tuple[Running, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at one moment of Redis TIME; `trouble` says why there is nothing, where `ok` is False."""

    ok: bool
    version: str = ""
    trouble: str = ""
    functions: tuple[Function, ...] = ()
    workers: tuple[Worker, ...] = ()
    running: tuple[Running, ...] = field(default=())

    def worker(self, id: str) -> Worker | None:
        return next((one for one in self.workers if one.id == id), None)

    def unserved(self) -> list[Function]:
        """Functions with queued jobs that no live worker offers."""
        return [one for one in self.functions if one.queued and not one.workers]

    def as_status(self) -> dict[str, Any]:
        """What `status --json` prints: stable, `schema` rises when it changes."""
        return {
            "schema": 1,
            "redis": {"ok": self.ok, "version": self.version},
            "functions": [
                {
                    "name": one.name,
                    "version": one.version,
                    "queued": one.queued,
                    "running": one.running,
                    "workers": one.workers,
                    "oldest_wait_seconds": round(one.oldest_wait_seconds, 3),
                }
                for one in self.functions
            ],
            "workers": [
                {
                    "id": one.id,
                    "label": one.label,
                    "host": one.host,
                    "pid": one.pid,
                    "slots": one.slots,
                    "busy": one.busy,
                    "beat_age_seconds": round(one.beat_age_seconds, 3),
                    "functions": list(one.functions),
                }
                for one in self.workers
                if one.health != "dead"
            ],
        }


class Monitor:
    """Snapshots over one Link; safe to share between threads: a snapshot serves everybody for a second."""

    def __init__(self, link: Link, keys: Keys, clock: Callable[[], float] = time.monotonic) -> None:
        self._link = link
        self._keys = keys
        self._clock = clock
        self._lock = threading.Lock()
        self._cached: Snapshot | None = None
        self._cached_at = -1e9

    @classmethod
    def connect(cls, url: str | None = None, namespace: str | None = None) -> Monitor:
        """A monitor of the Redis at `url` (else of the environment, else the default one); needs no key."""
        settings = config.load(url, namespace=namespace, codec="json")
        return cls(Link(settings.url, name="simpledist-monitor"), Keys(settings.namespace))

    def snapshot(self, *, fresh: bool = False) -> Snapshot:
        """At most a second old, unless it shall be `fresh`."""
        with self._lock:
            now = self._clock()
            if fresh or self._cached is None or now - self._cached_at >= CACHE_SECONDS:
                self._cached, self._cached_at = self._read(), now
            return self._cached

    def close(self) -> None:
        with self._lock:
            self._link.close()

    def _read(self) -> Snapshot:
        try:
            if not self._link.connected:
                self._link.connect()
            return self._ask()
        except (RedisDown, RedisRefused) as error:
            self._link.close()
            return Snapshot(ok=False, trouble=str(error))

    def _ask(self) -> Snapshot:
        keys = self._keys
        clock, names, rows, beats = self._link.pipeline(
            [("TIME",), ("SMEMBERS", keys.functions), ("HGETALL", keys.workers), ("HGETALL", keys.heartbeats)]
        )
        for answer in (clock, names, rows, beats):
            if isinstance(answer, RedisRefused):
                raise answer
        now_ms = int(clock[0]) * 1000 + int(clock[1]) // 1000
        functions = sorted(_text(name) for name in names)
        answers = self._link.pipeline(
            [
                command
                for function in functions
                for command in (
                    ("ZCARD", keys.named("queued", function)),
                    ("ZRANGE", keys.named("queued", function), 0, 0, "WITHSCORES"),
                    ("HGETALL", keys.named("current", function)),
                    ("HKEYS", keys.named("offers", function)),
                    ("HGETALL", keys.named("meta", function)),
                )
            ]
        )
        running: list[Running] = []
        found: list[tuple[str, list[Any]]] = []
        for i, function in enumerate(functions):
            five: list[Any] = [() if isinstance(one, RedisRefused) else one for one in answers[5 * i : 5 * i + 5]]
            found.append((function, five))
            running += _running(function, _pairs(five[2]), now_ms)
        workers = _workers(_pairs(rows), dict(_pairs(beats)), running, now_ms)
        alive = {one.id for one in workers if one.health in ("alive", "late")}
        return Snapshot(
            ok=True,
            version=self._link.version,
            functions=tuple(_function(name, five, running, alive, now_ms) for name, five in found),
            workers=tuple(sorted(workers, key=lambda one: (one.health == "dead", one.label, one.id))),
            running=tuple(running),
        )


def _function(function: str, five: list[Any], running: list[Running], alive: set[str], now_ms: int) -> Function:
    queued, oldest, _, offers, meta = five
    wait = 0.0
    if len(oldest) == 2:
        wait = max(now_ms / 1000 - _number(_text(oldest[1])) / 1_000_000, 0.0)
    return Function(
        function=function,
        name=function.partition("@")[0],
        version=job.version_of(function),
        queued=queued if isinstance(queued, int) else 0,
        running=sum(one.function == function for one in running),
        workers=len(alive.intersection(map(_text, offers))),
        oldest_wait_seconds=wait,
        counters={key: int(value) for key, value in _pairs(meta) if value.isdigit() and key not in _NOT_COUNTERS},
    )


_NOT_COUNTERS = frozenset({"stamp", "reaped", "checked"})


def _running(function: str, current: Sequence[tuple[str, str]], now_ms: int) -> list[Running]:
    found: list[Running] = []
    for key, value in current:
        words = value.split(" ")
        if len(words) == 4 and words[2].isdigit() and words[3].isdigit():
            worker, slot, attempt, started = words
            seconds = max(now_ms - int(started), 0) / 1000
            found.append(Running(function, key.rpartition(":")[0], worker, slot, int(attempt), seconds))
    return found


def _workers(
    rows: Sequence[tuple[str, str]], beats: dict[str, str], running: list[Running], now_ms: int
) -> list[Worker]:
    found: list[Worker] = []
    for id, text in rows:
        row = _row(text)
        if row is None:
            continue
        own = tuple(one for one in running if one.worker == id)
        age = max(now_ms - _number(beats.get(id, "0")), 0) / 1000
        functions = row.get("functions")
        found.append(
            Worker(
                id=id,
                label=_short(row.get("label")),
                host=_short(row.get("host")),
                pid=_whole(row.get("pid")),
                slots=_whole(row.get("slots")),
                busy=len(own),
                beat_age_seconds=age,
                functions=tuple(map(_short, cast("list[Any]", functions))) if isinstance(functions, list) else (),
                health=policy.worker_health(age, dead="dead" in row),
                python=_short(row.get("python")),
                started_ms=_whole(row.get("started")),
                running=own,
            )
        )
    return found


def _row(text: str) -> dict[str, Any] | None:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", row) if isinstance(row, dict) else None


def _pairs(flat: Any) -> list[tuple[str, str]]:
    return [(_text(key), _text(value)) for key, value in zip(flat[::2], flat[1::2], strict=True)]


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else ""
    return text if len(text) <= TEXT_CHARACTERS else text[: TEXT_CHARACTERS - 1] + "…"


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
