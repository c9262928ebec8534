"""The clock of Redis as one process knows it: what TIME said, carried on by this machine's steady clock.

Owns the offset between the two. Calls and shared outcomes carry a time of this clock, so that no process compares its
own clock with that of another process. A client reads the clock with each nudge, a worker with each beat: both do so
at every connect. One thread reads it; any thread may ask for the time.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import NamedTuple

# Two clocks run apart by less than this while NTP slows one of them down; where it hurries, a reading says so.
DRIFT = 5e-4


def _steady_clock() -> Callable[[], float]:
    """Return a clock that never jumps and goes on while the machine sleeps, where there is one."""
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC"):
        number = getattr(time, name, None)
        if number is None:
            continue
        try:
            time.clock_gettime(number)
        except OSError:
            continue
        return functools.partial(time.clock_gettime, number)
    return time.monotonic


moment = _steady_clock()


class Reading(NamedTuple):
    """One look at the clock of Redis: it showed `ms` at some moment between these two."""

    ms: int
    sent: float  # moment()
    received: float


class ServerClock:
    """The clock of the Redis that this process talks to."""

    def __init__(self) -> None:
        self._low = self._high = 0.0  # Redis' time in seconds is between these, less moment()
        self._read_at: float | None = None

    def read(self, reading: Reading) -> None:
        """Take in a reading; of several the narrowest counts, until one shows that Redis' clock has jumped."""
        # TIME comes in whole milliseconds, rounded down or to the nearest.
        low, high = (reading.ms - 1) / 1000 - reading.received, (reading.ms + 1) / 1000 - reading.sent
        if self._read_at is not None:
            drift = DRIFT * max(reading.received - self._read_at, 0.0)
            both = max(low, self._low - drift), min(high, self._high + drift)
            if both[0] <= both[1]:
                low, high = both
        self._low, self._high, self._read_at = low, high, reading.received

    def ms(self, at: float | None = None) -> int:
        """Return Redis' time now, or at that moment(), in ms, never more than it is; 0 where it was never read."""
        if self._read_at is None:
            return 0
        return int(((moment() if at is None else at) + self._low) * 1000)
