"""From what stands in Redis to a Snapshot, without asking anybody: decides what each row means to a person.

What stands in Redis is hostile here: a row that is not what a worker writes becomes a worker with gaps, texts come out
printable and short, numbers finite. Called by Monitor with the replies of one read.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, cast

from simpledist import job, policy
from simpledist.monitor.snapshot import LIVE, FunctionState, RedisState, RunningJob, Snapshot, WorkerState

TEXT_LIMIT = 200  # no name, label or version that people chose is longer than this on a page
MISMATCH_SECONDS = 600.0  # so long is a client's other code worth a warning after its last call
FUNCTIONS_LIMIT = 1000  # names shown of one worker's row
COUNTERS = frozenset(
    {"submitted", "succeeded", "failed", "cancelled", "requeued", "lost_pops", "unheld", *job.WHYS}
    | {f"local:{why}" for why in job.WHYS}
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What Redis says of one function, each None where it refused."""

    queued: int | None
    oldest: list[bytes] | None
    current: list[bytes] | None
    offers: list[bytes] | None
    meta: list[bytes] | None

    COMMANDS: ClassVar = (
        ("ZCARD", "queued"),
        ("ZRANGE", "queued", "0", "0", "WITHSCORES"),
        ("HGETALL", "current"),
        ("HKEYS", "offers"),
        ("HGETALL", "meta"),
    )


def assembled(
    redis: RedisState,
    now: float,
    facts: Mapping[str, Facts],
    rows: Sequence[tuple[str, str]],
    beats: Mapping[str, str],
) -> Snapshot:
    running = [
        one
        for function, fact in facts.items()
        for name, value in pairs(fact.current)
        if (one := running_job(function, name, value, now)) is not None
    ]
    offers = {function: {_text(worker) for worker in fact.offers or ()} for function, fact in facts.items()}
    offering = set[str]().union(*offers.values())
    busy = Counter(one.worker for one in running)
    workers = [
        worker_state(id, row, beats.get(id), now, busy=busy[printable(id)], offers=printable(id) in offering)
        for id, row in rows
    ]
    live = {worker.id for worker in workers if worker.live}
    return Snapshot(
        redis=redis,
        time=now,
        functions=tuple(_function_state(name, fact, len(offers[name] & live), now) for name, fact in facts.items()),
        workers=tuple(sorted(workers, key=lambda one: (one.health == "dead", one.label, one.host, one.id))),
        running=tuple(sorted(running, key=lambda one: -one.seconds)),
    )


def _function_state(function: str, fact: Facts, workers: int, now: float) -> FunctionState:
    name, _, version = printable(function).partition("@")
    stamp = _number(fact.oldest[1]) if fact.oldest else None
    meta = dict(pairs(fact.meta))
    numbers = {key: _integer(value) for key, value in meta.items() if key in COUNTERS}
    wanted = _integer(meta.get("wanted"))
    return FunctionState(
        function=printable(function),
        name=name,
        version=version or None,
        queued=fact.queued or 0,
        running=len(fact.current or ()) // 2,
        workers=workers,
        oldest_wait_seconds=0.0 if stamp is None else round(max(0.0, now - stamp / 1e6), 3),
        counters={key: number for key, number in numbers.items() if number is not None},
        wanted_seconds=None if wanted is None else round(max(0.0, now - wanted / 1000), 3),
    )


def running_job(function: str, name: str, value: str, now: float) -> RunningJob | None:
    """One field of current:<function>: `<job>:<fence>` -> `<worker> <slot> <attempt> <started ms>`; else None."""
    words = value.split(" ")
    if len(words) != 4 or (started := _integer(words[3])) is None:
        return None
    return RunningJob(
        function=printable(function),
        id=printable(name.rpartition(":")[0]),
        worker=printable(words[0]),
        slot=_integer(words[1]),
        attempt=_integer(words[2]) or 1,
        seconds=round(max(0.0, now - started / 1000), 3),
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """What a worker says of itself, as far as it can be read."""

    dead: bool
    label: str
    host: str
    pid: int
    slots: int
    functions: tuple[str, ...]
    python: str
    started_ms: int | None
    simpledist: str
    mismatched: tuple[tuple[str, int], ...]


@lru_cache(maxsize=4096)  # rows stay as they are from one second to the next
def _row(text: str) -> _Row:
    try:
        read: Any = json.loads(text)
    except (ValueError, RecursionError):
        read = None
    facts = cast("dict[str, Any]", read) if isinstance(read, dict) else {}
    listed: Any = facts.get("functions")
    names = cast("list[Any]", listed)[:FUNCTIONS_LIMIT] if isinstance(listed, list) else []
    return _Row(
        dead="dead" in facts,
        label=printable(facts.get("label")),
        host=printable(facts.get("host")),
        pid=max(0, _integer(facts.get("pid")) or 0),
        slots=max(0, _integer(facts.get("slots")) or 0),
        functions=tuple(sorted(printable(name) for name in names if isinstance(name, str))),
        python=printable(facts.get("python")),
        started_ms=_integer(facts.get("started")),
        simpledist=printable(facts.get("simpledist")),
        mismatched=_mismatched(facts.get("mismatched")),
    )


def _mismatched(read: Any) -> tuple[tuple[str, int], ...]:
    """(function, when a client last came with other code, in ms by the worker's clock)."""
    noted = cast("dict[Any, Any]", read) if isinstance(read, dict) else {}
    times = {printable(name): _integer(at) for name, at in list(noted.items())[:FUNCTIONS_LIMIT]}
    return tuple(sorted((name, at) for name, at in times.items() if at is not None))


def worker_state(id: str, row: str, beat_ms: str | None, now: float, *, busy: int, offers: bool) -> WorkerState:
    """A worker from its row and its last heartbeat, whatever stands in them."""
    known, beat = _row(row), _integer(beat_ms)
    age = None if beat is None else round(max(0.0, now - beat / 1000), 3)
    health = policy.worker_health(math.inf if age is None else age, dead=known.dead)
    return WorkerState(
        id=printable(id),
        label=known.label or printable(id),
        host=known.host,
        pid=known.pid,
        slots=known.slots,
        busy=busy,
        beat_age_seconds=age,
        health=health,
        draining=health in LIVE and not offers,
        functions=known.functions,
        python=known.python,
        started_seconds=None if known.started_ms is None else max(0.0, now - known.started_ms / 1000),
        simpledist=known.simpledist,
        mismatched=tuple(name for name, at in known.mismatched if now - at / 1000 < MISMATCH_SECONDS),
    )


def printable(text: object, limit: int = TEXT_LIMIT) -> str:
    """A text fit for any page or terminal: no control, direction or surrogate characters, at most `limit` long."""
    if not isinstance(text, str):
        return ""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return (
        cut if cut.isprintable() else "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in cut)
    )


def decoded(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _text(value: object) -> str:
    return printable(decoded(value))


def pairs(flat: Sequence[object] | None) -> list[tuple[str, str]]:
    """The fields of an HGETALL reply."""
    values = [decoded(value) for value in flat or ()]
    return list(zip(values[::2], values[1::2], strict=False))


def _number(value: Any) -> float | None:
    """A number that one can reckon with, or None."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) <= 1e18 else None


def _integer(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)
