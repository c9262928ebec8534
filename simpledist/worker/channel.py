"""Frames between a worker's parent and one child: a line of JSON and a body of bytes.

The parent's side never blocks (it has other children to look after), the child's side does. Bodies are opaque.
"""

from __future__ import annotations

import json
import socket
import struct
from collections import deque
from typing import Any

_HEAD = struct.Struct(">IQ")
_CHUNK = 1 << 20

Frame = tuple[dict[str, Any], bytes]


def pack(fields: dict[str, Any], body: bytes | memoryview = b"") -> list[bytes | memoryview]:
    """The pieces of one frame, in order; the body is not copied."""
    text = json.dumps(fields).encode()
    return [_HEAD.pack(len(text), len(body)) + text, body]


class Channel:
    """The parent's side: `send` queues, `flush` writes what the socket takes, `receive` reads what is there."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._out: deque[memoryview] = deque()
        self._in = bytearray()
        self.closed = False

    def fileno(self) -> int:
        return self._sock.fileno()

    @property
    def wants_to_write(self) -> bool:
        return bool(self._out)

    def send(self, fields: dict[str, Any], body: bytes | memoryview = b"") -> None:
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
        try:
            while True:
                data = self._sock.recv(_CHUNK)
                if not data:
                    self.closed = True
                    break
                self._in += data
        except BlockingIOError:
            pass
        except OSError:
            self.closed = True
        frames: list[Frame] = []
        while len(self._in) >= _HEAD.size:
            text_length, body_length = _HEAD.unpack_from(self._in)
            end = _HEAD.size + text_length + body_length
            if len(self._in) < end:
                break
            view = memoryview(self._in)
            fields = json.loads(bytes(view[_HEAD.size : _HEAD.size + text_length]))
            body = bytes(view[_HEAD.size + text_length : end])
            view.release()
            del self._in[:end]
            frames.append((fields, body))
        return frames

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
    body = _read(sock, body_length)
    if text is None or body is None:
        return None
    return json.loads(bytes(text)), bytes(body)


def write_frame(sock: socket.socket, fields: dict[str, Any], body: bytes | memoryview = b"") -> None:
    for piece in pack(fields, body):
        sock.sendall(piece)


def _read(sock: socket.socket, size: int) -> bytearray | None:
    buffer = bytearray(size)
    view = memoryview(buffer)
    while len(view):
        got = sock.recv_into(view, min(len(view), _CHUNK))
        if not got:
            return None
        view = view[got:]
    return buffer
