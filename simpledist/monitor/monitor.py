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

from simpledist import config
from simpledist.broker import Keys, Link, denials
from simpledist.broker.lane import function_of
from simpledist.errors import OperatorError, RedisRefused
from simpledist.monitor import attempts
from simpledist.monitor.attempts import Attempt, Failure, JobState, QueuedJob
from simpledist.monitor.history import DAY, HOUR, Histories, Pulse, pulses
from simpledist.monitor.measures import Bin, Tally, added, bins
from simpledist.monitor.reader import Reader
from simpledist.monitor.rows import assembled, decoded, pairs, printable
from simpledist.monitor.snapshot import Measure, RedisState, Snapshot
from simpledist.monitor.stream import Stream

PAGE = 100
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
        self._reader = Reader(link, keys)
        self._histories = Histories()
        self._stream = Stream()
        self._kept: dict[str, _Kept] = {}
        self._later: RedisState | None = None  # the error since the last snapshot, if there was one

    @classmethod
    def connect(cls, url: str | None = None, namespace: str | None = None, *, keep_seconds: float = 0.9) -> Monitor:
        """Return a monitor of the Redis at `url`, by default that of `SIMPLEDIST_*`; needs no key, connects later."""
        settings = config.load(url, namespace=namespace, insecure=True)
        link = Link(settings.url, name="simpledist-monitor")
        return cls(link, Keys(settings.namespace), keep_seconds=keep_seconds)

    def close(self) -> None:
        """Close the connection to Redis."""
        with self._lock:
            self._reader.link.close()

    # --- now -----------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return the state of the cluster, at most `keep_seconds` old; never raise for what Redis does."""
        return self._keep("snapshot", self._snapshot)

    def redis(self) -> RedisState:
        """Return how Redis is, as of the last snapshot and of everything that was asked after it."""
        with self._lock:
            return self._later or self.snapshot().redis

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

    def code(self, worker: str) -> Mapping[str, str]:
        """Return which code a worker has loaded, part by part (code/outline.py); nothing where it has not told."""
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

    def recent(self, function: str, limit: int = PAGE) -> tuple[Attempt, ...]:
        """Return the last attempts of a function that are over, newest first; Redis keeps at most 500."""

        def read() -> tuple[Attempt, ...]:
            lines = self._reader.ask([("LRANGE", self._keys.named("recent", function), 0, limit - 1)])[0]
            return tuple(one for line in lines or () if (one := attempts.attempt(function, decoded(line))))

        return self._keep(f"recent {function} {limit}", lambda: self._answer((), read))

    def failures(self, function: str | None = None) -> tuple[Failure, ...]:
        """Return the groups of failures of a function, or of all functions, the latest first."""

        def read() -> tuple[Failure, ...]:
            known = self._reader.facts
            names = [name for name, facts in known.items() if function is None and _has_failed(facts.tally)]
            names = names if function is None else [function]
            replies = self._reader.ask(("HGETALL", self._keys.named("failures", name)) for name in names)
            found = (
                attempts.failure(name, field, value)
                for name, reply in zip(names, replies, strict=True)
                for field, value in pairs(reply)
            )
            return tuple(sorted((one for one in found if one), key=lambda one: -one.last))

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
                    max(0.0, self._reader.now - float(stamp) / 1e6),
                )
                for (name, begin, _), reply in zip(asked, replies, strict=True)
                for i, (id, stamp) in enumerate(pairs(reply))
            )

        return self._answer((), read)

    def job(self, id: str, function: str | None = None) -> JobState | None:
        """Return one job from its hash, else from the past attempts of `function` (without it: of the busiest ones)."""

        def read() -> JobState | None:
            fields = dict(pairs(self._reader.ask([("HGETALL", self._keys.named("job", id))])[0]))
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
        return {printable(name): printable(hash) for name, hash in pairs(self._reader.link.call("HGETALL", key))}

    def _snapshot(self) -> Snapshot:
        reader, self._later = self._reader, None
        try:
            reader.look()
        except OperatorError as error:
            return Snapshot(_trouble(error))
        version = printable(reader.link.version) or None
        error = reader.errors[0] if reader.errors else ""
        remedy = denials.remedy_of(error) if error else ""
        redis = RedisState(ok=True, version=version, error=error, remedy=remedy, evicts=reader.evicts)
        return assembled(redis, reader.now, reader.facts, reader.workers)

    def _measures(self, names: tuple[str, ...]) -> dict[str, Measure]:
        reader = self._reader
        found = self._histories.minutes(reader, names, HOUR)
        return {name: _measure(name, rows, reader.now) for name, rows in found.items()}


def _trouble(error: OperatorError) -> RedisState:
    """Return how Redis is after this error. An answer that is a refusal is one, even if it may pass by itself."""
    text = printable(str(error))
    found = denials.denial_in(text)
    if found is None and not isinstance(error, RedisRefused):
        return RedisState(ok=False, error=text, remedy="start it, or correct --redis")
    cause = f"{found.cause} ({text})" if found is not None else text
    return RedisState(ok=False, error=cause, refused=True, remedy=denials.remedy_of(text))


def _measure(name: str, rows: Mapping[int, Tally], now: float) -> Measure:
    """Return rate and durations; the rate covers the last 60 s: this minute, and the rest from the minute before."""
    last, passed = int(now // 60), now % 60
    under_way, before = rows.get(last, Tally()).ended, rows.get(last - 1, Tally()).ended
    return Measure(printable(name), (under_way + before * (1 - passed / 60)) / 60, added(rows.values()))


def _has_failed(tally: Tally) -> bool:
    return bool(tally["failed"] or tally["child_deaths"] or tally["refusals"])
