"""The connection between a worker's parent and one child, over which frames travel (frames.py).

Many frames travel in one system call. The parent's side never blocks (it has other children to look after), the child's
side may.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque

from simpledist.buffers import BIG_BYTES
from simpledist.worker.frames import Answer, Inbox, Order, answer_head, joined, order_head

_MOMENT_MS = 1
_BUSY_SECONDS = 0.02  # so long the parent is there for one child's big body alone


class Channel:
    """The parent's side: `send` queues, `flush` writes what the socket takes, `receive` reads what is there."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.number = sock.fileno()
        self._sock = sock
        self._out: deque[memoryview] = deque()
        self._inbox = Inbox(sock, Answer, answer_head)
        self.closed = False

    @property
    def wants_to_write(self) -> bool:
        return bool(self._out)

    def send(self, orders: list[Order]) -> None:
        """Send orders one behind the other, small ones together."""
        self._out.extend(map(memoryview, joined(orders)))
        self.flush()

    def flush(self) -> None:
        """Write what the socket takes."""
        if not self._out:
            return
        until = time.monotonic() + _BUSY_SECONDS
        try:
            while self._out:
                try:
                    sent = self._sock.send(self._out[0])
                except BlockingIOError:
                    if len(self._out[0]) <= BIG_BYTES or not self._goes_on(select.POLLOUT, until):
                        return
                    continue
                if sent < len(self._out[0]):
                    self._out[0] = self._out[0][sent:]
                else:
                    self._out.popleft()
        except OSError:
            self._out.clear()  # the child is gone; the end of the channel says so

    def _goes_on(self, event: int, until: float) -> bool:
        """Return whether the child does its part of a big body in a moment.

        To go back to the loop for each buffer that is full or empty would take longer than the bytes do.
        """
        poll = select.poll()
        poll.register(self._sock, event)
        return time.monotonic() < until and bool(poll.poll(_MOMENT_MS))

    def receive(self) -> list[Answer]:
        """Return every whole frame that has arrived; set `closed` at the end of the channel."""
        found: list[Answer] = []
        until = 0.0
        try:
            while True:
                try:
                    if not self._inbox.receive():
                        break
                except BlockingIOError:
                    until = until or time.monotonic() + _BUSY_SECONDS
                    if not self._inbox.arriving or not self._goes_on(select.POLLIN, until):
                        return found
                found += self._inbox.frames()
                if self._inbox.emptied and not self._inbox.arriving:
                    return found
            self.closed = True
        except OSError:
            self.closed = True
        return found

    def unread(self) -> bool:
        """Return whether something has come since it was read."""
        if self.closed:
            return False
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        self.closed = True
        self._sock.close()


class ChildChannel:
    """The child's side: reads may wait, writes do."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._inbox = Inbox(sock, Order, order_head)
        self.ended = False

    def read(self, *, wait: bool) -> list[Order]:
        """Return the frames that have come; with `wait` at least one, or none and set `ended`."""
        found: list[Order] = []
        try:
            while wait and not found and not self.ended:
                self.ended = not self._inbox.receive()
                found = self._inbox.frames()
            if not wait:
                self.ended = not self._inbox.receive(socket.MSG_DONTWAIT)
                found = self._inbox.frames()
        except BlockingIOError:
            pass
        return found

    def write(self, answer: Answer) -> None:
        """Send an answer, and wait until the socket has taken it."""
        for piece in joined([answer]):
            self._sock.sendall(piece)
