"""Makes a Snapshot from the rows in Redis: decides what each row means to a person. Pure.

Everything in Redis may be hostile: a row that no worker wrote becomes a worker with gaps, texts become printable and
short, numbers finite. Called by Monitor with the replies of one read.
"""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, ClassVar, cast

from simpledist import policy
from simpledist.broker.client_demand import NO_JOBS, AtClient
from simpledist.broker.keys import NOT_COUNTED
from simpledist.broker.parsing import MOST_SLOTS
from simpledist.broker.worker_stats import WorkerStats
from simpledist.code.distributions import MOST_LISTED
from simpledist.monitor.demand import jobs_at_clients
from simpledist.monitor.measures import Tally
from simpledist.monitor.snapshot import FunctionState, RedisState, RunningJob, Snapshot
from simpledist.monitor.workers import LIVE, Refusal, WorkerState
from simpledist.printable import printable

WORKERS_MOST = 12_000  # rows of workers that one look reads
RECENT_SECONDS = 600.0  # so long after its last call is a client's other code, or a refusal, worth a warning
FUNCTIONS_LIMIT = 1000  # names shown of one worker's row
META_LIMIT, LANES_LIMIT = 1000, 100  # counters, and lanes, of one function
NEEDS_LIMIT = 8  # tags shown of one call
RUNNING_MOST = 50_000  # running jobs shown of all functions
RUNNING_LIMIT = 1000  # running jobs shown of one function


@dataclass(frozen=True)  # no slots, for the cached properties: most functions do not change every second
class Facts:
    """What Redis holds of one function; None where it refused an answer."""

    queued: int | None
    oldest: list[bytes] | None
    running: int | None
    current: list[Any] | None  # of HSCAN: a cursor and a page, which holds everything where there are few
    offers: int | None
    meta: list[bytes] | None
    lanes: list[bytes] | None = None
    others: tuple[tuple[str, int], ...] = ()  # the other lanes, and how many jobs wait there

    OF_LANE: ClassVar = (
        ("ZCARD", "queued"),
        ("ZRANGE", "queued", "0", "0", "WITHSCORES"),
        ("HLEN", "current"),
        ("HSCAN", "current", "0", "COUNT", str(RUNNING_LIMIT)),
    )
    COMMANDS: ClassVar = (
        *OF_LANE,
        ("HLEN", "offers"),
        ("HSCAN", "meta", "0", "COUNT", str(META_LIMIT)),
        ("HSCAN", "lanes", "0", "COUNT", str(LANES_LIMIT)),
    )

    @classmethod
    def of(cls, replies: Sequence[Any]) -> Facts:
        """Return what the replies to COMMANDS hold."""
        queued, oldest, running, current, offers, meta, lanes = replies
        its_lanes = lanes[1][::2] if lanes else None
        return cls(queued, oldest, running, current, offers, meta[1] if meta else None, its_lanes)

    def with_lane(
        self, lane: str, queued: int | None, oldest: Any, running: int | None, current: list[Any] | None
    ) -> Facts:
        """Add the jobs that wait and run on one more lane: pages show one row for all lanes of a function."""
        waits = [one for one in (self.oldest, oldest) if one]
        pages = [page[1] for page in (self.current, current) if page]
        return replace(
            self,
            queued=(self.queued or 0) + (queued or 0),
            oldest=min(waits, key=lambda one: finite(one[1]) or math.inf) if waits else None,
            running=(self.running or 0) + (running or 0),
            current=[b"0", [*itertools.chain(*pages)]],
            others=(*self.others, (lane, queued or 0)),
        )

    @property
    def ledgers(self) -> tuple[tuple[str, int], ...]:
        """Return how many jobs wait on each lane; "" means the plain one."""
        return ("", (self.queued or 0) - sum(number for _, number in self.others)), *self.others

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Return every number in its meta."""
        found = {name: integer(value) for name, value in pairs(self.meta)}
        return {name: number for name, number in found.items() if number is not None}

    @cached_property
    def wanted_tags(self) -> tuple[int | None, tuple[str, ...]]:
        """Return when a call last found no worker with the tags that it needs, in ms, and those tags."""
        text = next((value for name, value in pairs(self.meta) if name == "wanted_tags"), "")
        at, _, tags = text.partition(" +")
        return integer(at) if tags else None, tuple(printable(tag) for tag in tags.split("+")[:NEEDS_LIMIT] if tag)

    @property
    def minute(self) -> int | None:
        """Return the minute that its counters count."""
        return self.numbers.get("minute")

    @cached_property
    def tally(self) -> Tally:
        """Return all its counters since the beginning."""
        return Tally({name: number for name, number in self.numbers.items() if name not in NOT_COUNTED})


def assembled(
    redis: RedisState,
    now: float,
    facts: Mapping[str, Facts],
    workers: Workers,
    demand: Sequence[tuple[str, str]] = (),
    drop: Callable[[str, str, int], None] = lambda template, name, count: None,
) -> Snapshot:
    """Return the state of the cluster from one read; tell `drop` how many elements of which key cannot be read."""
    running: list[RunningJob] = []
    for function, fact in facts.items():
        fields = pairs(fact.current[1] if fact.current else ())[: max(0, RUNNING_MOST - len(running))]
        found = [one for name, value in fields if (one := running_job(function, name, value, now)) is not None]
        drop("current", function, len(fields) - len(found))
        running += found
    rows = [(id, row) for id, row in workers.rows if _row(row) is not None]
    drop("workers", "", len(workers.rows) - len(rows))
    at_clients, unreadable = jobs_at_clients(demand, now)
    drop("demand", "", unreadable)
    complete = sum(fact.running or 0 for fact in facts.values()) <= len(running)
    busy = Counter(one.worker for one in running)
    states = [
        worker_state(
            id, row, workers.beats.get(id), workers.stats.get(id), now, busy=busy[printable(id)], exact=complete
        )
        for id, row in rows
    ]
    states = _with_other_keys(states)
    # A silent worker's offers stand until a client or distributor expels it: they count for nothing.
    silent = Counter(name for one in states if one.health == "silent" and not one.draining for name in one.functions)
    return Snapshot(
        redis=redis,
        time=now,
        functions=tuple(
            function_state(
                name, fact, max(0, (fact.offers or 0) - silent[printable(name)]), now, at_clients.get(name, NO_JOBS)
            )
            for name, fact in sorted(facts.items())
        ),
        workers=tuple(sorted(states, key=lambda one: (one.health == "dead", one.label, one.host, one.id))),
        running=tuple(sorted(running, key=lambda one: -one.seconds)),
    )


def _with_other_keys(states: list[WorkerState]) -> list[WorkerState]:
    """Mark the live workers that share no key with most of the others; where two keys have as many, both sides."""
    known = [one for one in states if one.live and one.speaks_ours and one.keys]
    counts = Counter(key for one in known for key in {*one.keys})
    most = max(counts.values(), default=0)
    common = {key for key, count in counts.items() if count == most}
    if most == len(known):
        return states
    tied = not any(common <= {*one.keys} for one in known)
    others = {one.id for one in known if tied or not common & {*one.keys}}
    return [replace(one, other_key=one.id in others) for one in states]


@dataclass(frozen=True, slots=True)
class Workers:
    """What Redis holds of all workers: rows as they registered, last heartbeats, and their statistics."""

    rows: Sequence[tuple[str, str]]
    beats: Mapping[str, str]
    stats: Mapping[str, str]


def function_state(
    function: str, fact: Facts, workers: int, now: float, at_clients: AtClient = NO_JOBS
) -> FunctionState:
    """Return a function from what Redis holds of it."""
    name, _, version = printable(function).partition("@")
    stamp = finite(fact.oldest[1]) if fact.oldest else None
    tally = fact.tally
    wanted, disabled = fact.numbers.get("wanted"), fact.numbers.get("disabled")
    wanted_tags = fact.wanted_tags
    return FunctionState(
        function=printable(function),
        name=name,
        version=version or None,
        queued=fact.queued or 0,
        running=fact.running or 0,
        workers=workers,
        oldest_wait_seconds=0.0 if stamp is None else round(max(0.0, now - stamp / 1e6), 3),
        counters=tally.numbers,
        wanted_seconds=None if wanted is None else round(max(0.0, now - wanted / 1000), 3),
        wanted_tags=wanted_tags[1],
        wanted_tags_seconds=None if wanted_tags[0] is None else round(max(0.0, now - wanted_tags[0] / 1000), 3),
        at_clients=at_clients,
        disabled_seconds=None if disabled is None else round(max(0.0, now - disabled / 1000), 3),
    )


def running_job(function: str, name: str, value: str, now: float) -> RunningJob | None:
    """Read a field of current:<function>: `<job>:<fence>` -> `<worker> <slot> <attempt> <started ms>`; else None."""
    words = value.split(" ")
    if len(words) != 4 or (started := integer(words[3])) is None:
        return None
    return RunningJob(
        function=printable(function),
        id=printable(name.rpartition(":")[0]),
        worker=printable(words[0]),
        slot=integer(words[1]),
        attempt=integer(words[2]) or 1,
        seconds=round(max(0.0, now - started / 1000), 3),
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """A worker's own row, as far as it can be read."""

    dead: bool
    last_beat_ms: int | None  # of one that is dead
    draining: bool
    label: str
    host: str
    pid: int
    slots: int
    functions: tuple[str, ...]
    python: str
    started_ms: int | None
    simpledist: str
    trouble: str
    trouble_kind: str
    generators: tuple[str, ...]
    mismatched: tuple[tuple[str, int], ...]
    protocol: int | None
    keys: tuple[str, ...]
    tags: tuple[str, ...]
    memory_bytes: int | None
    refusals: tuple[tuple[Refusal, int], ...]  # each with the time of the last one, in ms by the worker's clock
    missing: tuple[tuple[str, int], ...]  # modules, each with when it was last missed, in ms by the worker's clock
    withdrawn: tuple[str, ...]
    distributions: tuple[tuple[str, str], ...]


@lru_cache(maxsize=WORKERS_MOST)  # most rows do not change from one second to the next
def _row(text: str) -> _Row | None:
    facts = object_of(text)
    if facts is None:
        return None
    return _Row(
        dead="dead" in facts,
        last_beat_ms=integer(facts.get("beat")),
        draining="draining" in facts,
        label=printable(facts.get("label")),
        host=printable(facts.get("host")),
        pid=max(0, integer(facts.get("pid")) or 0),
        slots=min(max(0, integer(facts.get("slots")) or 0), MOST_SLOTS),
        functions=_names(facts.get("functions")),
        python=printable(facts.get("python")),
        started_ms=integer(facts.get("started")),
        simpledist=printable(facts.get("simpledist")),
        trouble=printable(facts.get("trouble")),
        trouble_kind=printable(facts.get("trouble_kind")),
        generators=_names(facts.get("generators")),
        mismatched=_times(facts.get("mismatched")),
        protocol=integer(facts.get("protocol")),
        keys=_names(facts.get("keys")),
        tags=_names(facts.get("tags")),
        memory_bytes=integer(facts.get("memory")),
        refusals=_refusals(facts.get("refusals")),
        missing=_times(facts.get("missing")),
        withdrawn=_names(facts.get("withdrawn")),
        distributions=_versions(facts.get("distributions")),
    )


def object_of(text: str) -> dict[str, Any] | None:
    """Read an object of JSON; None where it is none."""
    try:
        read: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", read) if isinstance(read, dict) else None


def _names(read: Any) -> tuple[str, ...]:
    names = cast("list[Any]", read)[:FUNCTIONS_LIMIT] if isinstance(read, list) else []
    return tuple(sorted(printable(name) for name in names if isinstance(name, str)))


def _refusals(read: Any) -> tuple[tuple[Refusal, int], ...]:
    noted = cast("dict[Any, Any]", read) if isinstance(read, dict) else {}
    found: list[tuple[Refusal, int]] = []
    for name, one in list(noted.items())[:FUNCTIONS_LIMIT]:
        facts = cast("dict[str, Any]", one) if isinstance(one, dict) else {}
        count, last = integer(facts.get("count")), integer(facts.get("last"))
        if count is not None and last is not None:
            why, error = printable(facts.get("why")), printable(facts.get("error"))
            found.append((Refusal(printable(name), why, error, count), last))
    return tuple(sorted(found, key=lambda one: -one[1]))


def _versions(read: Any) -> tuple[tuple[str, str], ...]:
    listed = cast("dict[Any, Any]", read) if isinstance(read, dict) else {}
    found = [(printable(name, 60), printable(version, 30)) for name, version in list(listed.items())[:MOST_LISTED]]
    return tuple(sorted(one for one in found if all(one)))


def _times(read: Any) -> tuple[tuple[str, int], ...]:
    """Return (function or module, when a client last found it different or missing, in ms by the worker's clock)."""
    noted = cast("dict[Any, Any]", read) if isinstance(read, dict) else {}
    times = {printable(name): integer(at) for name, at in list(noted.items())[:FUNCTIONS_LIMIT]}
    return tuple(sorted((name, at) for name, at in times.items() if at is not None))


def worker_state(
    id: str, row: str, beat_ms: str | None, stats_text: str | None, now: float, *, busy: int, exact: bool
) -> WorkerState:
    """Return a worker from its row, last heartbeat and stats, whatever they hold.

    `busy` counts its running jobs; where not all are known (`exact` is False), its own number counts if it is higher.
    """
    known = _row(row) or _row("{}")
    assert known is not None
    beat = known.last_beat_ms if beat_ms is None else integer(beat_ms)
    stats = WorkerStats.read(stats_text)
    age = None if beat is None else round(max(0.0, now - beat / 1000), 3)
    health = policy.worker_health(math.inf if beat is None else now - beat / 1000, dead=known.dead)
    return WorkerState(
        id=printable(id),
        label=known.label or printable(id),
        host=known.host,
        pid=known.pid,
        slots=known.slots,
        busy=busy if exact else max(busy, stats.at_work or 0),
        beat_age_seconds=age,
        health=health,
        draining=health in LIVE and (known.draining or not (known.functions or known.withdrawn or known.trouble)),
        functions=known.functions,
        python=known.python,
        started_seconds=None if known.started_ms is None else max(0.0, now - known.started_ms / 1000),
        stats=stats,
        simpledist=known.simpledist,
        trouble=known.trouble,
        trouble_kind=known.trouble_kind,
        generators=known.generators,
        mismatched=_recent(known.mismatched, now),
        protocol=known.protocol,
        speaks_ours=known.protocol == policy.PROTOCOL,
        keys=known.keys,
        tags=known.tags,
        memory_bytes=known.memory_bytes,
        refusals=tuple(one for one, at in known.refusals if now - at / 1000 < RECENT_SECONDS),
        missing=_recent(known.missing, now),
        withdrawn=known.withdrawn,
        distributions=known.distributions,
    )


def _recent(times: Sequence[tuple[str, int]], now: float) -> tuple[str, ...]:
    return tuple(name for name, at in times if now - at / 1000 < RECENT_SECONDS)


def decoded(value: object) -> str:
    """Return a reply of Redis as text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def pairs(flat: Sequence[object] | None) -> list[tuple[str, str]]:
    """Return the fields of an HGETALL reply."""
    values = [decoded(value) for value in flat or ()]
    return list(zip(values[::2], values[1::2], strict=False))


def finite(value: Any) -> float | None:
    """Return a finite number, else None."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) <= 1e18 else None


def integer(value: Any) -> int | None:
    """Return a whole number, else None."""
    number = finite(value)
    return None if number is None else int(number)
