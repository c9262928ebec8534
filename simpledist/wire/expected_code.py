"""Code that a caller expects behind the names in a body: lines that stand in front of its pickle.

    [ names of blobs ]  "k" | length 4 | lines  the pickle, or the calls of a batch

What a line says is opaque here (code/argument_code.py). A worker's child compares the lines before it decodes what
stands behind them; clients pass over them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from simpledist.buffers import Data, Pieces, Reader
from simpledist.errors import Undecodable
from simpledist.wire import blobs

MARK = b"k"  # no pickle begins so, and no batch has a call of 1.8 GB
_LENGTH = struct.Struct(">I")


def _ignore(_: str) -> None:
    """Compare nothing: this process is no worker's child."""


_compare: Callable[[str], None] = _ignore


def compared_by(function: Callable[[str], None]) -> None:
    """Call this function with the lines of each body before it is decoded; what it raises is the outcome of that."""
    global _compare
    _compare = function


def expecting(body: Data, lines: str) -> Data:
    """Return a body with these lines."""
    text = lines.encode("utf-8", "surrogatepass")
    head = MARK + _LENGTH.pack(len(text)) + text
    if isinstance(body, bytes):
        return head + body
    before = 1 if body.blobs else 0  # their names are one piece
    return Pieces([*body.parts[:before], head, *body.parts[before:]], body.blobs)


def without_lines(body: bytes) -> bytes:
    """Return a body without its lines, if it has any."""
    at = blobs.behind_names(body)
    return body[:at] + body[behind_lines(body, at) :]


def behind_lines(body: Data | memoryview, at: int = 0) -> int:
    """Return where a body goes on behind the lines that stand here; where none do, here. Raises Undecodable."""
    if _cut(body, at, at + 1) != MARK:
        return at
    return at + 1 + _LENGTH.size + _length(_cut(body, at + 1, at + 1 + _LENGTH.size))


def compare_lines_of(body: memoryview) -> memoryview:
    """Compare the lines in front of a body; return what stands behind them. Raises Undecodable, and OtherCode."""
    end = behind_lines(body)
    if end:
        compare(Reader(Pieces([body[1:end]])))
    return body[end:]


def compare(reader: Reader) -> None:
    """Read lines behind their mark, and compare them. Raises Undecodable, and OtherCode."""
    text = reader.read(_length(reader.read(_LENGTH.size)))
    _compare(str(text, "utf-8", "surrogatepass"))


def _length(packed: bytes) -> int:
    if len(packed) < _LENGTH.size:
        raise Undecodable("not a call: cut short")
    length: int = _LENGTH.unpack(packed)[0]
    return length


def _cut(body: Data | memoryview, start: int, stop: int) -> bytes:
    return bytes(body.cut(start, stop) if isinstance(body, Pieces) else body[start:stop])
