"""When the next heartbeat of this worker is due, and how many of them Redis has taken.

Every room of the parent's one thread that learns of a reason for a heartbeat out of turn says so here. heartbeat.py
sends them; nothing here sends anything.
"""

from __future__ import annotations

import time

from simpledist import policy


class BeatSchedule:
    """`next_at` and `taken` are for everybody to read, and change only by the methods."""

    def __init__(self, timings: policy.Timings) -> None:
        self.next_at = 0.0  # time.monotonic()
        self.taken = 0
        self._extra_at = 0.0  # one heartbeat more is due then
        self._timings = timings

    def at_once(self) -> None:
        """Make the next one due now: its answer tells what there is to know of this worker's state in Redis."""
        self.next_at = 0.0

    def after_loss(self) -> None:
        """Make one due when the grace is over of a job that Redis handed to us and that was lost on its way."""
        self._extra_at = time.monotonic() + self._timings.unheld_seconds + 0.02
        self.next_at = min(self.next_at, self._extra_at)

    def sent(self, now: float) -> None:
        """Note that one is on its way, in its turn: the next one is due a period later."""
        self.next_at = now + self._timings.beat_seconds

    def answered(self) -> None:
        """Note that Redis has taken one."""
        self.taken += 1
        now = time.monotonic()
        self.sent(now)
        if self._extra_at > now:
            self.next_at = min(self.next_at, self._extra_at)
