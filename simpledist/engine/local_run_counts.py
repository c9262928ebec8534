"""Calls that ran at their client, counted by function and reason: for Redis, and for the caller's log.

The thread that runs a call appends to a deque and looks into a set, no more: it may be a finaliser inside a logging
handler. The listener brings the counts to Redis, and other threads log the lines (notices.py). The first call of a
function that runs here for a reason is known at once, and waits a moment for its line: so it stands before the values
of all that run here. What comes later is looked at once a minute.
"""

from __future__ import annotations

import functools
import logging
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from simpledist import policy
from simpledist.broker.lane import function_of
from simpledist.engine.inside import thread
from simpledist.engine.notices import EACH_MINUTE, NEVER, Notices, Topic, Words
from simpledist.engine.spec import FunctionSpec
from simpledist.reasons import Why, is_silent

FIRST_SECONDS = 0.5  # so long the first call waits for its line at most

What = tuple[str, str]  # a function (fib+gpu: those of its calls that need this tag) and a reason


@dataclass(frozen=True, slots=True)
class Line:
    """What the log says of calls that ran here for one reason, and how often."""

    topic: Topic
    words: Words
    level: int = logging.WARNING
    again_seconds: tuple[float, ...] = EACH_MINUTE
    spell: int = 0  # another one is another trouble, though the topic is the same


@dataclass(frozen=True, slots=True)
class Last:
    """What is known of the last call that ran here for a reason; `arguments` start a worker that serves it."""

    arguments: str
    detail: str = ""
    worker: str | None = None


class LocalRunCounts:
    """Of one client; any thread may count. `line` is asked by a thread that logs, and may ask Redis."""

    def __init__(self, notices: Notices, line: Callable[[str, Why, Last], Line]) -> None:
        self._notices = notices
        self._line = line
        self._counted: deque[tuple[tuple[str, Why], int]] = deque()  # what is in no counter yet
        self._for_redis: Counter[What] = Counter()
        self._returned: deque[Counter[What]] = deque()  # what Redis did not take
        self._unreported: Counter[tuple[str, Why]] = Counter()
        self._lock = threading.Lock()  # guards the counters; only tried: no place in the order
        self._met: set[What] = set()
        self._last: dict[What, Last] = {}
        self._due = NEVER  # when the log is next to be looked at, time.monotonic()

    def count(self, spec: FunctionSpec, why: Why, calls: int = 1, detail: str = "", worker: str | None = None) -> None:
        """Count calls that run here for this reason; none: some are about to."""
        what = spec.lane, why
        self._counted.append((what, calls))
        if what not in self._met:
            self._first(spec, why, detail, worker)
            return
        if detail and (last := self._last.get(what)) is not None:
            self._last[what] = Last(last.arguments, detail, worker)
        if len(self._counted) >= policy.BATCH_ITEMS:
            self._add_up()

    def _first(self, spec: FunctionSpec, why: Why, detail: str, worker: str | None) -> None:
        what = spec.lane, why
        if is_silent(why) or sys.is_finalizing():  # then no other thread runs any more
            self._met.add(what)
            return
        self._last[what] = Last(spec.worker_arguments, detail, worker)
        self._met.add(what)
        self._notices.leave(self.look, at_once=True)
        if not thread.interrupting:
            self._notices.flush(FIRST_SECONDS)

    def _add_up(self) -> None:
        if not self._lock.acquire(blocking=False):
            return  # somebody does it, or was interrupted while doing it
        try:
            counted = Counter([self._counted.popleft() for _ in range(len(self._counted))])  # mostly equal ones
            for (what, calls), times in counted.items():
                if calls:
                    self._for_redis[what] += calls * times
                if what in self._last:
                    self._unreported[what] += calls * times
            while self._returned:
                self._for_redis.update(self._returned.popleft())
        finally:
            self._lock.release()

    # --- for Redis -----------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Return how much waits for Redis."""
        return len(self._for_redis) + len(self._counted) + len(self._returned)

    def taken(self) -> Counter[What]:
        """Take the counts that Redis does not have yet."""
        self._add_up()
        if not self._lock.acquire(blocking=False):
            return Counter()  # next time
        try:
            counts, self._for_redis = self._for_redis, Counter()
            return counts
        finally:
            self._lock.release()

    def put_back(self, counts: Counter[What]) -> None:
        """Keep counts that Redis did not take, for the next time."""
        self._returned.append(counts)

    # --- for the caller's log ------------------------------------------------------------------------------------

    def look(self, *, last: bool = False) -> None:
        """Log the lines that are due, in a thread that may. `last`: no other look comes, so tell what is left."""
        for (lane, why), calls in self._taken_unreported().items():
            line = self._line(lane, why, self._last[lane, why])
            since = self._notices.due(line.topic, calls, line.again_seconds, line.spell)
            if since is not None:
                self._notices.say(line.words, line.level, since)
            elif last and calls:
                more = f"{calls:,} more {'call' if calls == 1 else 'calls'}"
                rest = f"function {function_of(lane)}: {more} ran here ({why})"
                self._notices.say(functools.partial(str, rest), logging.INFO)
        self._due = self._notices.next_due()

    def look_in_time(self) -> None:
        """Have another thread look, if it is time; the listener asks."""
        if time.monotonic() >= self._due:
            self._due = NEVER
            self._notices.leave(self.look)

    def finish(self) -> bool:
        """Have another thread log what is left; return False where that is nothing."""
        self._add_up()
        if not self._unreported:
            return False
        self._notices.leave(functools.partial(self.look, last=True))
        return True

    def _taken_unreported(self) -> Counter[tuple[str, Why]]:
        self._add_up()
        with self._lock:
            unreported, self._unreported = self._unreported, Counter()
            return unreported
