"""Big buffers that come again in the calls of a client: the second time they become blobs (wire/buffer_blobs.py).

Owns what is known of those that came. A few of its bytes tell which buffers may be the same; whether they are, their
content tells, at each call: the address or the identity of memory that can change says nothing. The copy that a call
holds is used by the later ones, and goes with the last of them. Any thread may ask. There is no lock, for the reasons
in shared_objects.py.
"""

from __future__ import annotations

import functools
import time
import weakref
from collections.abc import Callable
from hashlib import blake2b, sha256
from typing import Any

from simpledist.buffers import Blob, Data, Part, Pieces

_MOST_KNOWN = 1000
_MOST_NAMES = 16  # of buffers that look the same
_MOST_CHANGES = 5  # then those that look like this are one that changes between its calls: it travels in them
_SPOTS, _SPOT_BYTES = 256, 64


class _Known:
    """Buffers that look the same. `held`: returns memory of one that calls in flight hold, and its name if known."""

    __slots__ = ("changes", "held", "in_band_until", "names")

    def __init__(self) -> None:
        self.held: tuple[Callable[[], memoryview | None], str] = _nothing, ""
        self.names: set[str] = set()
        self.changes = 0
        self.in_band_until = float("-inf")

    def hold(self, view: memoryview, name: str) -> None:
        if type(view.obj) is bytes:  # of a plain call it is the caller's, and may change once that has ended
            self.held = weakref.ref(view), name
        if name:
            if len(self.names) >= _MOST_NAMES:
                self.names.clear()
            self.names.add(name)


class RepeatedBuffers:
    """Those of one client."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Known] = {}

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
            known.hold(view, "")
            return view
        if known.changes >= _MOST_CHANGES or time.monotonic() < known.in_band_until:
            return buffer
        refers, name = known.held
        view = refers()
        if view is None or not _equal(view, buffer):
            if view is not None and not name:
                known.names.add(_name_of(view))
            view = _still(buffer, lend)
            name = ""
        if not name:
            name = _name_of(view)
            is_new = bool(known.names) and name not in known.names
            known.hold(view, name)
            if is_new:
                known.changes += 1
                return view
        known.changes = 0
        return Blob(name, functools.partial(_bytes, view), len(view), "", functools.partial(_data, view))

    def stay_in_band(self, name: str, until: float) -> None:
        """Let a buffer travel in its calls until then (time.monotonic())."""
        for known in list(self._known.values()):
            if name in known.names:
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
    if base is not None and base.startswith(buffer):
        return memoryview(base)
    return buffer if lend else memoryview(bytes(buffer))


def _base_of(buffer: memoryview) -> bytes | None:
    """Return the bytes that are all the memory of a buffer, if there are such: of an array made of bytes."""
    owner: Any = buffer.obj
    for _ in range(20):
        if type(owner) is bytes:
            return owner if len(owner) == len(buffer) else None
        if type(owner).__name__ != "ndarray":
            return None
        owner = owner.base
    return None


def _equal(view: memoryview, buffer: Part) -> bool:
    """Return whether a buffer has this content. `startswith` compares as fast as memory is read."""
    whole: Any = view.obj
    return whole is buffer or (len(whole) == len(buffer) and whole.startswith(buffer))


def _name_of(view: memoryview) -> str:
    return sha256(view).hexdigest()


def _bytes(view: memoryview) -> bytes:
    return bytes(view)


def _data(view: memoryview, *, keep: bool = False) -> Data:
    return Pieces([view])


def _nothing() -> None:
    """Return nothing: no call in flight holds it."""
