"""Replies out of a stream of bytes: hiredis' reader, or our own where hiredis cannot be had.

Both have `feed` and `gets`: the next whole reply, or False. An error that Redis answers with is an ErrorReply. Used by
link.py; knows no socket.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol


class ErrorReply(Exception):
    """What Redis answers instead of a value; its text begins with a word in capitals."""


class ReplyReader(Protocol):
    """What link.py needs of a reader."""

    def feed(self, data: bytes, /) -> Any:
        """Take in what arrived."""
        ...

    def gets(self) -> Any:
        """Return the next whole reply, or False while there is none. Raises ValueError: this is no Redis."""
        ...


class PlainReader:
    """The protocol in plain Python."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes, /) -> None:
        """Take in what arrived."""
        self._data += data

    def gets(self) -> Any:
        """Return the next whole reply, or False. Raises ValueError: this is no Redis."""
        found = self._at(0)
        if found is None:
            return False
        reply, end = found
        del self._data[:end]
        return reply

    def _at(self, start: int) -> tuple[Any, int] | None:
        """Return the reply that begins there and where it ends; None while it is not whole."""
        line_end = self._data.find(b"\r\n", start)
        if line_end < 0:
            if bytes(self._data[start : start + 1]) not in b"+-:$*":
                raise ValueError("what answers is no Redis")
            return None
        kind, line, after = bytes(self._data[start : start + 1]), bytes(self._data[start + 1 : line_end]), line_end + 2
        if kind == b"+":
            return line, after
        if kind == b"-":
            return ErrorReply(line.decode("utf-8", "replace")), after
        if kind == b":":
            return int(line), after
        if kind == b"$":
            return self._bulk_at(after, int(line))
        if kind == b"*":
            return self._array_at(after, int(line))
        raise ValueError("what answers is no Redis")

    def _bulk_at(self, start: int, length: int) -> tuple[Any, int] | None:
        if length < 0:
            return None, start
        end = start + length
        return (bytes(self._data[start:end]), end + 2) if len(self._data) >= end + 2 else None

    def _array_at(self, start: int, length: int) -> tuple[Any, int] | None:
        if length < 0:
            return None, start
        items: list[Any] = []
        for _ in range(length):
            found = self._at(start)
            if found is None:
                return None
            item, start = found
            items.append(item)
        return items, start


def new_reader() -> ReplyReader:
    """Return a reader for one connection."""
    try:
        return import_module("hiredis").Reader(protocolError=ValueError, replyError=ErrorReply)
    except ImportError:
        return PlainReader()
