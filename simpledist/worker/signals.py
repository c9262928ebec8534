"""SIGTERM and SIGINT, as the worker's loop sees them: a descriptor that becomes readable, and how many have come.

Before there is a loop they end the process. Used by the parent's one thread.
"""

from __future__ import annotations

import signal
import socket
from typing import Any

from simpledist.worker.lifeline import nothing

STOP = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """What has come so far. Owns the wake-up descriptor of the process once `listen` was called."""

    def __init__(self) -> None:
        self.count = 0
        self._woken, self._wake = socket.socketpair()
        self.number = self._woken.fileno()
        for number in STOP:
            signal.signal(number, _end)

    def listen(self) -> None:
        """Note them from now on, and do nothing else."""
        self._woken.setblocking(False)
        self._wake.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in STOP:
            signal.signal(number, nothing)

    def read(self) -> bool:
        """Note those that have come; return whether the first is among them."""
        before = self.count
        self.count += sum(number in STOP for number in self._woken.recv(4096))
        return before == 0 and self.count > 0

    def close(self) -> None:
        """Let go of the descriptors; what comes now changes nothing any more."""
        signal.set_wakeup_fd(-1)
        self._woken.close()
        self._wake.close()


def _end(_number: int, _frame: Any) -> None:
    raise SystemExit(0)
