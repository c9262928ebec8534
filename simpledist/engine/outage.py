"""Outage: Redis goes away, and what becomes of the calls under way.

Those in flight wait for `redis_grace`, and run at their clients if Redis is not back then; one that is refused runs at
its client at once. New calls do not come here: routing.py keeps them. Used by the listener's thread, which closes its
connections before and makes new ones afterwards.
"""

from __future__ import annotations

import logging
import random
import time

from simpledist import policy
from simpledist.engine.calls import Calls
from simpledist.engine.events import Home, Overdue
from simpledist.errors import RedisDown, RedisRefused


class Outage:
    """Redis is away, or not. Times are time.monotonic()."""

    def __init__(self, calls: Calls, timings: policy.Timings) -> None:
        self._calls = calls
        self._session = calls.session
        self._timings = timings
        self._since: float | None = None
        self._failures = 0

    @property
    def lasts(self) -> bool:
        """Return whether Redis is away."""
        return self._since is not None

    def ends(self) -> None:
        """Note that Redis is back."""
        self._since, self._failures = None, 0

    def goes_on(self, error: RedisDown | RedisRefused, *, asked_at: float) -> float:
        """Bring calls whose wait is over to their outcomes; return the seconds until the next try.

        `asked_at`: when Redis was last asked something. Silence is noticed later than it began.
        """
        now = time.monotonic()
        if self._since is None:
            self._since = max(asked_at, now - policy.COMMAND_TIMEOUT_SECONDS)
            text = f"Redis at {self._session.config.safe_url} is away: {error}"
            self._session.notices.leave(lambda: self._session.notices.say(lambda: text, logging.INFO))
        trouble = self._session.note_trouble(error)
        self._session.first_attempt.set()
        for group in self._calls.unsent.take():
            for future in group:
                future.sent = True  # they began while Redis was there: like those in flight, they wait for its return
        over = now - self._since >= self._timings.redis_grace_seconds
        for future in self._calls.flight.all():
            if over or trouble == "redis_refused":
                self._calls.apply(Home(future, trouble))
            elif future.call.deadline is not None and now >= future.call.deadline:
                self._calls.apply(Overdue(future))
        self._failures += 1
        return policy.backoff_seconds(self._failures, random.random())
