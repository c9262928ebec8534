"""Waiting for a condition with a bound: the one place where tests let time pass."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(predicate: Callable[[], object], seconds: float, what: str) -> float:
    """Return how long it took until `predicate` held; fail, saying `what` was awaited, after so many seconds."""
    began = time.monotonic()
    while not predicate():
        waited = time.monotonic() - began
        if waited > seconds:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.005)
    return time.monotonic() - began
