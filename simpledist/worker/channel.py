"""Frames between a worker's parent and one child: a fixed head, two short texts and a body of bytes.

One job, answer or word is one frame; many travel in one system call. The parent's side never blocks (it has other
children to look after), the child's side may. Bodies are opaque, and a big one is received in place.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections import deque
from typing import NamedTuple

from simpledist.buffers import BIG_BYTES, Data, Filling, Part, parts_of

READY = b"r"  # child: it has begun
UNABLE = b"u"  # child: it cannot begin, and ends; first says why
JOB = b"j"  # parent: run this behind what you have; first and second are the job's id and function, code the codec
CHUNK = b"k"  # the same, with many calls in its body
RECALL = b"x"  # parent: this job (of a chunk: from this part on) and what is behind it goes back, if it has not begun
ANSWER = b"a"  # child: how a job ended; number is microseconds, first a line for people, second the kind
PARTS = b"p"  # child: how some calls of a chunk ended, from `part` on; the job's ANSWER comes behind the last of them

_HEAD = struct.Struct(">ccIIQIHQ")
_MOMENT_MS = 1
_BUSY_SECONDS = 0.02  # so long the parent is there for one child's big body alone
_READ_BYTES = 1 << 16


class Frame(NamedTuple):
    """`job` counts those of a child, `part` the calls of a chunk; `number` is microseconds or a count."""

    kind: bytes
    code: bytes = b"-"
    job: int = 0
    part: int = 0
    number: int = 0
    first: str = ""
    second: str = ""
    body: Data | memoryview = b""

    def head(self) -> bytes:
        """What goes before the body."""
        first, second = self.first.encode("utf-8", "replace"), self.second.encode()
        head = _HEAD.pack(
            self.kind, self.code, self.job, self.part, self.number, len(first), len(second), len(self.body)
        )
        return head + first + second


class _Inbox:
    """Whole frames out of a stream of bytes."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._room = memoryview(bytearray(_READ_BYTES))
        self._bytes = bytearray()
        self._arriving: tuple[Frame, Filling] | None = None  # a frame with a big body
        self._whole: list[Frame] = []
        self.emptied = False

    def receive(self, flags: int = 0) -> bool:
        """One read from the socket; False at its end. `emptied`: it has given all that it had."""
        if self._arriving is not None:
            frame, filling = self._arriving
            self.emptied = False
            count = self._sock.recv_into(filling.rest(), 0, flags)
            filling.filled(count)
            if filling.full:
                self._arriving = None
                self._whole.append(frame._replace(body=filling.pieces()))
            return count > 0
        count = self._sock.recv_into(self._room, 0, flags)
        self.emptied = 0 < count < _READ_BYTES
        self._bytes += self._room[:count]
        self._cut()
        return count > 0

    @property
    def arriving(self) -> bool:
        """Whether a big body is half there."""
        return self._arriving is not None

    def frames(self) -> list[Frame]:
        """Every frame that has become whole since the last time."""
        whole, self._whole = self._whole, []
        return whole

    def _cut(self) -> None:
        """Take whole frames, and the beginning of one with a big body, out of what has arrived."""
        at = 0
        with memoryview(self._bytes) as view:
            while self._arriving is None and len(view) - at >= _HEAD.size:
                kind, code, job, part, number, length1, length2, length = _HEAD.unpack_from(view, at)
                first = at + _HEAD.size
                second = first + length1
                body = second + length2
                end = body + length
                big = length > BIG_BYTES
                if len(view) < (body if big else end):
                    break
                texts = str(view[first:second], "utf-8"), str(view[second:body], "utf-8")
                frame = Frame(kind, code, job, part, number, *texts, b"" if big else bytes(view[body:end]))
                if big:
                    filling = Filling(length)
                    end = body + filling.put(view[body:])
                    if filling.full:
                        frame = frame._replace(body=filling.pieces())
                    else:
                        self._arriving = frame, filling
                if self._arriving is None:
                    self._whole.append(frame)
                at = end
        del self._bytes[:at]


class Channel:
    """The parent's side: `send` queues, `flush` writes what the socket takes, `receive` reads what is there."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._out: deque[memoryview] = deque()
        self._inbox = _Inbox(sock)
        self.closed = False

    def fileno(self) -> int:
        return self._sock.fileno()

    @property
    def wants_to_write(self) -> bool:
        return bool(self._out)

    def send(self, frames: list[Frame]) -> None:
        """Send frames in order, small ones together."""
        self._out.extend(memoryview(piece) for piece in _joined(frames))
        self.flush()

    def flush(self) -> None:
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
        """In the middle of a big body: whether the child has done its part in a moment.

        To go back to the loop for each buffer that is full or empty would take longer than the bytes do.
        """
        poll = select.poll()
        poll.register(self._sock, event)
        return time.monotonic() < until and bool(poll.poll(_MOMENT_MS))

    def receive(self) -> list[Frame]:
        """Every whole frame that has arrived; `closed` is set at the end of the channel."""
        found: list[Frame] = []
        until = time.monotonic() + _BUSY_SECONDS
        try:
            while True:
                try:
                    if not self._inbox.receive():
                        break
                except BlockingIOError:
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
        """Whether something has come since it was read."""
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
        self._inbox = _Inbox(sock)
        self.ended = False

    def read(self, *, wait: bool) -> list[Frame]:
        """The frames that have come; with `wait` at least one, or none and `ended` is set."""
        found: list[Frame] = []
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

    def write(self, frame: Frame) -> None:
        for piece in _joined([frame]):
            self._sock.sendall(piece)


def _joined(frames: list[Frame]) -> list[Part]:
    """The bytes of frames, in order: small ones together, big bodies as they are."""
    joined: list[Part] = []
    small: list[Part] = []
    for frame in frames:
        small.append(frame.head())
        if len(frame.body) <= BIG_BYTES:
            small += parts_of(frame.body)
        else:
            joined += (b"".join(small), *parts_of(frame.body))
            small = []
    if small:
        joined.append(b"".join(small))
    return joined
