"""The handoff: a worker that is idle is handed the next lone job of a lane by `submit` itself, without a queue.

Owns for which lane Redis has noted this worker as idle, and which job was handed to it last. Used by jobs.py, which
claims, and outcome_delivery.py, which asks to be left idle.
"""

from __future__ import annotations

from simpledist.broker.records import Held, Take


class Handoff:
    """`lane` is "" where Redis has no note of this worker."""

    def __init__(self) -> None:
        self.lane = ""
        self._last: Held | None = None

    def arrived(self, held: Held) -> None:
        """Note the job that was handed to us: Redis has struck out its note."""
        self.lane, self._last = "", held

    def was(self, held: Held) -> bool:
        """Return whether this was the last job that was handed to us."""
        return held == self._last

    def claimed(self, take: Take, count: int) -> None:
        """Note how many jobs a claim brought: with all of them this worker is idle for no lane."""
        if count >= take.free:
            self.lane = ""

    def completed(self, take: Take, count: int) -> None:
        """Note how many next jobs `complete` brought: with none of them Redis notes this worker as idle."""
        if count >= take.free:
            self.lane = ""
        elif not count:
            self.lane = take.lane
