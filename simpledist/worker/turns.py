"""Which lanes a worker's next pop asks, and in which order: whoever has work waits for at most one turn of each other.

High lanes come first, then plain ones, then low ones; in each class the lane behind the one served last comes first.
One pop in policy.LOW_FIRST_EVERY asks the classes the other way round.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from simpledist import policy
from simpledist.broker import Keys
from simpledist.broker.lane import class_of, in_turn
from simpledist.worker.links import Pop


class Turns:
    """Used by the loop's one thread."""

    def __init__(self, keys: Keys, first_keys: Sequence[str], timings: policy.Timings) -> None:
        self.popped_at = 0.0  # the last BLPOP over all lanes, or the last look that found nothing in the others
        self._keys = keys
        self._first_keys = first_keys  # what every pop asks before any lane
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
            self._pop = Pop.of([*self._first_keys, *self._by_key], seconds)
        return self._pop

    def served(self, key: str) -> str:
        """Note that a job came from this list; return its lane."""
        lane = self._by_key[key]
        same = sorted(other for other in self._lanes if class_of(other) == class_of(lane))
        if len(same) > 1:
            self._first[class_of(lane)] = (same.index(lane) + 1) % len(same)
            self._pop = Pop(b"", 0.0)
        self.popped_at = time.monotonic()
        return lane
