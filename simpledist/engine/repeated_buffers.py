"""Big buffers that come again in the calls of a client: the second time they become blobs (wire/buffer_blobs.py).

Owns what is known of those that came. A few of its bytes tell which buffers may be the same; whether they are, their
content tells, at each call: the address or the identity of memory that can change says nothing. The copy that a call
holds is used by the later ones, and goes with the last of them. Any thread may ask. There is no lock, for the reasons
in shared_objects.py.

Contents are compared by xxh3-128, which is as fast as memory is read. The blob has the name of its SHA-256, which is
computed once for each content.
"""

from __future__ import annotations

import functools
import secrets
import time
import weakref
from collections.abc import Callable
from hashlib import blake2b, sha256
from importlib import import_module
from typing import Any

from simpledist.buffers import Blob, Data, Part, Pieces, copied, stays

_MOST_KNOWN = 1000
_MOST_NAMES = 16  # of buffers that look the same
_MOST_CHANGES = 5  # then those that look like this are one that changes between its calls: it travels in them
_SPOTS, _SPOT_BYTES = 256, 64


class _Known:
    """Buffers that look the same.

    `held`: returns memory of one that calls in flight hold, and the hash of its content, b"" until it is needed: set
    together, for threads meet here. `names`: by the hash of a content, the name of its blob; "" where it came once.
    """

    __slots__ = ("changes", "held", "in_band_until", "names")

    def __init__(self) -> None:
        self.held: tuple[Callable[[], memoryview | None], bytes] = _nothing, b""
        self.names: dict[bytes, str] = {}
        self.changes = 0
        self.in_band_until = float("-inf")

    def hold(self, view: memoryview, hashed: bytes) -> None:
        if stays(view):  # of a plain call it is the caller's, and may change once that has ended
            self.held = weakref.ref(view), hashed

    def note(self, hashed: bytes, name: str) -> None:
        if len(self.names) >= _MOST_NAMES and hashed not in self.names:
            self.names.clear()
        self.names[hashed] = name


class RepeatedBuffers:
    """Those of one client."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Known] = {}
        self._seed = secrets.randbits(64)  # so that no one can make two contents of one hash

    def seen(self, buffer: Part, *, lend: bool) -> Blob | Part:
        """Return the blob of a buffer that came before, else what is to be sent in its place.

        With `lend` the buffer does not change until its call has ended, so it is not copied.
        """
        look = _look(buffer)
        known = self._known.get(look)
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[look] = _Known()
            view = _still(buffer, lend)
            known.hold(view, b"")
            return view
        if known.changes >= _MOST_CHANGES or time.monotonic() < known.in_band_until:
            return buffer
        refers, hashed = known.held
        view = refers()
        if view is not None and not hashed:
            hashed = self._hash(view)
            known.hold(view, hashed)
            known.note(hashed, known.names.get(hashed, ""))
        if view is None or not _is(view, buffer):
            own = self._hash(buffer)
            if view is None or own != hashed:
                view, hashed = _still(buffer, lend), own
                known.hold(view, own)
        name = known.names.get(hashed)
        if name is None and known.names:
            known.note(hashed, "")
            known.changes += 1
            return view
        if not name:
            name = sha256(view).hexdigest()
            known.note(hashed, name)
        known.changes = 0
        return Blob(name, functools.partial(_bytes, view), len(view), "", functools.partial(_data, view))

    def _hash(self, buffer: Part) -> bytes:
        return _hasher()(buffer, self._seed)

    def stay_in_band(self, name: str, until: float) -> None:
        """Let a buffer travel in its calls until then (time.monotonic())."""
        for known in list(self._known.values()):
            if name in known.names.values():
                known.in_band_until = until


def _look(buffer: Part) -> bytes:
    """Return what equal buffers have in common, and others mostly not."""
    view, size = memoryview(buffer), len(buffer)
    digest = blake2b(size.to_bytes(8, "little"), digest_size=16)
    step = max((size - _SPOT_BYTES) // (_SPOTS - 1), 1)
    for at in range(0, size, step):
        digest.update(view[at : at + _SPOT_BYTES])
    return digest.digest()


def _still(buffer: Part, lend: bool) -> memoryview:
    """Return the content of a buffer as memory that does not change."""
    if isinstance(buffer, bytes):
        return memoryview(buffer)
    base = _base_of(buffer)
    if base is not None:
        return memoryview(base)
    return buffer if lend else copied(buffer)


def _base_of(buffer: memoryview) -> bytes | None:
    """Return the bytes that are all the memory of a buffer, if there are such: of a read-only array made of bytes."""
    owner: Any = buffer.obj
    for _ in range(20):
        if type(owner) is bytes:
            return owner if len(owner) == len(buffer) and _look(owner) == _look(buffer) else None
        if type(owner).__name__ != "ndarray" or owner.flags.writeable:
            return None
        owner = owner.base
    return None


def _is(view: memoryview, buffer: Part) -> bool:
    """Return whether a buffer is this very memory, which does not change: `bytes`, or a read-only array of them."""
    owner = buffer if isinstance(buffer, bytes) else _base_of(buffer)
    return owner is not None and view.obj is owner


@functools.cache
def _hasher() -> Callable[[Part, int], bytes]:
    """Return what compares contents; loaded only by a program with big buffers that come again."""
    try:
        hasher: Callable[[Part, int], bytes] = import_module("xxhash").xxh3_128_digest
    except ImportError:  # a worker that was started by `simpledist ssh --bootstrap`
        return lambda buffer, seed: sha256(buffer).digest()
    return hasher


def _bytes(view: memoryview) -> bytes:
    return bytes(view)


def _data(view: memoryview, *, keep: bool = False) -> Data:
    return Pieces([view])


def _nothing() -> None:
    """Return nothing: no call in flight holds it."""
