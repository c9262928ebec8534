"""What tests of `client.pool()` have its children run."""

from __future__ import annotations

import os
import time


def square(n: int) -> int:
    return n * n


def slow_pid(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()
