"""Frames between a worker's parent and one child: a fixed head, two short texts and a body of bytes.

An Order goes to the child, an Answer comes back. Bodies are opaque, and a big one is received in place. Knows sockets
to read from, but not who writes; channel.py has both sides of the connection.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from simpledist.buffers import BIG_BYTES, Data, Filling, Part, parts_of

# Kinds of orders.
JOB = b"j"  # run this behind what you have
BATCH = b"b"  # the same, with many calls in its body
RECALL = b"x"  # this job (of a batch: from `part` on) and what is behind it goes back, if it has not begun
ENTER = b"e"  # the modules of all your jobs, which are still to come, are in the archive whose path is the body
BLOB = b"d"  # a shared object that the next job names: the body is its name, a blank and the path of its bytes
# Kinds of answers.
READY = b"r"  # the child has begun
UNABLE = b"u"  # it cannot begin, and ends; `error_text` says why
ENDED = b"a"  # a job has come to its `outcome`
ROW = b"p"  # some calls of a batch have ended, from `part` on; ENDED comes behind the last of them

BLOB_FILE = "simpledist-blob-"  # what the system calls the memory of a blob, with the blob's name behind

_READ_BYTES = 1 << 16


class Order(NamedTuple):
    """What the parent wants of its child. `job` counts those of this child, `part` the calls of a batch."""

    kind: bytes
    job: int
    part: int = 0
    codec: bytes = b"-"
    id: str = ""
    function: str = ""
    body: Data | memoryview = b""

    def head(self) -> bytes:
        """Return what goes before the body."""
        id, function = self.id.encode("utf-8", "replace"), self.function.encode()
        head = _ORDER.pack(self.kind, self.codec, self.job, self.part, len(id), len(function), len(self.body))
        return head + id + function


class Answer(NamedTuple):
    """Message of a child. `outcome` is "value", "error", "batch", or a word of reasons.Why; `error_text` is for people.

    Of a row: how many `calls` it has, how many of them returned and raised, and how long they took together.
    """

    kind: bytes
    job: int = 0
    part: int = 0
    run_us: int = 0
    calls: int = 0
    returned: int = 0
    raised: int = 0
    outcome: str = ""
    error_text: str = ""
    body: Data | memoryview = b""

    def head(self) -> bytes:
        """Return what goes before the body."""
        outcome, error_text = self.outcome.encode(), self.error_text.encode("utf-8", "replace")
        head = _ANSWER.pack(*self[:7], len(outcome), len(error_text), len(self.body))
        return head + outcome + error_text


_ORDER = struct.Struct(">ccIIHHQ")
_ANSWER = struct.Struct(">cIIQIIIHIQ")
Frame = TypeVar("Frame", Order, Answer)
# All fields but the body, where the body begins, and how long it is; None while the head is not there.
Head = tuple[tuple[Any, ...], int, int] | None


def order_head(view: memoryview, at: int) -> Head:
    """Read what stands before the body of an order."""
    if len(view) < (texts := at + _ORDER.size):
        return None
    kind, codec, job, part, id_length, function_length, length = _ORDER.unpack_from(view, at)
    function = texts + id_length
    body = function + function_length
    if len(view) < body:
        return None
    id, name = str(view[texts:function], "utf-8"), str(view[function:body], "utf-8")
    return (kind, job, part, codec, id, name), body, length


def answer_head(view: memoryview, at: int) -> Head:
    """Read what stands before the body of an answer."""
    if len(view) < (texts := at + _ANSWER.size):
        return None
    *numbers, outcome_length, error_length, length = _ANSWER.unpack_from(view, at)
    error_at = texts + outcome_length
    body = error_at + error_length
    if len(view) < body:
        return None
    return (*numbers, str(view[texts:error_at], "utf-8"), str(view[error_at:body], "utf-8")), body, length


class Inbox(Generic[Frame]):
    """Whole frames out of a stream of bytes."""

    def __init__(
        self, sock: socket.socket, make: Callable[..., Frame], head: Callable[[memoryview, int], Head]
    ) -> None:
        self._sock = sock
        self._make = make
        self._head = head
        self._room = memoryview(bytearray(_READ_BYTES))
        self._bytes = bytearray()
        self._arriving: tuple[tuple[Any, ...], Filling] | None = None  # a frame with a big body
        self._whole: list[Frame] = []
        self.emptied = False

    def receive(self, flags: int = 0) -> bool:
        """Read once from the socket; return False at its end. `emptied`: it has given all that it had."""
        if self._arriving is not None:
            fields, filling = self._arriving
            self.emptied = False
            count = self._sock.recv_into(filling.rest(), 0, flags)
            filling.filled(count)
            if filling.full:
                self._arriving = None
                self._whole.append(self._make(*fields, filling.pieces()))
            return count > 0
        count = self._sock.recv_into(self._room, 0, flags)
        self.emptied = 0 < count < _READ_BYTES
        self._bytes += self._room[:count]
        self._cut()
        return count > 0

    @property
    def arriving(self) -> bool:
        """Say whether a big body is half there."""
        return self._arriving is not None

    def frames(self) -> list[Frame]:
        """Return every frame that has become whole since the last time."""
        whole, self._whole = self._whole, []
        return whole

    def _cut(self) -> None:
        """Take whole frames, and the beginning of one with a big body, out of what has arrived."""
        at = 0
        with memoryview(self._bytes) as view:
            while self._arriving is None and (head := self._head(view, at)) is not None:
                fields, body, length = head
                if length > BIG_BYTES:
                    filling = Filling(length)
                    at = body + filling.put(view[body:])
                    if filling.full:
                        self._whole.append(self._make(*fields, filling.pieces()))
                    else:
                        self._arriving = fields, filling
                    continue
                end = body + length
                if len(view) < end:
                    break
                self._whole.append(self._make(*fields, bytes(view[body:end])))
                at = end
        del self._bytes[:at]


def joined(frames: Sequence[Order] | Sequence[Answer]) -> list[Part]:
    """Return the bytes of frames, in order: small ones together, big bodies as they are."""
    found: list[Part] = []
    small: list[Part] = []
    for frame in frames:
        small.append(frame.head())
        if len(frame.body) <= BIG_BYTES:
            small += parts_of(frame.body)
        else:
            found += (b"".join(small), *parts_of(frame.body))
            small = []
    if small:
        found.append(b"".join(small))
    return found
