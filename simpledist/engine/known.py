"""Facts that a client knows of each function, in one store: run times, costs, whether workers offer it, and which code.

Written by the thread that saw something, read by routing. Any thread may call it. Each value is replaced by one
assignment, so no lock is needed: of two observations in the same moment one may be lost.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from simpledist import policy
from simpledist.broker.lane import tagged
from simpledist.costs import Costs
from simpledist.policy import Experience
from simpledist.reasons import Why

NEVER = float("-inf")


class Key(NamedTuple):
    """A function as one caller means it: its name, the digest of the caller's code, and which other code will do.

    `place`: as in a Wish. Without a digest any code under the name will do, or it is not known yet. `tags`: those that
    its workers must have.
    """

    function: str
    digest: str = ""
    place: str = ""
    tags: tuple[str, ...] = ()

    @property
    def lane(self) -> str:
        """Return the lane of such calls as long as Redis names no other: fib, or fib+gpu."""
        return tagged(self.function, self.tags) if self.tags else self.function


class Known:
    """One function. Times are time.monotonic()."""

    __slots__ = (
        "absent",
        "absent_at",
        "absent_detail",
        "asked_at",
        "at_client",
        "costs",
        "key",
        "lane",
        "lane_until",
        "lost_again",
        "lost_at",
        "named",
        "on_workers",
        "own_lane",
    )

    def __init__(self, key: Key) -> None:
        self.key = key
        self.on_workers = Experience()  # runs on workers
        self.at_client = Experience()  # runs in this process
        self.costs: Costs | None = None  # of a function whose policy is "auto"
        self.absent: Why | None = None  # why no live worker may have its calls, as Redis last said
        self.absent_detail = ""  # what more is known of that, in words
        self.absent_at = NEVER
        self.asked_at = NEVER  # when a caller last went by that word
        self.own_lane = key.lane  # where its calls are submitted ...
        self.lane = key.lane  # ... or here, until `lane_until`
        self.lane_until = NEVER
        self.named = ""  # the code of another function, which serves them by the name until `lane_until`
        self.lost_at = NEVER  # when that had gone
        self.lost_again = False  # and shortly after that once more

    def moved(self, lane: str, seconds: float) -> None:
        """Note on which lane workers for its calls were found; its own is tried again later."""
        self.lane, self.lane_until = lane, time.monotonic() + seconds

    def lost(self, digest: str, settled_seconds: float) -> bool:
        """Note that the code which served by the name has gone; return whether to ask once more who serves now.

        Not twice within `settled_seconds`, for which Redis may repeat an answer.
        """
        if self.named == digest:
            now = time.monotonic()
            self.lost_again = now - self.lost_at <= settled_seconds
            self.named, self.lane_until, self.lost_at = "", NEVER, now
        return not self.lost_again

    def wanted(self) -> str:
        """Return the digest of the code that is to serve a call now."""
        if self.named and time.monotonic() >= self.lane_until:
            self.named = ""
        return self.named or self.key.digest

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

    def took_here(self, seconds: float) -> float:
        """Note how long one call took in this process, and return it."""
        self.ran_at_client(1, seconds)
        if self.costs is not None:
            self.costs = self.costs.ran_here(seconds)
        return seconds

    def decided(self) -> Costs:
        """Count one more decision of "auto", and return what it goes by."""
        self.costs = (self.costs or Costs()).decided()
        return self.costs


class Store:
    """Every function that this client has met."""

    def __init__(self) -> None:
        self._functions: dict[Key, Known] = {}

    def of(self, key: Key) -> Known:
        """Return what is known of a function."""
        known = self._functions.get(key)
        return known if known is not None else self._functions.setdefault(key, Known(key))

    def mean_at_client(self, function: str) -> float | None:
        """Return how long a call of a function takes in this process, whatever its code; None where none has run."""
        means = [known.at_client for key, known in list(self._functions.items()) if key.function == function]
        return max(means, key=lambda one: one.calls, default=Experience()).mean_seconds

    def any_on_workers(self) -> bool:
        """Return whether a call of this client has ever run on a worker."""
        return any(known.on_workers.calls for known in list(self._functions.values()))

    def has_code(self, before: Key, key: Key) -> None:
        """Keep what was seen of a function before its code was known: its runs and their costs."""
        seen = self._functions.get(before)
        if seen is not None and key not in self._functions:
            known = self.of(key)
            known.on_workers, known.at_client, known.costs = seen.on_workers, seen.at_client, seen.costs

    def ask(self, key: Key) -> bool:
        """Note that a caller went by the last word about workers; return whether it is time to ask Redis again."""
        known, now = self.of(key), time.monotonic()
        if now - known.asked_at <= policy.TIMINGS.nudge_seconds:
            return False
        known.asked_at = now
        return True

    def asked(self) -> set[Key]:
        """Return the functions that callers asked for in the last moments."""
        since = time.monotonic() - 2 * policy.TIMINGS.nudge_seconds
        return {key for key, known in list(self._functions.items()) if known.asked_at > since}
