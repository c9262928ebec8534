"""Answers every question about the cluster, and reads Redis only once in a while, however many callers ask.

Reads only keys with text, never a call or a result, and never writes. Where Redis is away or refuses us, the Snapshot
says so and the other answers are empty; there are no exceptions. A caller that shows answers asks `redis()` afterwards,
because Redis may have refused one of them. Called by pages, metrics and the command lines, from any thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from simpledist import config, policy
from simpledist.broker import Keys, Link, denials
from simpledist.broker.lane import function_of
from simpledist.errors import OperatorError, RedisRefused
from simpledist.monitor import attempts
from simpledist.monitor.attempts import Attempt, Failure, JobState, QueuedJob
from simpledist.monitor.bounded import UNREADABLE, Bounded
from simpledist.monitor.history import DAY, HOUR, Histories, Pulse, pulses
from simpledist.monitor.measures import Bin, Tally, added, bins
from simpledist.monitor.offers import OFFERS_MOST, Offer, offers
from simpledist.monitor.reader import Reader
from simpledist.monitor.rows import assembled, decoded, finite, pairs
from simpledist.monitor.snapshot import Dropped, FunctionState, Measure, RedisState, Snapshot
from simpledist.monitor.stream import Stream
from simpledist.printable import printable
from simpledist.scaling import Demand

PAGE = 100
FIELDS_OF_JOB = 2000  # of a job that many clients wait for
RECENT_OF_JOB = 20  # functions whose past attempts are searched for a job that has no hash any more

T = TypeVar("T")


@dataclass
class _Kept:
    value: Any
    taken: float


class Monitor:
    """Answers from what a Reader read; each kind of answer is read from Redis once in `keep_seconds`."""

    def __init__(self, link: Link, keys: Keys, *, keep_seconds: float = 0.0) -> None:
        self._keys = keys
        self._keep_seconds = keep_seconds
        # Guards everything below: a thread that asks while another one reads waits for the same answer.
        self._lock = threading.RLock()
        self._bounded = Bounded(link)
        self._reader = Reader(self._bounded, keys)
        self._histories = Histories()
        self._stream = Stream()
        self._kept: dict[str, _Kept] = {}
        self._later: RedisState | None = None  # the error since the last snapshot, if there was one

    @classmethod
    def connect(cls, url: str | None = None, namespace: str | None = None, *, keep_seconds: float = 0.9) -> Monitor:
        """Return a monitor of the Redis at `url`, by default that of `SIMPLEDIST_*`; needs no key, connects later."""
        settings = config.load(url, namespace=namespace, signs=False)
        link = Link(settings.url, name="simpledist-monitor", most_bytes=policy.PAGE_BYTES_MOST)
        return cls(link, Keys(settings.namespace), keep_seconds=keep_seconds)

    def close(self) -> None:
        """Close the connection to Redis."""
        with self._lock:
            self._bounded.link.close()

    # --- now -----------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return the state of the cluster, at most `keep_seconds` old; never raise for what Redis does."""
        return self._keep("snapshot", self._snapshot)

    def redis(self) -> RedisState:
        """Return how Redis is, as of the last snapshot and of everything that was asked after it."""
        with self._lock:
            return self._later or self.snapshot().redis

    def dropped(self) -> tuple[Dropped, ...]:
        """Return which elements of Redis were left out of the answers of the last minute, and why."""
        with self._lock:
            return self._bounded.dropped()

    def dropped_in_all(self) -> dict[str, int]:
        """Return how many elements were left out since this monitor began, by kind; what stays there counts once."""
        with self._lock:
            return dict(self._bounded.in_all)

    def stream(self) -> tuple[Attempt, ...]:
        """Return the attempts that ended in the last minute, oldest first; where very many end, a part of them."""
        return self._keep("stream", lambda: self._answer((), lambda: self._stream.look(self._reader)))

    def measures(self, functions: Iterable[str]) -> Mapping[str, Measure]:
        """Return rates and durations of the last hour; unknown functions are missing."""
        names = tuple(functions)
        return self._keep(f"measures {names}", lambda: self._answer({}, lambda: self._measures(names)))

    def last(self, minutes: int) -> Mapping[str, Tally]:
        """Return what the last `minutes` added, by function; functions without an event in them are missing."""

        def read() -> dict[str, Tally]:
            since = (self._reader.minute - minutes) * 60
            names = [name for name in self._reader.facts if self._reader.changed.get(name, 0.0) >= since]
            found = self._histories.minutes(self._reader, names, minutes)
            return {printable(name): added(rows.values()) for name, rows in found.items() if rows}

        return self._keep(f"last {minutes}", lambda: self._answer({}, read))

    def demands(self, functions: Iterable[str] | None) -> Mapping[str, Demand]:
        """Return what is asked of these functions, None: of all; those of which nothing runs or waits are missing."""
        names = None if functions is None else {*functions}
        asked = [one for one in self.snapshot().functions if one.demand and (names is None or one.function in names)]
        measures = self.measures(one.function for one in asked)
        return {one.function: _demand(one, measures.get(one.function)) for one in asked}

    def code(self, worker: str) -> Mapping[str, str]:
        """Return which code a worker has loaded, part by part (code/outline.py); nothing where it has not said so."""
        key = self._keys.code(worker)
        return self._keep(f"code {worker}", lambda: self._answer({}, lambda: self._code(key)))

    # --- history -------------------------------------------------------------------------------------------------

    def series(self, function: str, *, minutes: int = HOUR, width: int = 1) -> tuple[Bin, ...]:
        """Return the last `minutes` of a function, in bins of `width` minutes, the newest last."""

        def read() -> tuple[Bin, ...]:
            rows = self._histories.minutes(self._reader, [function], minutes + width).get(function, {})
            return bins(rows, self._reader.minute, minutes // width, width)

        return self._keep(f"series {function} {minutes} {width}", lambda: self._answer((), read))

    def day(self, function: str) -> tuple[Bin, ...]:
        """Return the last day of a function by 15 minutes."""
        return self.series(function, minutes=DAY, width=15)

    def hour(self) -> tuple[tuple[Bin, ...], tuple[Pulse, ...]]:
        """Return the last hour of all functions together, and of all workers, by the minute."""

        def read() -> tuple[tuple[Bin, ...], tuple[Pulse, ...]]:
            together = bins(self._histories.together(self._reader), self._reader.minute, HOUR, 1)
            return together, tuple(pulses(self._reader).values())

        return self._keep("hour", lambda: self._answer(((), ()), read))

    # --- jobs and failures ---------------------------------------------------------------------------------------

    def offers(self, function: str) -> tuple[Offer, ...]:
        """Return what workers offer of a function, also silent ones; of very many workers a part."""

        def read() -> tuple[Offer, ...]:
            key = self._keys.named("offers", function)
            return offers(self._reader.ask([("HSCAN", key, "0", "COUNT", OFFERS_MOST)])[0])

        return self._answer((), read)

    def recent(self, function: str, limit: int = PAGE) -> tuple[Attempt, ...]:
        """Return the last attempts of a function that are over, newest first; Redis keeps at most 500."""

        def read() -> tuple[Attempt, ...]:
            key = self._keys.named("recent", function)
            lines = self._reader.ask([("LRANGE", key, 0, limit - 1)])[0] or ()
            found = tuple(one for line in lines if (one := attempts.attempt(function, decoded(line))))
            self._bounded.drop(key, UNREADABLE, len(lines) - len(found))
            return found

        return self._keep(f"recent {function} {limit}", lambda: self._answer((), read))

    def failures(self, function: str | None = None) -> tuple[Failure, ...]:
        """Return the groups of failures of a function, or of all functions, the latest first."""

        def read() -> tuple[Failure, ...]:
            known = self._reader.facts
            names = [name for name, facts in known.items() if function is None and _has_failed(facts.tally)]
            names = names if function is None else [function]
            keys = [self._keys.named("failures", name) for name in names]
            found: list[Failure] = []
            for name, key, fields in zip(names, keys, self._bounded.fields((key, PAGE) for key in keys), strict=True):
                groups = [one for field, value in fields if (one := attempts.failure(name, field, value))]
                self._bounded.drop(key, UNREADABLE, len(fields) - len(groups))
                found += groups
            return tuple(sorted(found, key=lambda one: -one.last))

        return self._keep(f"failures {function}", lambda: self._answer((), read))

    def queued(self, function: str | None = None, *, first: int = 0, limit: int = PAGE) -> tuple[QueuedJob, ...]:
        """Return a page of the ledger of a function, or of all ledgers one after the other, oldest jobs first."""

        def read() -> tuple[QueuedJob, ...]:
            lengths = {
                lane or name: number
                for name, facts in sorted(self._reader.facts.items())
                for lane, number in facts.ledgers
                if function in (None, name)
            }
            asked: list[tuple[str, int, int]] = []
            skip, room = first, limit
            for name in lengths:
                begin, skip = min(skip, lengths[name]), max(0, skip - lengths[name])
                number = min(room, lengths[name] - begin)
                if number > 0:
                    asked.append((name, begin, begin + number - 1))
                    room -= number
            replies = self._reader.ask(
                ("ZRANGE", self._keys.named("queued", name), begin, last, "WITHSCORES") for name, begin, last in asked
            )
            return tuple(
                QueuedJob(
                    printable(function_of(name)),
                    printable(id),
                    begin + i,
                    max(0.0, self._reader.now - (finite(stamp) or 0.0) / 1e6),
                )
                for (name, begin, _), reply in zip(asked, replies, strict=True)
                for i, (id, stamp) in enumerate(pairs(reply))
            )

        return self._answer((), read)

    def job(self, id: str, function: str | None = None) -> JobState | None:
        """Return one job from its hash, else from the past attempts of `function` (without it: of the busiest ones)."""

        def read() -> JobState | None:
            fields = dict(self._bounded.fields([(self._keys.named("job", id), FIELDS_OF_JOB)])[0])
            if fields.get("state") == "queued":
                ledger = self._keys.named("queued", fields.get("lane", ""))
                fields["stamp"] = decoded(self._reader.ask([("ZSCORE", ledger, id)])[0] or b"")
            if fields:
                return attempts.job_state(id, fields)
            known = sorted(self._reader.facts, key=lambda name: -self._reader.changed.get(name, 0.0))
            names = [function] if function else known[:RECENT_OF_JOB]
            replies = self._reader.ask(("LRANGE", self._keys.named("recent", name), 0, -1) for name in names)
            begin = f"{id} ".encode()
            mine = [
                one
                for name, lines in zip(names, replies, strict=True)
                for line in lines or ()
                if line.startswith(begin) and (one := attempts.attempt(name, decoded(line)))
            ]
            return attempts.remembered(mine) if mine else None

        return self._answer(None, read)

    # --- how it asks ---------------------------------------------------------------------------------------------

    def _keep(self, name: str, read: Callable[[], T]) -> T:
        with self._lock:
            kept, now = self._kept.get(name), time.monotonic()
            if kept is None or now - kept.taken >= self._keep_seconds:
                self._kept = {key: one for key, one in self._kept.items() if now - one.taken < self._keep_seconds}
                kept = _Kept(read(), time.monotonic())
                if self._later is None:  # an answer that is empty because of Redis is not kept
                    self._kept[name] = kept
            return kept.value

    def _answer(self, otherwise: T, read: Callable[[], T]) -> T:
        """Return what `read` finds after a snapshot that is fresh enough; `otherwise` where Redis is away."""
        with self._lock:
            if not self.snapshot().redis.ok:
                return otherwise
            try:
                self._reader.connect()
                return read()
            except OperatorError as error:
                self._later = _trouble(error)
                return otherwise

    def _code(self, key: str) -> dict[str, str]:
        return {printable(name): printable(hash) for name, hash in self._bounded.fields([(key, FIELDS_OF_JOB)])[0]}

    def _snapshot(self) -> Snapshot:
        reader, self._later = self._reader, None
        try:
            reader.look()
        except OperatorError as error:
            return Snapshot(_trouble(error))
        version = printable(self._bounded.link.version) or None
        error = self._bounded.errors[0] if self._bounded.errors else ""
        remedy = denials.remedy_of(error) if error else ""
        blobs, size = reader.blobs
        redis = RedisState(True, version, error, False, remedy, reader.evicts, blobs, size)

        def drop(template: str, name: str, count: int) -> None:
            key = self._keys.named(template, name) if name else self._keys.prefix + template
            self._bounded.drop(key, UNREADABLE, count)

        return assembled(redis, reader.now, reader.facts, reader.workers, reader.demand, drop)

    def _measures(self, names: tuple[str, ...]) -> dict[str, Measure]:
        reader = self._reader
        found = self._histories.minutes(reader, names, HOUR)
        return {name: _measure(name, rows, reader.now) for name, rows in found.items()}


def _trouble(error: OperatorError) -> RedisState:
    """Return how Redis is after this error. An answer that is a refusal is one, even if it may pass by itself."""
    text = printable(str(error))
    found = denials.denial_in(text)
    if found is None and not isinstance(error, RedisRefused):
        return RedisState(ok=False, error=text, remedy=denials.START)
    cause = f"{found.cause} ({text})" if found is not None else text
    return RedisState(ok=False, error=cause, refused=True, remedy=denials.remedy_of(text))


def _measure(name: str, rows: Mapping[int, Tally], now: float) -> Measure:
    """Return rate and durations; the rate covers the last 60 s: this minute, and the rest from the minute before."""
    last, passed = int(now // 60), now % 60
    under_way, before = rows.get(last, Tally()).ended, rows.get(last - 1, Tally()).ended
    return Measure(printable(name), (under_way + before * (1 - passed / 60)) / 60, added(rows.values()))


def _demand(function: FunctionState, measure: Measure | None) -> Demand:
    """Return the demand of a function; a job takes what it took in the last hour on workers, else what it takes now."""
    there = function.at_clients
    mean = measure.run.mean_seconds if measure is not None else None
    if mean is None and there.mean_ms is not None:
        mean = there.mean_ms / 1000
    return Demand(function.running + there.running, function.queued + there.waiting, mean)


def _has_failed(tally: Tally) -> bool:
    return bool(tally["failed"] or tally["child_deaths"] or tally["refusals"])
