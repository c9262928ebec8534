"""Which functions no live worker may have, as Redis last said, and why.

Owns how old such a word may be. While somebody goes by it, the listener's nudges ask again, so that calls travel within
a second of a worker's return. Any thread may call it; whoever is in doubt submits a call, and hears.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from simpledist import policy
from simpledist.job import Why


class Absence:
    """What was heard of each function that nobody offered."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake  # the listener, which may sleep as long as nobody asks
        self._heard: dict[str, tuple[float, Why]] = {}
        self._asked: dict[str, float] = {}

    def heard(self, function: str, why: Why | None) -> None:
        """What Redis says of it; None: a worker may have its calls."""
        if why is None:
            self._heard.pop(function, None)
        else:
            self._heard[function] = time.monotonic(), why

    def of(self, function: str, since: float) -> Why | None:
        """Why nobody may have it, heard after `since` (time.monotonic()) and not long ago."""
        heard, why = self._heard.get(function, (float("-inf"), None))
        now = time.monotonic()
        if heard < since or now - heard > 2 * policy.TIMINGS.nudge_seconds:
            return None
        if now - self._asked.get(function, float("-inf")) > policy.TIMINGS.nudge_seconds:
            self._asked[function] = now
            self._wake()
        return why

    def asked(self) -> set[str]:
        """The functions that somebody asked for of late."""
        since = time.monotonic() - 2 * policy.TIMINGS.nudge_seconds
        return {function for function, at in list(self._asked.items()) if at > since}
