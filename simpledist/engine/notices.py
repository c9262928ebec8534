"""Lines in a caller's log: one a topic, and again later with a count, never written by the thread that calls.

That thread may be anywhere: the collector can strike inside a logging handler that holds a plain lock, and a line
logged from there would wait for itself. So the thread that notices something leaves it here, and a thread that holds
nothing logs it: a resolver (deferred.py), or one that is started for it. What a handler of the program raises is
dropped with its line.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import time
from collections.abc import Callable

from simpledist.engine.inside import is_starting_a_thread, run_outside, started, thread
from simpledist.printable import logger

log = logger("simpledist")

NEVER = float("inf")
# Until a topic has its next line, if it is met again; the last one stays.
AGAIN_SECONDS = (600.0, 3000.0, 3600.0)
EACH_MINUTE = (60.0,)
ONCE = (NEVER,)

FLUSH_SECONDS = 1.0
FLUSH_LOOK_SECONDS = 0.001
TRIED_SECONDS = 0.05

Topic = tuple[str, ...]
Words = Callable[[], str]


class _TopicState:
    """One topic."""

    __slots__ = ("again_at", "at", "since", "spell", "times")

    def __init__(self) -> None:
        self.at = self.again_at = float("-inf")  # when it had its last line, and may have the next
        self.times = 0  # lines that it had in this spell
        self.since = 0  # calls since the last one
        self.spell = 0


class Notices:
    """Of one client; any thread may tell it something."""

    def __init__(self) -> None:
        self._topics: dict[Topic, _TopicState] = {}
        self._lock = threading.Lock()  # guards `_topics`; waited for a moment only, so it has no place in the order
        self._put: Callable[[Callable[[], object]], None] | None = None
        self._attended: Callable[[], bool] = bool
        self._run: Callable[[], None] = _nothing
        self._under_way: dict[object, None] = {}  # a mark for each line that is not logged yet

    def leave_to(
        self, put: Callable[[Callable[[], object]], None], attended: Callable[[], bool], run: Callable[[], None]
    ) -> None:
        """Have another thread log: `put` leaves it something, `run` does what was left if it is not `attended`."""
        self._put, self._attended, self._run = put, attended, run

    def tell(
        self,
        topic: Topic,
        words: Words,
        *,
        level: int = logging.WARNING,
        again_seconds: tuple[float, ...] = AGAIN_SECONDS,
    ) -> None:
        """Log what `words` returns, a line that another thread asks for, unless the topic had one not long ago."""
        count = self.due(topic, 1, again_seconds)
        if count is not None:
            self.leave(functools.partial(self.say, words, level, count))

    def leave(self, act: Callable[[], object], *, at_once: bool = False) -> None:
        """Have another thread do something that logs; `flush` waits for it. `at_once`: by a thread of its own."""
        mark = object()
        self._under_way[mark] = None
        done = functools.partial(self._done, act, mark)
        if self._put is None:
            done()
            return
        startable = not (thread.interrupting or is_starting_a_thread())
        if at_once and startable and started(_outside, done, name="simpledist-notices"):
            return
        self._put(functools.partial(_outside, done))
        if startable and not self._attended():
            started(self._run, name="simpledist-notices")

    def _done(self, act: Callable[[], object], mark: object) -> None:
        try:
            act()
        finally:
            self._under_way.pop(mark, None)

    def flush(self, seconds: float = FLUSH_SECONDS) -> None:
        """Wait until what was left is logged, so long at most. Takes no lock: it may be interrupted anywhere."""
        end = time.monotonic() + seconds
        while self._under_way and time.monotonic() < end:
            time.sleep(FLUSH_LOOK_SECONDS)

    def due(self, topic: Topic, calls: int, again_seconds: tuple[float, ...], spell: int = 0) -> str | None:
        """Count these calls; return what is to be said of their number where a line is due now, else None.

        `spell`: where it differs from the last one, the topic is a new one, which has its line after a minute at most.
        """
        now = time.monotonic()
        if not self._lock.acquire(timeout=TRIED_SECONDS):
            return None  # this thread was interrupted while doing it
        try:
            state = self._topics.setdefault(topic, _TopicState())
            state.since += calls
            if state.spell != spell:
                state.spell, state.times = spell, 0
                state.again_at = min(state.again_at, state.at + EACH_MINUTE[0])
            if now < state.again_at:
                return None
            since, state.since = state.since, 0
            state.at, state.again_at = now, now + again_seconds[min(state.times, len(again_seconds) - 1)]
            state.times += 1
            if state.times > 1:
                return f" ({since:,} more {'call' if since == 1 else 'calls'})" if since else ""
            return f" ({since:,} calls so far)" if since > 1 else ""
        finally:
            self._lock.release()

    def next_due(self) -> float:
        """Return when the next topic may have a line, time.monotonic(); infinity where none is waited for."""
        now = time.monotonic()
        return min((state.again_at for state in list(self._topics.values()) if state.again_at > now), default=NEVER)

    def say(self, words: Words, level: int = logging.WARNING, count: str = "") -> None:
        """Log a line, in a thread that may; `count`: as `due` returns it."""
        if log.isEnabledFor(level):
            text = words() + count
            with contextlib.suppress(Exception):  # of a handler
                log.log(level, "%s", text)


def _outside(act: Callable[[], object]) -> None:
    """Do something that enters code of the user, a handler."""
    run_outside(act)


def _nothing() -> None:
    """Do nothing: there is no client yet."""
