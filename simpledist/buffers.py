"""Bytes in pieces: a big value on its way, never joined, and given back to the system as it is read.

A value of 100 MB that is joined, copied or kept a moment too long costs each process 100 MB more. So what is big
travels as the pieces that it was made of, lands in mappings of a few MB (malloc would keep them), and its reader lets
each of them go once it is read: the bytes and the object made of them are never whole in memory together.
Knows nothing of envelopes, pickles or Redis; small values stay plain `bytes`.
"""

from __future__ import annotations

import contextlib
import io
import mmap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

BIG_BYTES = 64 * 1024  # from here on it pays
NAMES_BYTES = 2 * BIG_BYTES  # names of classes stand in a pickle's frames, which are shorter; a longer piece is a value
_MAPPING_BYTES = 4 * 1024 * 1024

Part = bytes | memoryview


class Encode(Protocol):
    """Returns the bytes of a blob."""

    def __call__(self, *, keep: bool = False) -> Data: ...


@dataclass(frozen=True, slots=True, eq=False)
class Blob:
    """An object that stands outside the values that contain it, named by the SHA-256 of its bytes, in hex.

    `get` returns the object. `encode` returns these bytes; with `keep` they are wanted once more soon. `python`: the
    minor that alone can load them, "" where any can.
    """

    name: str
    get: Callable[[], Any]
    size: int
    python: str
    encode: Encode


class Pieces:
    """One value, in order. Reading it (`Reader`) uses it up; everything else leaves it as it is.

    `blobs`: what the value contains, and what stands outside of it.
    """

    __slots__ = ("_size", "blobs", "parts")

    def __init__(self, parts: Iterable[Part], blobs: Sequence[Blob] = ()) -> None:
        self.parts: list[Part] = [part for part in parts if len(part)]
        self.blobs = blobs
        self._size = sum(len(part) for part in self.parts)

    def __len__(self) -> int:
        return self._size

    def __bytes__(self) -> bytes:
        return b"".join(self.parts)

    def cut(self, start: int, stop: int) -> Pieces:
        """Return the bytes between two positions as views; nothing is copied."""
        views: list[Part] = []
        for part in self.parts:
            if stop <= 0:
                break
            length = len(part)
            if start < length:
                views.append(memoryview(part)[max(start, 0) : min(stop, length)])
            start, stop = start - length, stop - length
        return Pieces(views)


Data = bytes | Pieces


def kept(parts: Iterable[Part], lend: bool) -> Data:
    """Return parts as one value; without `lend` what can change is copied."""
    pieces = Pieces(parts if lend else [part if stays(part) else copied(part) for part in parts])
    return pieces if len(pieces) > BIG_BYTES else bytes(pieces)


def stays(part: Part) -> bool:
    """Return whether the bytes of a part never change."""
    return isinstance(part, bytes) or type(part.obj) in (bytes, _Copy)


def blobs_of(data: Data | memoryview) -> Sequence[Blob]:
    """Return the blobs that an encoded value names."""
    return data.blobs if isinstance(data, Pieces) else ()


def whole_size(data: Data) -> int:
    """Return how many bytes an encoded value has together with its blobs."""
    return len(data) + sum(blob.size for blob in blobs_of(data))


def parts_of(data: Data | memoryview) -> Sequence[Part]:
    return data.parts if isinstance(data, Pieces) else (data,)


class _Copy(mmap.mmap):
    """Memory that is filled once, and that no one changes from then on."""


def copied(part: Part) -> memoryview:
    """Return the bytes of a part in memory that never changes."""
    size = len(part)
    if size < _MAPPING_BYTES:
        return memoryview(bytes(part))
    view = memoryview(_mapping(size, make=_Copy))
    view[:] = part
    return view.toreadonly()


def _mapping(size: int = _MAPPING_BYTES, *, whole: bool = True, make: type[mmap.mmap] = mmap.mmap) -> mmap.mmap:
    """Memory that goes back to the system with its last view.

    By default it would be shared with children, and its pages come one by one: that takes as long as to fill them. Big
    pages are for what fills them to the end: the rest of one would be memory for nothing.
    """
    mapping = make(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if whole and hasattr(mmap, "MADV_HUGEPAGE"):  # Linux
        with contextlib.suppress(OSError):  # a kernel without them
            mapping.madvise(mmap.MADV_HUGEPAGE)
    return mapping


def private_memory(missing: int) -> memoryview:
    """Return memory for the next of so many bytes."""
    return memoryview(_mapping(whole=missing >= _MAPPING_BYTES))


class Filling:
    """Room for a value that is about to arrive: fill `rest()`, tell `filled`, and take `pieces` once it is `full`.

    `memory`: returns the memory to fill next, of any length; it is called with the number of missing bytes.
    """

    def __init__(self, size: int, memory: Callable[[int], memoryview] | None = None) -> None:
        self._missing = size
        self._memory = memory or private_memory
        self._views: list[Part] = []
        self._rest = memoryview(b"")

    @property
    def full(self) -> bool:
        return not self._missing

    def rest(self) -> memoryview:
        """Return the memory to fill next."""
        if not len(self._rest):
            self._rest = self._memory(self._missing)[: self._missing]
            self._views.append(self._rest)
        return self._rest

    def filled(self, count: int) -> None:
        self._rest = self._rest[count:]
        self._missing -= count

    def put(self, data: memoryview) -> int:
        """Copy what arrived with something else; how much of it was ours."""
        taken = 0
        while taken < len(data) and self._missing:
            room = self.rest()
            count = min(len(room), len(data) - taken)
            room[:count] = data[taken : taken + count]
            self.filled(count)
            taken += count
        return taken

    def pieces(self) -> Pieces:
        views, self._views, self._rest = self._views, [], memoryview(b"")
        return Pieces(views)


class Reader:
    """Reads Pieces as a file, once: what is read is let go."""

    def __init__(self, pieces: Pieces) -> None:
        self._parts = pieces.parts
        self._parts.reverse()  # the next one is the last: popping it is cheap

    def readinto(self, buffer: bytearray | memoryview) -> int:
        room = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(room) and self._parts:
            part = memoryview(self._parts.pop())
            count = min(len(part), len(room) - filled)
            room[filled : filled + count] = part[:count]
            filled += count
            if count < len(part):
                self._parts.append(part[count:])
        return filled

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            data = b"".join(reversed(self._parts))
            self._parts.clear()
            return data
        buffer = bytearray(size)
        return bytes(memoryview(buffer)[: self.readinto(buffer)])

    def read_buffer(self, size: int, *, readonly: bool) -> bytes | bytearray:
        """Read so much, into memory that is never there twice. Raises EOFError where it is cut short."""
        if not readonly:
            buffer = bytearray(size)
            if self.readinto(buffer) < size:
                raise EOFError("cut short")
            return buffer
        # The bytes that a BytesIO holds can be filled in place.
        file = io.BytesIO()
        file.seek(size - 1)
        file.write(b"\0")
        with file.getbuffer() as room:
            if self.readinto(room) < size:
                raise EOFError("cut short")
        return file.getvalue()

    def put_back(self, data: bytes) -> None:
        """Let these bytes be read next."""
        self._parts.append(data)

    def readline(self) -> bytes:
        """Raise: only pickles of protocol 0 have lines, and ours have none."""
        line = b""
        while not line.endswith(b"\n") and (byte := self.read(1)):
            line += byte
        return line
