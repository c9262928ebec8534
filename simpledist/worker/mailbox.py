"""Lines of JSON between a worker's parent and its template, each with a descriptor attached where one must travel.

The parent's side never waits: what the socket does not take now is kept in order. The template's side may wait, for the
parent always reads. A line that lost its descriptor on the way (the receiver had no room for one more) is known from
the others: its descriptor is None.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
from collections import deque
from typing import Any

_READ_BYTES = 65536
_MOST_DESCRIPTORS = 8  # the kernel hands over those of one line at a time
_TAKES_DESCRIPTOR = "start"  # a line with this key has one attached

Line = dict[str, Any]


class Mailbox:
    """One side of it. Owns the socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._out: deque[tuple[bytes, int | None]] = deque()
        self._part = b""
        self._descriptors: deque[int | None] = deque()

    def fileno(self) -> int:
        return self._sock.fileno()

    # --- out ---------------------------------------------------------------------------------------------------------

    def post(self, line: Line, descriptor: int | None = None) -> None:
        """Send a line, now or by a later `flush`; the descriptor is closed here once it is sent.

        A receiver that is gone gets nothing: its end is read next.
        """
        self._out.append((json.dumps(line).encode() + b"\n", descriptor))
        self.flush()

    @property
    def wants_to_write(self) -> bool:
        return bool(self._out)

    def flush(self) -> None:
        """Write what the socket takes."""
        while self._out:
            data, descriptor = self._out.popleft()
            try:
                if descriptor is None:
                    sent = self._sock.send(data)
                else:
                    sent = socket.send_fds(self._sock, [data], [descriptor])
            except BlockingIOError:
                self._out.appendleft((data, descriptor))
                return
            except OSError:
                _close(descriptor)
                self._drop()
                return
            _close(descriptor)
            if sent < len(data):
                self._out.appendleft((data[sent:], None))

    # --- in ----------------------------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> bool:
        """Return whether there is something to read within so long."""
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def read(self) -> list[tuple[Line, int | None]] | None:
        """Return every line that has become whole, with its descriptor; None at the other side's end."""
        try:
            data, descriptors, flags, _ = socket.recv_fds(
                self._sock, _READ_BYTES, _MOST_DESCRIPTORS, getattr(socket, "MSG_CMSG_CLOEXEC", 0)
            )
        except BlockingIOError:
            return []
        except OSError:
            return None
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        self._descriptors.extend(descriptors)
        if flags & socket.MSG_CTRUNC and not descriptors:
            self._descriptors.append(None)
        if not data:
            return None
        *whole, self._part = (self._part + data).split(b"\n")
        lines: list[Line] = [json.loads(text) for text in whole]
        return [(line, self._next_descriptor() if _TAKES_DESCRIPTOR in line else None) for line in lines]

    def _next_descriptor(self) -> int | None:
        return self._descriptors.popleft() if self._descriptors else None

    # --- its end -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        self._sock.close()
        self._drop()
        while self._descriptors:
            _close(self._descriptors.popleft())

    def _drop(self) -> None:
        while self._out:
            _close(self._out.popleft()[1])


def _close(descriptor: int | None) -> None:
    if descriptor is not None:
        with contextlib.suppress(OSError):
            os.close(descriptor)
