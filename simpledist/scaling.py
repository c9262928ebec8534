"""The law of scaling: how many workers there should be for the jobs that there are. Pure.

More at once, fewer only after several looks in a row. What waits counts as a slot each, but never as more slots than
would have `seconds` of work each: starting a worker costs more than a short job. docs/autoscaling.md explains it. Used
by the dashboard (/api/scale.json).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from simpledist import policy

LOOKS = 3  # so many looks in a row must ask for fewer workers


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of one function at one moment, in jobs; `mean_seconds`: how long one takes, None if not known."""

    running: float = 0.0
    waiting: float = 0.0
    mean_seconds: float | None = None

    @property
    def jobs(self) -> float:
        """Return how many jobs run or wait."""
        return self.running + self.waiting

    def slots(self, seconds: float = policy.WORK_SECONDS) -> float:
        """Return how many slots the jobs could use, each for at least `seconds` of what waits."""
        if self.mean_seconds is None:
            return self.jobs
        # Short calls of a map wait as batches of so much work.
        mean = max(self.mean_seconds, policy.MAP_BATCH_SECONDS)
        return self.running + min(self.waiting, self.waiting * mean / seconds)


def workers_wanted(demands: Iterable[Demand], *, slots: int, seconds: float = policy.WORK_SECONDS) -> int:
    """Return how many workers of `slots` slots the demand of these functions could use; 0 only where there is none."""
    return math.ceil(round(sum(one.slots(seconds) for one in demands), 6) / slots)


@dataclass(frozen=True, slots=True)
class Scale:
    """How many workers there should be, and what the last looks asked for that asked for fewer."""

    workers: int = 0
    fewer: tuple[int, ...] = ()

    def looked(self, wanted: int) -> Scale:
        """Return the scale after one more look: up at once, down after LOOKS looks, to the highest of them."""
        if wanted >= self.workers:
            return Scale(wanted)
        fewer = (*self.fewer, wanted)
        return Scale(self.workers, fewer) if len(fewer) < LOOKS else Scale(max(fewer))
