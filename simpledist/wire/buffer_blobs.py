"""Big buffers of a call that are blobs by themselves: its body names them where it would have them.

    "o" | count 4 | (length 8, kind 1, place 1) a buffer | length 8 of the pickle | the pickle | buffers

`place` counts the names in front of the body from 1; 0: this buffer stands behind the pickle. Big bytes are part of a
pickle; those that are a blob are a buffer, too, and an opcode of pickle's own takes their place. A blob has nothing but
the bytes of its buffer, and is never unpickled. Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from simpledist.buffers import Blob, Data, Part, Reader, parts_of
from simpledist.errors import Undecodable

MARK = b"o"
LEAST_BYTES = 1_000_000  # of a buffer that may become a blob
# What a function gets in the place of a buffer.
WRITEABLE, READ_ONLY, BYTES, BYTEARRAY = range(4)
_COUNT, _ROW, _LENGTH = struct.Struct(">I"), struct.Struct(">QBB"), struct.Struct(">Q")

# Opcodes of pickle, for big bytes, for a buffer that stands outside, and at the beginning of a frame.
_BINBYTES, _BINBYTES8, _BYTEARRAY8, _NEXT_BUFFER, _FRAME = b"B", b"\x8e", b"\x96", b"\x97", b"\x95"

Ask = Callable[[Part], Blob | Part]
Row = tuple[int, Part | Blob]  # a kind, and what stands behind the pickle, or outside the body


def kind_of(buffer: memoryview) -> int:
    """Return what a function gets for a buffer that pickle hands out."""
    its: type[object] = type(buffer.obj)
    if its is bytes:
        return BYTES
    return BYTEARRAY if its is bytearray else READ_ONLY if buffer.readonly else WRITEABLE


def is_fixed(kind: int) -> bool:
    """Return whether a function cannot write to it."""
    return kind in (READ_ONLY, BYTES)


def taken_out(
    parts: Sequence[Part], big: Sequence[tuple[int, int]], buffers: Sequence[memoryview], ask: Ask, room: int
) -> tuple[list[Part], list[Row], list[Blob]]:
    """Return a pickle without the big bytes that are blobs, its buffers in their order, and the blobs.

    `big`: the places of big bytes among the parts, and how many buffers come before each. `ask`: returns the blob of
    some bytes, or the bytes, perhaps as a copy, to be sent in their place. `room`: how many blobs there may be.
    """
    left, rows, blobs = list(parts), list[Row](), dict[str, Blob]()

    def asked(part: Part) -> Part | Blob:
        if len(part) < LEAST_BYTES or len(blobs) >= room:
            return part
        its = ask(part)
        if isinstance(its, Blob):
            blobs.setdefault(its.name, its)
        return its

    at = 0
    for index, before in big:
        rows += [(kind_of(buffer), asked(buffer)) for buffer in buffers[at:before]]
        at = before
        header, kind = _header(left[index - 1] if index else b"", left[index])
        its = asked(left[index]) if header else left[index]
        if isinstance(its, Blob):
            left[index - 1], left[index] = bytes(left[index - 1][:-header]) + _NEXT_BUFFER, b""
            rows.append((kind, its))
        else:
            left[index] = its
    rows += [(kind_of(buffer), asked(buffer)) for buffer in buffers[at:]]
    return left, rows, list(blobs.values())


def _header(before: Part, part: Part) -> tuple[int, int]:
    """Return how long the opcode in front of big bytes is, and their kind; 0 where they may be something else."""
    tail, size = bytes(before[-9:]), len(part)
    if part[:1] == _FRAME:
        return 0, BYTES
    if tail[-5:] == _BINBYTES + (size & 0xFFFFFFFF).to_bytes(4, "little"):
        return 5, BYTES
    if tail[1:] == size.to_bytes(8, "little") and tail[:1] in (_BINBYTES8, _BYTEARRAY8):
        return 9, BYTES if tail[:1] == _BINBYTES8 else BYTEARRAY
    return 0, BYTES


def joined(mark: bytes, parts: Sequence[Part], rows: Sequence[Row], blobs: Sequence[Blob], first: int) -> list[Part]:
    """Return the parts of a body; its blobs are named from place `first` on."""
    places = {blob.name: first + number for number, blob in enumerate(blobs, 1)}
    table = b"".join(
        _ROW.pack(its.size, kind, places[its.name]) if isinstance(its, Blob) else _ROW.pack(len(its), kind, 0)
        for kind, its in rows
    )
    head = mark + MARK + _COUNT.pack(len(rows)) + table + _LENGTH.pack(sum(len(part) for part in parts))
    return [head, *parts, *(its for _, its in rows if not isinstance(its, Blob))]


def read_head(reader: Reader) -> tuple[list[tuple[int, int, int]], bytes]:
    """Read what stands behind the mark: the rows of the table, and the pickle."""
    (count,) = _COUNT.unpack(reader.read(_COUNT.size))
    packed = reader.read(count * _ROW.size)
    if len(packed) < count * _ROW.size:
        raise Undecodable("not a call: cut short")
    rows = list(_ROW.iter_unpack(packed))
    (length,) = _LENGTH.unpack(reader.read(_LENGTH.size))
    return rows, reader.read(length)


def as_kind(data: Data | memoryview, kind: int) -> bytes | bytearray | memoryview:
    """Return the bytes of a blob as a function is to get them; what it can write to is its own."""
    parts = parts_of(data)
    whole = parts[0] if len(parts) == 1 else b"".join(parts)
    if kind in (WRITEABLE, BYTEARRAY):
        return bytearray(whole)
    if kind == READ_ONLY:
        return memoryview(whole).toreadonly()
    its = whole.obj if isinstance(whole, memoryview) else whole
    return its if type(its) is bytes and len(its) == len(whole) else bytes(whole)
