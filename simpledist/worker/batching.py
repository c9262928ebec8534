"""Number of jobs that a child is given at once: what to ask of Redis, and what waits too long behind another job.

Owns what this worker has seen of its functions' run times. Decides by policy.py's laws and touches neither Redis nor
channels: jobs.py claims, and release.py gives back.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence

from simpledist import policy
from simpledist.broker.lane import function_of
from simpledist.broker.records import Take
from simpledist.worker.children import Children
from simpledist.worker.slot import Slot


class Batching:
    """The pace of each function, and the slots that run them."""

    def __init__(self, children: Children, recycle: int | None) -> None:
        self._children = children
        self._recycle = recycle
        self._of: defaultdict[str, policy.Pace] = defaultdict(policy.Pace)
        self._big: set[str] = set()  # functions whose last call was big

    def ran(self, function: str, seconds: float) -> policy.Pace:
        """Note how long a job of it took; return its pace."""
        pace = self._of[function] = self._of[function].ran(seconds)
        return pace

    def forget(self, function: str) -> None:
        """Forget the pace of a function: a job of it is slower than all that is known."""
        self._of[function] = policy.Pace()

    def saw_call(self, function: str, *, big: bool) -> None:
        """Note whether the last call of it was big: it travels apart from the scripts."""
        (self._big.add if big else self._big.discard)(function)

    def patience_seconds(self, function: str) -> float:
        """Return for how long a job of it may run while others wait behind it."""
        return self._of[function].patience_seconds

    def wanted(self, lane: str, free: Sequence[Slot], idle_for: str) -> Take | None:
        """Return what to ask for; None: there is no room.

        That is as many jobs for each free slot as its child may be given of this function, and one to wait behind
        another where that pays.
        """
        function = function_of(lane)
        ahead = self.ahead(function, free)
        if not free and not ahead:
            return None
        pace = self._of[function] = self._of[function].next_batch(1 if self._recycle else policy.CHILD_JOBS)
        numbers = tuple(slot.number for slot in [*free, *ahead])
        return Take(lane, numbers, pace.batch, len(ahead), idle_for)

    def ahead(self, function: str, free: Sequence[Slot] = ()) -> list[Slot]:
        """Return the slots that may have their next job now; those that are `free`, with their first.

        None for big calls, which wait in Redis, not here.
        """
        if self._recycle or function in self._big or not self._of[function].ahead:
            return []
        now = time.monotonic()
        return [slot for slot in self._children.slots if slot in free or slot.may_have_next(function, now)]

    def waiting_for_long(self) -> list[Slot]:
        """Return the slots in which a job waits that could begin in a free one, the longest wait first."""
        behind = [slot for slot in self._children.slots if len(slot.jobs) > 1]
        if not behind:
            return []
        now = time.monotonic()
        waits = {slot: self._wait_seconds(slot, now) for slot in behind}
        return sorted((slot for slot in waits if waits[slot] > policy.BATCH_SECONDS), key=lambda slot: -waits[slot])

    def _wait_seconds(self, slot: Slot, now: float) -> float:
        front = slot.front()
        if front is None:
            return 0.0
        # What has outrun its mean is as far from its end as it is from its mean, for all that is known.
        return abs(slot.front_since + (self._of[front[1].held.function].mean_seconds or 0.0) - now)
