"""Replies out of a stream of bytes: hiredis' reader, or our own where hiredis cannot be had.

Both have `feed` and `gets`: the next whole reply, or False. An error that Redis answers with is an ErrorReply. Used by
link.py; knows no socket.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol

from simpledist.errors import RedisDown

ELEMENTS_MOST = 1_000_000  # of one array; verbs and pages ask for some thousands
_MANY = re.compile(rb"\*\d{7}")
_STARS = bytes.maketrans(b"~>", b"**")  # what begins with one certain byte is found six times as fast
LINE_BYTES = 32  # the longest line in front of a value or of elements
_UNREAD_BYTES = 4 << 20  # then they are gone through, and let go
_ARRAYS, _VALUES = (b"*", b"~", b">"), (b"$", b"!", b"=")


class TooLong(RedisDown):
    """A reply has more bytes, or elements, than any that is expected: it is given up, with the connection.

    `received` are the replies before it, to commands that were sent together.
    """

    received: Sequence[Any] = ()


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


class BoundedReader:
    """The reader of hiredis for arrays of no more than ELEMENTS_MOST.

    hiredis makes a list for as many elements as are announced. Of one for 10^9, of which none ever comes, Python's
    collector visits each place: for nine seconds no thread of the process runs.
    """

    def __init__(self, reader: Any) -> None:
        self.gets = reader.gets
        self._feed, self._has_data = reader.feed, reader.has_data
        self._unread: list[bytes] = []  # what came since the reader last stood between two lines or values
        self._size = 0  # of these
        self._inside = 0  # so many of the next bytes belong to a value

    def feed(self, data: bytes, /) -> None:
        """Take in what arrived. Raises TooLong."""
        unread = self._unread
        if self._inside or len(unread) > 1 or (unread and not self._is_between(unread[0])) or _announces_many(data):
            self._look(data)
        else:  # whole replies came before, and this piece announces little: as nearly always
            self._unread, self._size = [data], len(data)
        self._feed(data)

    def _is_between(self, last: bytes) -> bool:
        """Return whether hiredis stands between two replies; it may also have read the first byte of a line."""
        return last[-1:] == b"\n" and not self._has_data()

    def _look(self, data: bytes) -> None:
        """Take the piece to those before it, and raise TooLong where they announce too many elements."""
        if len(data) <= self._inside:
            self._inside -= len(data)
            return
        rest = data[self._inside :] if self._inside else data
        if self._inside or (self._unread and self._is_between(self._unread[-1])):
            self._unread.clear()
            self._size = self._inside = 0
        self._unread.append(rest)
        self._size += len(rest)
        if _announces_many(rest) or (len(self._unread) > 1 and (self._size > _UNREAD_BYTES or self._begins_before())):
            self._demand_few()

    def _begins_before(self) -> bool:
        """Return whether what announces many elements begins in an earlier piece than the last."""
        pieces = self._unread
        before, at = b"", len(pieces) - 1
        while at > 0 and len(before) < LINE_BYTES:
            at -= 1
            before = pieces[at][-LINE_BYTES:] + before
        return _announces_many(before + pieces[-1][:LINE_BYTES])

    def _demand_few(self) -> None:
        """Raise TooLong where too many elements are announced; keep what no line of the protocol ends yet."""
        text, at = b"".join(self._unread), 0
        while at < len(text):
            end = text.find(b"\r\n", at)
            kind, number = text[at : at + 1], text[at + 1 : end if 0 <= end < at + LINE_BYTES else at + LINE_BYTES]
            if kind in _ARRAYS and number.isdigit() and int(number) >= ELEMENTS_MOST:
                raise TooLong(f"an answer of Redis has {ELEMENTS_MOST:,} elements or more")
            if end < 0:
                break
            at = end + 2 + (int(number) + 2 if kind in _VALUES and number.isdigit() else 0)
        self._inside = max(at - len(text), 0)
        self._unread = [text[at:]] if at < len(text) else []
        self._size = max(len(text) - at, 0)


def _announces_many(data: bytes) -> bool:
    """Return whether the bytes announce many elements, or hold a value with such a text in it."""
    return _MANY.search(data.translate(_STARS)) is not None


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
        return BoundedReader(import_module("hiredis").Reader(protocolError=ValueError, replyError=ErrorReply))
    except ImportError:
        return PlainReader()
