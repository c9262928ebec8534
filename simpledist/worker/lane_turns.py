"""Which lane of a worker is next: a lane with work waits for at most one turn of each other.

High lanes come first, then plain ones, then low ones; in each class the lane behind the one served last comes first.
One pop in policy.LOW_FIRST_EVERY asks the classes the other way round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from simpledist import policy
from simpledist.broker import Keys
from simpledist.broker.lane import class_of, in_turn
from simpledist.worker.links import Pop


class Turns:
    """Used by the loop's one thread."""

    def __init__(self, keys: Keys, first_keys: Sequence[str], timings: policy.Timings) -> None:
        self._popped_at = 0.0  # the last BLPOP over all lanes, or the last look that found nothing in the others
        self._taken = 0  # jobs begun since then
        self._keys = keys
        self.first_keys = first_keys  # what every pop asks before any lane
        self._timings = timings
        self._first: dict[str, int] = {}  # by class: the lane that is asked first
        self._pops = 0
        self._pop = Pop(b"", 0.0)  # the last one, and for what it was made:
        self._lanes: Sequence[str] = ()
        self._low_first: bool = False
        self._by_key: dict[str, str] = {}
        self._classes = 0

    def pop(self, lanes: Sequence[str], until: float) -> Pop:
        """Return the next pop over these lanes, which ends `until` then (time.monotonic()) at the latest."""
        self._pops += 1
        fresh = lanes is not self._lanes
        if fresh:
            self._lanes, self._classes = lanes, len({class_of(lane) for lane in lanes})
        low_first = self._classes > 1 and self._pops % policy.LOW_FIRST_EVERY == 0
        seconds = self._timings.block_seconds
        if until < float("inf"):
            seconds = min(seconds, max(round(until - time.monotonic(), 3), 0.01))
        if fresh or not self._pop.command or low_first != self._low_first or seconds != self._pop.seconds:
            self._low_first = low_first
            self._by_key = {self._keys.queue(lane): lane for lane in in_turn(lanes, self._first, low_first=low_first)}
            self._pop = Pop.of([*self.first_keys, *self._by_key], seconds)
        return self._pop

    def asks(self, key: str) -> bool:
        """Return whether the last pop was over this list."""
        return key in self._by_key

    def served(self, key: str) -> str:
        """Note that a job came from this list; return its lane."""
        lane = self._by_key[key]
        same = sorted(other for other in self._lanes if class_of(other) == class_of(lane))
        if len(same) > 1:
            self._first[class_of(lane)] = (same.index(lane) + 1) % len(same)
            self._pop = Pop(b"", 0.0)
        self._popped_at, self._taken = time.monotonic(), 0
        return lane

    def took(self, count: int) -> None:
        """Note that so many jobs were begun."""
        self._taken += count

    def may_stay(self, lane: str, lanes: Sequence[str], slots: int, any_queued: Callable[[list[str]], bool]) -> bool:
        """Return whether the next job may come from the same lane, without a pop over all of them.

        Where its time is up, `any_queued` says whether anything waits in the others.
        """
        now = time.monotonic()
        if policy.may_take_next(
            others=len(lanes) > 1,
            since_pop_seconds=now - self._popped_at,
            taken=self._taken,
            slots=slots,
            timings=self._timings,
        ):
            return True
        if any_queued([other for other in lanes if other != lane]):
            return False
        self._popped_at, self._taken = now, 0  # a BLPOP would have found no more than this look
        return True
