"""Blobs that a body names: their names stand in front of it, or, where Redis cannot have them, the blobs themselves.

    [ "w" | count 2 | (name 32, length 8) a blob | the blobs ]  [ "s" | count 2 | name 32 a blob ]  the body

In the body a blob is a number, its place among these names. A worker's parent reads the names and nothing else; its
children look up what each means (`AtHand`), in what the parent has given them (`found_by`). Pure, but for that.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from simpledist.buffers import Blob, Data, Part, Pieces, Reader, blobs_of, parts_of
from simpledist.errors import MissingBlob, Undecodable, Unserialisable
from simpledist.wire.buffer_blobs import as_kind

NAMED, CARRIED = b"s", b"w"  # no pickle begins so, and no batch has a call of 1.8 GB
MOST = 64  # blobs of one call
_COUNT, _SIZE = struct.Struct(">H"), struct.Struct(">Q")
_NAME_BYTES = 32


class Shared(Protocol):
    """What stands outside the values that contain it; falsy where no object does, but perhaps big buffers."""

    def __bool__(self) -> bool: ...
    def blob_of(self, value: object) -> Blob | None:
        """Return the blob of a shared object, None for any other."""
        ...

    def repeated(self, buffer: Part, *, lend: bool) -> Blob | Part:
        """Return the blob of a big buffer that came before, else what is to be sent in its place."""
        ...


class Names:
    """Part of a pickler: writes a number in place of a shared object."""

    shared: Shared
    used: dict[str, tuple[int, Blob]]

    def persistent_id(self, obj: object) -> int | None:
        """Return the number of a shared object, None for any other: pickle asks for each object that it meets."""
        blob = self.shared.blob_of(obj)
        if blob is None:
            return None
        number = self.used.setdefault(blob.name, (len(self.used), blob))[0]
        if number >= MOST:
            raise Unserialisable(f"it has more than {MOST} shared objects in it")
        return number


class Finds:
    """Part of an unpickler: finds the object that a number means."""

    find: Callable[[int], Any]

    def persistent_load(self, number: int) -> Any:
        """Return the object. Raises MissingBlob."""
        return self.find(number)


@functools.cache
def with_part(part: type[Any], base: type[Any]) -> type[Any]:
    """Return a pickler or unpickler class with this part in it."""
    return type(f"{part.__name__}{base.__name__}", (part, base), {})


class Store(Protocol):
    """The blobs that a process has."""

    def find(self, name: str) -> Any:
        """Return the object of a blob. Raises MissingBlob."""
        ...

    def buffer(self, name: str, kind: int) -> bytes | bytearray | memoryview:
        """Return the bytes of a blob, as one of the kinds in buffer_blobs.py. Raises MissingBlob."""
        ...


class _Nothing:
    def find(self, name: str) -> Any:
        raise MissingBlob(f"{name}: this process has no blobs")

    def buffer(self, name: str, kind: int) -> bytes | bytearray | memoryview:
        raise MissingBlob(f"{name}: this process has no blobs")


_store: Store = _Nothing()


def found_by(store: Store) -> None:
    """Let bodies that are decoded in this process, a child that is given blobs, find them there."""
    global _store
    _store = store


class AtHand:
    """The blobs of one body: those that its client has, or that came with it, else those of this process."""

    def __init__(self, names: Sequence[str] | None, blobs: Sequence[Blob]) -> None:
        self._names = names
        self._blobs = {blob.name: blob for blob in blobs}

    def find(self, number: int) -> Any:
        """Return the object that a number means in the body. Raises MissingBlob."""
        name = self._name(number)
        blob = self._blobs.get(name)
        return _store.find(name) if blob is None else blob.get()

    def buffer(self, number: int, kind: int) -> bytes | bytearray | memoryview:
        """Return the bytes that a number means in the body. Raises MissingBlob."""
        name = self._name(number)
        blob = self._blobs.get(name)
        return _store.buffer(name, kind) if blob is None else as_kind(blob.encode(), kind)

    def _name(self, number: int) -> str:
        if self._names is None or not 0 <= number < len(self._names):
            raise Undecodable("not a call: it names no blob for a number in it")
        return self._names[number]


def naming(body: Data, blobs: Sequence[Blob]) -> Pieces:
    """Return a body that names these blobs."""
    names = b"".join(bytes.fromhex(blob.name) for blob in blobs)
    return Pieces([NAMED + _COUNT.pack(len(blobs)) + names, *parts_of(body)], blobs)


def carrying(body: Data) -> Data:
    """Return a body with the blobs that it names in front of it: nothing else is needed to decode it."""
    blobs = blobs_of(body)
    if not blobs:
        return body
    head, inside = [CARRIED + _COUNT.pack(len(blobs))], list[Part]()
    for blob in blobs:
        data = blob.encode()
        head.append(bytes.fromhex(blob.name) + _SIZE.pack(len(data)))
        inside += parts_of(data)
    return Pieces([b"".join(head), *inside, *parts_of(body)])


def names_in(body: Data | memoryview) -> tuple[str, ...]:
    """Return the names that stand in front of a body. Raises Undecodable."""
    if not isinstance(body, Pieces) and (not len(body) or body[0] != NAMED[0]):  # most of them
        return ()
    if _cut(body, 0, 1) != NAMED:
        return ()
    count = _count(_cut(body, 1, 3))
    return _names(_cut(body, 3, 3 + _NAME_BYTES * count), count)


def behind_names(body: Data | memoryview) -> int:
    """Return where a body begins, behind the names."""
    return 3 + _NAME_BYTES * _count(_cut(body, 1, 3)) if _cut(body, 0, 1) == NAMED else 0


def read_names(reader: Reader) -> tuple[str, ...]:
    """Read the names behind their mark. Raises Undecodable."""
    count = _count(reader.read(_COUNT.size))
    return _names(reader.read(_NAME_BYTES * count), count)


def read_carried(reader: Reader, load: Callable[[bytes], Any]) -> list[Blob]:
    """Read the blobs behind their mark; `load` makes an object of one, when it is asked for. Raises Undecodable."""
    count = _count(reader.read(_COUNT.size))
    rows = [(reader.read(_NAME_BYTES), reader.read(_SIZE.size)) for _ in range(count)]
    if rows and len(rows[-1][1]) < _SIZE.size:
        raise Undecodable("not a call: cut short")
    return [_carried(name.hex(), reader.read(_SIZE.unpack(size)[0]), load) for name, size in rows]


def _carried(name: str, data: bytes, load: Callable[[bytes], Any]) -> Blob:
    # One object for all calls of a batch; never made of the bytes of a buffer, which are no pickle.
    get = functools.cache(functools.partial(load, data))
    return Blob(name, get, len(data), "", lambda *, keep=False: data)


def _count(packed: bytes) -> int:
    if len(packed) < _COUNT.size:
        raise Undecodable("not a call: cut short")
    count: int = _COUNT.unpack(packed)[0]
    return count


def _names(packed: bytes, count: int) -> tuple[str, ...]:
    if len(packed) < _NAME_BYTES * count:
        raise Undecodable("not a call: cut short")
    return tuple(packed[at : at + _NAME_BYTES].hex() for at in range(0, len(packed), _NAME_BYTES))


def _cut(body: Data | memoryview, start: int, stop: int) -> bytes:
    return bytes(body.cut(start, stop) if isinstance(body, Pieces) else body[start:stop])
