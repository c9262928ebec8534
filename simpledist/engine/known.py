"""What a client knows of each function, in one store: run times, costs, whether workers offer it, and its lane.

Written by the thread that saw something, read by routing. Any thread may call it. Each value is replaced by one
assignment, so no lock is needed: of two observations in the same moment one may be lost.
"""

from __future__ import annotations

import time

from simpledist import policy
from simpledist.job import Why
from simpledist.placement import Costs
from simpledist.policy import Experience

NEVER = float("-inf")


class Known:
    """One function. Times are time.monotonic()."""

    __slots__ = ("absent", "absent_at", "asked_at", "at_client", "costs", "lane", "lane_until", "on_workers")

    def __init__(self, function: str) -> None:
        self.on_workers = Experience()  # runs on workers
        self.at_client = Experience()  # runs in this process
        self.costs: Costs | None = None  # of a function whose policy is "auto"
        self.absent: Why | None = None  # why no live worker may have its calls, as Redis last said
        self.absent_at = NEVER
        self.asked_at = NEVER  # when a caller last went by that word
        self.lane = function  # where its calls are submitted, until `lane_until`
        self.lane_until = NEVER

    def said(self, why: Why | None) -> None:
        """Note what Redis says: why no worker may have its calls; None: one may."""
        self.absent = why
        self.absent_at = NEVER if why is None else time.monotonic()

    def absent_since(self, since: float) -> Why | None:
        """Return why no worker may have its calls, if Redis said so after `since` and not long ago."""
        if self.absent_at < since or time.monotonic() - self.absent_at > 2 * policy.TIMINGS.nudge_seconds:
            return None
        return self.absent

    def ran_at_client(self, calls: int, seconds: float) -> None:
        """Note that so many calls took so long together in this process."""
        self.at_client = self.at_client.ran(calls, seconds)

    def decided(self) -> Costs:
        """Count one more decision of "auto", and return what it goes by."""
        self.costs = (self.costs or Costs()).decided()
        return self.costs


class Store:
    """Every function that this client has met."""

    def __init__(self) -> None:
        self._functions: dict[str, Known] = {}

    def of(self, function: str) -> Known:
        """Return what is known of a function."""
        known = self._functions.get(function)
        return known if known is not None else self._functions.setdefault(function, Known(function))

    def ask(self, function: str) -> bool:
        """Note that a caller went by the last word about workers; return whether it is time to ask Redis again."""
        known, now = self.of(function), time.monotonic()
        if now - known.asked_at <= policy.TIMINGS.nudge_seconds:
            return False
        known.asked_at = now
        return True

    def asked(self) -> set[str]:
        """Return the functions that callers asked for in the last moments."""
        since = time.monotonic() - 2 * policy.TIMINGS.nudge_seconds
        return {function for function, known in list(self._functions.items()) if known.asked_at > since}
