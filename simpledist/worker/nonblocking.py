"""A descriptor that is written to without waiting for its reader. Used by printer.py for the worker's stderr."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat


class NonblockingWriter:
    """A descriptor that is written to without waiting, though others who share it may wait."""

    def __init__(self, descriptor: int) -> None:
        self._socket: socket.socket | None = None
        self._descriptor = descriptor
        with contextlib.suppress(OSError):
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISSOCK(mode):
                self._socket = socket.socket(fileno=os.dup(descriptor))
            elif stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
                # Not set on our own descriptor: a shell that shares it would get it too.
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
                self._descriptor = os.open(f"/proc/self/fd/{descriptor}", flags)

    def register(self, poll: select.poll) -> None:
        """Wake a poll when the descriptor takes something."""
        with contextlib.suppress(OSError, ValueError):
            poll.register(self._descriptor, select.POLLOUT)

    def write(self, data: bytes) -> int | None:
        """Return how many bytes it took; None where it never takes any."""
        try:
            if self._socket is not None:
                return self._socket.send(data, socket.MSG_DONTWAIT)
            poll = select.poll()
            poll.register(self._descriptor, select.POLLOUT)
            if not poll.poll(0):
                return 0
            return os.write(self._descriptor, data)
        except BlockingIOError:
            return 0
        except OSError:
            return None
