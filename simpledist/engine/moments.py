"""Bounds of a wait for the outcome of a call, as moments of time.monotonic(). Knows no future."""

from __future__ import annotations

import time

# A waiting thread ends a budget itself so much later: a Redis that hangs may hold the listener up.
OVERDUE_SECONDS = 1.5
NEVER = float("inf")
CENTURIES = 1e12
LONGEST_WAIT_SECONDS = 1e6  # a lock refuses waits of some centuries, and of some weeks on other systems: wait again


def after(timeout: float) -> float:
    """Return the moment that is `timeout` seconds away. Raises ValueError for what is no number of seconds."""
    if timeout != timeout:
        raise ValueError(f"timeout={timeout}: use a number of seconds, or None for no limit")
    return time.monotonic() + min(timeout, CENTURIES)
