"""Counts the signals by which a person ends a command that runs for long: once to drain, twice to end at once.

A SIGHUP that is ignored, as under nohup, stays ignored. Main thread only. Called by commands that keep
workers elsewhere (ssh/fleet.py, slurm/follower.py); a worker has its own (worker/signals.py).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def counted(*, hangup: int) -> Generator[tuple[int, Callable[[], int]]]:
    """Count SIGINT and SIGTERM as one, SIGHUP as `hangup`; give a descriptor that wakes the loop, and the count."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    count = 0

    def note(number: int, _frame: FrameType | None) -> None:
        nonlocal count
        count += hangup if number == signal.SIGHUP else 1

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in numbers}
    wakeup = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    try:
        yield woken, lambda: count
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(woken)
        os.close(wake)
