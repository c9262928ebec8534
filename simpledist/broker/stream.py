"""The bytes of one connection: what is sent, and whole replies, within a deadline for progress.

A deadline is for bytes that move, not for a whole transfer: a command has its seconds and, beyond them, what a wire of
`policy.SLOWEST_BYTES` a second would need for the bytes that have moved each way. So a server that sends one byte a
second is as silent as one that sends none, and a big batch on a slow wire is no silence. Used by link.py.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

from simpledist import policy
from simpledist.broker.resp import LINE_BYTES, ReplyReader, TooLong
from simpledist.buffers import Filling, Part
from simpledist.interruption import by_signal

_READ_BYTES = 1 << 16
_AT_ONCE_BYTES = 16 * 1024  # the kernel takes so much of a command without waiting
_MEANWHILE_SECONDS = 0.5
_BIT_LONGER = 1.02  # a wait may be so many times as long as is asked for: to set the time of a socket takes 5 us

Meanwhile = Callable[[], None]


class Stream:
    """One connected socket; `meanwhile` is called while a command takes long, and may end it by raising.

    `until` (time.monotonic()) bounds whatever is waited for.
    """

    def __init__(self, sock: socket.socket, reader: ReplyReader, most_bytes: int = policy.REPLY_BYTES_MOST) -> None:
        self.meanwhile: Meanwhile | None = None
        self.until = float("inf")
        self.used_at = time.monotonic()
        self._sock = sock
        self._reader, self._most_bytes = reader, most_bytes
        self._timeout: float | None = sock.gettimeout()
        self._ahead: list[Any] = []  # a reply that `readable` found
        self._sent = 0  # bytes of the commands whose replies are due

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        try:
            self._sock.close()
        except OSError as error:  # of bytes that were never sent
            if by_signal(error):
                raise

    # --- sending -------------------------------------------------------------------------------------------------

    def write(self, data: bytes, seconds: float) -> None:
        """Send commands."""
        self._sent = len(data)
        waits = self._timeout
        if len(data) <= _AT_ONCE_BYTES and self.until == float("inf") and waits is not None and waits <= seconds:
            try:
                sent = self._sock.send(data)
            except TimeoutError as error:
                self._go_on(error)
                sent, seconds = 0, seconds - waits
            if sent == len(data):
                return
            data = data[sent:]
        self._write_slowly([data], seconds)

    def write_parts(self, parts: Iterable[Part], size: int, seconds: float) -> None:
        """Send a command that is in parts, without joining them."""
        self._sent = size
        self._write_slowly(parts, seconds)

    def _write_slowly(self, parts: Iterable[Part], seconds: float) -> None:
        began, moved, exactly = time.monotonic(), 0, False
        for part in parts:
            rest = memoryview(part)
            while len(rest):
                self._wait_for_more(began, policy.allowed_seconds(seconds, moved), exactly=exactly)
                exactly = True
                try:
                    count = self._sock.send(rest)
                except TimeoutError as error:
                    self._go_on(error)
                    continue
                rest, moved = rest[count:], moved + count

    # --- reading -------------------------------------------------------------------------------------------------

    def read(self, seconds: float) -> Any:
        """Return the next reply. Raises TimeoutError where it does not come in time, OSError at the end."""
        found, reply = self._next(seconds)
        if not found:
            raise TimeoutError("Redis does not answer")
        return reply

    def read_within(self, seconds: float) -> tuple[bool, Any]:
        """Return (True, reply) if it comes so soon, else (False, None): it is still outstanding."""
        return self._next(seconds, patient=False)

    def _next(self, seconds: float, *, patient: bool = True) -> tuple[bool, Any]:
        if self._ahead:
            return True, self._ahead.pop()
        reply = self._reader.gets()
        if reply is not False:
            return True, reply
        self.used_at = began = time.monotonic()
        moved = self._sent if patient and self._sent > _AT_ONCE_BYTES else 0
        left = policy.allowed_seconds(seconds, moved) if moved else seconds
        came = 0
        if self.until < float("inf"):
            left = self._left(began, left)
        exactly = False  # to set the time takes longer than to send a command
        while left > 0:
            self._wait_at_most(left if self.meanwhile is None else min(left, _MEANWHILE_SECONDS), exactly=exactly)
            exactly = True
            try:
                data = self._sock.recv(_READ_BYTES)
            except TimeoutError as error:
                self._go_on(error)
            else:
                if not data:
                    raise ConnectionError("Redis closed the connection")
                self._reader.feed(data)
                reply = self._reader.gets()
                if reply is not False:
                    return True, reply
                came += len(data)
                if came > self._most_bytes:
                    raise TooLong(f"an answer of Redis has more than {self._most_bytes // 1_000_000} MB")
                moved += len(data) if patient else 0
                self._tell_meanwhile()
            left = self._left(began, policy.allowed_seconds(seconds, moved))
        return False, None

    def readable(self) -> bool:
        """Return whether the next reply, or the end, is there. What came with the last reply shows on no poll."""
        if self._ahead:
            return True
        reply = self._reader.gets()
        if reply is not False:
            self._ahead.append(reply)
            return True
        if getattr(self._sock, "pending", int)():  # TLS has it, and no poll shows it
            return True
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(0))

    def fill(self, room: Filling, size: int, seconds: float) -> Any:
        """Read a value of `size` bytes into `room`, as it comes; return any other reply that comes in its place.

        Returns None where it came. What one cannot peek at (TLS) is copied.
        """
        if type(self._sock) is not socket.socket:
            return _copied(room, size, self.read(seconds))
        self.used_at = began = time.monotonic()
        line, end, _ = self._peek(began, seconds).partition(b"\r\n")
        if not end or line != b"$%d" % size:
            return _copied(room, size, self.read(seconds))
        self._sock.recv(len(line) + len(end))
        moved = 0
        while moved < size + len(end):
            self._wait_for_more(began, policy.allowed_seconds(seconds, self._sent + moved))
            try:
                if moved < size:
                    count = self._sock.recv_into(room.rest(), min(len(room.rest()), size - moved))
                    room.filled(count)
                else:
                    count = len(self._sock.recv(size + len(end) - moved))
            except TimeoutError as error:
                self._go_on(error)
                continue
            if not count:
                raise ConnectionError("the connection ended within a value")
            moved += count
        return None

    def _peek(self, began: float, seconds: float) -> bytes:
        """Return the first bytes that come, and leave them in the socket."""
        while True:
            self._wait_for_more(began, policy.allowed_seconds(seconds, self._sent))
            try:
                return self._sock.recv(LINE_BYTES, socket.MSG_PEEK)
            except TimeoutError as error:
                self._go_on(error)

    # --- time ----------------------------------------------------------------------------------------------------

    def _left(self, began: float, seconds: float) -> float:
        """Seconds that are left of so many, and of what bounds us."""
        if self.until == float("inf"):
            return seconds - (time.monotonic() - began)
        return min(began + seconds, self.until) - time.monotonic()

    def _wait_for_more(self, began: float, seconds: float, *, exactly: bool = True) -> None:
        """Set for how long the next step may wait. Raises TimeoutError: there is no time left."""
        left = self._left(began, seconds)
        if left <= 0:
            raise TimeoutError("Redis takes too long")
        self._wait_at_most(left if self.meanwhile is None else min(left, _MEANWHILE_SECONDS), exactly=exactly)

    def _wait_at_most(self, seconds: float, *, exactly: bool = True) -> None:
        """Let the next step wait so long; a first wait, which is not `exactly` it, may be shorter, or a bit longer."""
        if self._timeout is None or self._timeout > seconds * _BIT_LONGER or (exactly and self._timeout != seconds):
            self._sock.settimeout(seconds)
            self._timeout = seconds

    def _go_on(self, error: TimeoutError) -> None:
        """Go on after a step that has taken its time; what a signal handler raises is not the socket's."""
        if by_signal(error):
            raise error
        self._tell_meanwhile()

    def _tell_meanwhile(self) -> None:
        if self.meanwhile is not None:
            self.meanwhile()


def _copied(room: Filling, size: int, reply: Any) -> Any:
    """Put a value that came as one into its room; give back whatever else it is."""
    if isinstance(reply, bytes) and len(reply) == size:
        room.put(memoryview(reply))
        return None
    return reply
