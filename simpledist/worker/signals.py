"""SIGTERM and SIGINT, and what they mean to a worker: the first asks it to drain, a second one to leave at once.

The loop sees them as a descriptor that becomes readable, and shutdown.py does what they ask for. Before there is a loop
they end the process. Used by the parent's one thread.
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
        self._count = 0
        self._woken, self._wake = socket.socketpair()
        self.number = self._woken.fileno()
        for number in STOP:
            signal.signal(number, _end)

    @property
    def ask_to_drain(self) -> bool:
        """Return whether the worker is to finish what runs, and to take no more."""
        return self._count > 0

    @property
    def ask_to_leave_now(self) -> bool:
        """Return whether the worker is to give back what still runs, and to go."""
        return self._count > 1

    def listen(self) -> None:
        """Note them from now on, and do nothing else."""
        self._woken.setblocking(False)
        self._wake.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in STOP:
            signal.signal(number, nothing)

    def read(self) -> None:
        """Note those that have come."""
        self._count += sum(number in STOP for number in self._woken.recv(4096))

    def close(self) -> None:
        """Let go of the descriptors; what comes now changes nothing any more."""
        signal.set_wakeup_fd(-1)
        self._woken.close()
        self._wake.close()


def _end(_number: int, _frame: Any) -> None:
    raise SystemExit(0)
