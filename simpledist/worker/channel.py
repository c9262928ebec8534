"""Frames between a worker's parent and one child: a line of JSON and a body of bytes.

The parent's side never blocks (it has other children to look after), the child's side does. Bodies are opaque.
"""

from __future__ import annotations

import json
import socket
import struct
from collections import deque
from typing import Any

from simpledist.pieces import BIG_BYTES, Data, Filling, Part, Pieces, parts_of

_HEAD = struct.Struct(">IQ")
_CHUNK = 1 << 20

Frame = tuple[dict[str, Any], Data]


def pack(fields: dict[str, Any], body: Data | memoryview = b"") -> list[Part]:
    """The pieces of one frame, in order; the body is not copied."""
    text = json.dumps(fields).encode()
    return [_HEAD.pack(len(text), len(body)) + text, *parts_of(body)]


class Channel:
    """The parent's side: `send` queues, `flush` writes what the socket takes, `receive` reads what is there."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._out: deque[memoryview] = deque()
        self._in = bytearray()
        self._arriving: tuple[dict[str, Any], Filling] | None = None  # a frame with a big body
        self.closed = False

    def fileno(self) -> int:
        return self._sock.fileno()

    @property
    def wants_to_write(self) -> bool:
        return bool(self._out)

    def send(self, fields: dict[str, Any], body: Data | memoryview = b"") -> None:
        self._out.extend(memoryview(piece) for piece in pack(fields, body) if len(piece))
        self.flush()

    def flush(self) -> None:
        try:
            while self._out:
                sent = self._sock.send(self._out[0])
                if sent < len(self._out[0]):
                    self._out[0] = self._out[0][sent:]
                else:
                    self._out.popleft()
        except BlockingIOError:
            return
        except OSError:
            self._out.clear()  # the child is gone; the end of the channel says so

    def receive(self) -> list[Frame]:
        """Every whole frame that has arrived; `closed` is set at the end of the channel."""
        frames: list[Frame] = []
        try:
            while not self.closed:
                if self._arriving is not None:
                    self._receive_big(frames)
                    continue
                data = self._sock.recv(_CHUNK)
                self.closed = not data
                self._in += data
                self._cut(frames)
        except BlockingIOError:
            pass
        except OSError:
            self.closed = True
        return frames

    def _receive_big(self, frames: list[Frame]) -> None:
        assert self._arriving is not None
        fields, body = self._arriving
        count = self._sock.recv_into(body.rest())
        self.closed = not count
        body.filled(count)
        if body.full:
            self._arriving = None
            frames.append((fields, body.pieces()))

    def _cut(self, frames: list[Frame]) -> None:
        """Take whole frames, and the beginning of one with a big body, out of what has arrived."""
        while len(self._in) >= _HEAD.size and self._arriving is None:
            text_length, body_length = _HEAD.unpack_from(self._in)
            begin = _HEAD.size + text_length
            end = begin + body_length
            big = body_length > BIG_BYTES
            if len(self._in) < (begin if big else end):
                return
            with memoryview(self._in) as view:
                fields = json.loads(bytes(view[_HEAD.size : begin]))
                if big:
                    body = Filling(body_length)
                    end = begin + body.put(view[begin:])
                    if body.full:
                        frames.append((fields, body.pieces()))
                    else:
                        self._arriving = fields, body
                else:
                    frames.append((fields, bytes(view[begin:end])))
            del self._in[:end]

    def close(self) -> None:
        self.closed = True
        self._sock.close()


def read_frame(sock: socket.socket) -> Frame | None:
    """The child's side: the next frame, or None at the end of the channel."""
    head = _read(sock, _HEAD.size)
    if head is None:
        return None
    text_length, body_length = _HEAD.unpack(head)
    text = _read(sock, text_length)
    body = _read(sock, body_length) if body_length <= BIG_BYTES else _read_big(sock, body_length)
    if text is None or body is None:
        return None
    return json.loads(text), body


def write_frame(sock: socket.socket, fields: dict[str, Any], body: Data | memoryview = b"") -> None:
    for piece in pack(fields, body):
        sock.sendall(piece)


def _read(sock: socket.socket, size: int) -> bytes | None:
    buffer = bytearray(size)
    view = memoryview(buffer)
    while len(view):
        got = sock.recv_into(view)
        if not got:
            return None
        view = view[got:]
    return bytes(buffer)


def _read_big(sock: socket.socket, size: int) -> Pieces | None:
    body = Filling(size)
    while not body.full:
        got = sock.recv_into(body.rest())
        if not got:
            return None
        body.filled(got)
    return body.pieces()
