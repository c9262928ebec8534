"""The end of a worker's life that its operator has set, and the file that says that it lives.

Owns when the worker is to drain by itself: after a time, after some idle time, or after some jobs. Knows how long each
function's jobs take, and which ones do not fit into the rest of a life any more. Used by the loop's one thread;
shutdown.py does what it asks for, refusals.py withdraws what does not fit.
"""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections import defaultdict, deque
from dataclasses import dataclass
from pathlib import Path

from simpledist import policy
from simpledist.errors import ConfigurationError
from simpledist.worker.slot import NEVER

TOUCH_SECONDS = 1.0  # between two touches of the file
REMEMBERED_JOBS = 40  # of a function: their 95th percentile is what one more is expected to take


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the operator has set; None or 0: nothing."""

    lifetime_seconds: float | None = None
    stagger_seconds: float = 0.0  # its life ends up to so much earlier, each worker's at another time
    idle_seconds: float | None = None
    jobs: int | None = None
    alive: Path | None = None


class Life:
    """Begins when it is made. Time comes in where a method takes `now`: time.monotonic()."""

    def __init__(self, bounds: Bounds, grace_seconds: float = 0.0) -> None:
        now = time.monotonic()
        self.is_timed = bounds.lifetime_seconds is not None
        self.is_bounded = self.is_timed or bounds.idle_seconds is not None or bounds.jobs is not None
        self._bounds = bounds
        self._grace_seconds = grace_seconds
        self._ends_at = NEVER
        if bounds.lifetime_seconds is not None:
            earlier = random.SystemRandom().uniform(0.0, min(bounds.stagger_seconds, bounds.lifetime_seconds))
            self._ends_at = now + bounds.lifetime_seconds - earlier
        self._busy_at = now  # it had a job, or could not be given one
        self._of_use_at = now  # a child had a job, or Redis was there
        self._touch_at = now if bounds.alive is not None else NEVER
        self._took: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=REMEMBERED_JOBS))

    # --- what happens --------------------------------------------------------------------------------------------

    def took(self, function: str, seconds: float) -> None:
        """Note how long a job of a function ran."""
        if self.is_timed:
            self._took[function].append(seconds)

    def begin(self) -> None:
        """Make the file. Raises ConfigurationError where it cannot be written."""
        if self._bounds.alive is not None:
            try:
                self._bounds.alive.touch()
            except OSError as error:
                raise ConfigurationError(f"--alive {self._bounds.alive} cannot be written: {error.strerror}") from error

    def touch(self, now: float) -> None:
        """Touch the file, if it is time: the loop turns."""
        if now < self._touch_at or self._bounds.alive is None:
            return
        self._touch_at = now + TOUCH_SECONDS
        with contextlib.suppress(OSError):  # who looks at it sees its age
            self._bounds.alive.touch()

    def end(self) -> None:
        """Remove the file: this worker lives no more."""
        if self._bounds.alive is not None:
            with contextlib.suppress(OSError):
                self._bounds.alive.unlink(missing_ok=True)

    # --- what follows --------------------------------------------------------------------------------------------

    def over(self, now: float, *, idle: bool, away: bool, at_work: int, done: int) -> str:
        """Return why the worker is to drain, "": it is not.

        `idle`: it has no job and could be given one. `away`: Redis is; until that has lasted GONE_SECONDS no worker is
        idle, or an outage would end them all. `at_work`: slots with a job. `done`: jobs that have ended.
        """
        bounds = self._bounds
        if not idle:
            self._busy_at = now
        if at_work or not away:
            self._of_use_at = now
        if now >= self._ends_at:
            return "its lifetime is over"
        if bounds.idle_seconds is not None and now >= self._busy_at + bounds.idle_seconds:
            return f"it was idle for {bounds.idle_seconds:g} s"
        if now >= self._gone_at():
            return f"it was idle for {now - self._of_use_at:.0f} s, without Redis"
        if bounds.jobs is not None and done + at_work >= bounds.jobs:
            return f"it has had its {bounds.jobs} {'job' if bounds.jobs == 1 else 'jobs'}"
        return ""

    def due(self) -> float:
        """Return when the loop must look again although nothing happens."""
        idle = NEVER if self._bounds.idle_seconds is None else self._busy_at + self._bounds.idle_seconds
        return min(self._ends_at, idle, self._gone_at(), self._touch_at)

    def _gone_at(self) -> float:
        if self._bounds.idle_seconds is None:
            return NEVER
        return self._of_use_at + max(self._bounds.idle_seconds, policy.GONE_SECONDS)

    def too_long(self) -> frozenset[str]:
        """Return the functions whose jobs would not be done before the worker gives back what runs."""
        if not self._took:
            return frozenset()
        rest_seconds = self._ends_at + self._grace_seconds - time.monotonic()
        return frozenset(name for name, took in self._took.items() if _p95(took) > rest_seconds)


def _p95(seconds: deque[float]) -> float:
    return sorted(seconds)[math.ceil(0.95 * len(seconds)) - 1]
