"""Which functions no live worker offers, as Redis last said.

Owns how old such a word may be. While somebody goes by it, the listener's nudges ask again, so that calls travel within
a second of a worker's return. Any thread may call it; whoever is in doubt submits a call, and hears.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from simpledist import policy


class Absence:
    """What was heard of each function that nobody offered."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake  # the listener, which may sleep as long as nobody asks
        self._heard: dict[str, float] = {}
        self._asked: dict[str, float] = {}

    def heard(self, function: str, *, live: bool) -> None:
        """What Redis says of it."""
        if live:
            self._heard.pop(function, None)
        else:
            self._heard[function] = time.monotonic()

    def of(self, function: str, since: float) -> bool:
        """Whether nobody offers it, heard after `since` (time.monotonic()) and not long ago."""
        heard = self._heard.get(function)
        now = time.monotonic()
        if heard is None or heard < since or now - heard > 2 * policy.TIMINGS.nudge_seconds:
            return False
        if now - self._asked.get(function, float("-inf")) > policy.TIMINGS.nudge_seconds:
            self._asked[function] = now
            self._wake()
        return True

    def asked(self) -> set[str]:
        """The functions that somebody asked for of late."""
        since = time.monotonic() - 2 * policy.TIMINGS.nudge_seconds
        return {function for function, at in list(self._asked.items()) if at > since}
