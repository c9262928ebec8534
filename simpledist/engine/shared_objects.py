"""Objects that a program shares: each stands outside the calls that contain it, as one blob (wire/blobs.py).

Owns which objects those are, by identity, and what is known of the blob of each. The bytes of a blob are made again for
each put but the first: of arrays they are the arrays' own memory, and of all else they would be a second copy for as
long as it is shared. Any thread may ask. There is no lock: a finaliser or a signal handler may come in between, and two
threads that encode an object at once both get a blob that is right.
"""

from __future__ import annotations

import functools
import os
import time
import weakref
from collections.abc import Callable
from hashlib import sha256
from typing import Any, cast

from simpledist import policy, wire
from simpledist.buffers import Blob, Data, Part, parts_of
from simpledist.engine.repeated_buffers import RepeatedBuffers
from simpledist.printable import logger

log = logger("simpledist")

CHECK_VARIABLE = "SIMPLEDIST_CHECK_SHARED"
# To name one of these takes longer than to send it.
_TOO_SMALL = frozenset((int, float, complex, bool, type(None), type(Ellipsis), type(NotImplemented)))
_SMALL_BYTES = 1024


class _Entry:
    """One shared object. `refers`: returns it, or None where it has died."""

    __slots__ = ("fresh", "in_band_until", "made", "refers")

    def __init__(self, refers: Callable[[], Any]) -> None:
        self.refers = refers
        self.fresh: Data | None = None  # its bytes, where they are no memory of the object's, until they are put
        self.made: tuple[str, int, str] | None = None  # name, size and Python of its blob, once it was encoded
        self.in_band_until = float("-inf")


class SharedObjects:
    """Those of one client; falsy while there are none. `kept`: whether its calls travel at all."""

    def __init__(self, *, kept: bool) -> None:
        self._kept = kept
        self._entries: dict[int, _Entry] = {}
        self._buffers = RepeatedBuffers()
        self._checks = os.environ.get(CHECK_VARIABLE) == "1"

    def __bool__(self) -> bool:
        return bool(self._entries)

    def share(self, value: Any) -> None:
        """Let an object travel as a blob from now on. What takes no weak reference is held until `unshare`."""
        kind = cast("type[object]", type(value))
        if (
            not self._kept
            or kind in _TOO_SMALL
            or (kind in (str, bytes) and len(value) < _SMALL_BYTES)
            or self._entry(value) is not None
        ):
            return
        key = id(value)
        try:
            refers: Callable[[], Any] = weakref.ref(value, lambda _: self._entries.pop(key, None))
        except TypeError:
            refers = functools.partial(_itself, value)
        self._entries[key] = _Entry(refers)

    def unshare(self, value: Any) -> None:
        """Let an object travel in its calls again."""
        if self._entry(value) is not None:
            self._entries.pop(id(value), None)

    def clear(self) -> None:
        """Let go of all."""
        self._entries.clear()

    def blob_of(self, value: object) -> Blob | None:
        """Return the blob of a shared object; None for any other. Raises Unserialisable."""
        entry = self._entries.get(id(value))
        if entry is None or entry.refers() is not value or time.monotonic() < entry.in_band_until:
            return None
        made = entry.made
        if made is None or self._checks:
            made = self._encoded(entry, value)
        name, size, python = made
        return Blob(name, functools.partial(_itself, value), size, python, functools.partial(_bytes_of, entry, value))

    def repeated(self, buffer: Part, *, lend: bool) -> Blob | Part:
        """Return the blob of a big buffer that came before, else what is to be sent in its place."""
        return self._buffers.seen(buffer, lend=lend) if self._kept else buffer

    def no_room(self, blob: Blob) -> None:
        """Let an object or a buffer travel in its calls for a while: Redis has no room for its blob."""
        until = time.monotonic() + policy.IN_BAND_SECONDS
        for entry in list(self._entries.values()):
            if entry.made is not None and entry.made[0] == blob.name:
                entry.in_band_until = until
        self._buffers.stay_in_band(blob.name, until)

    def _entry(self, value: object) -> _Entry | None:
        entry = self._entries.get(id(value))
        return entry if entry is not None and entry.refers() is value else None

    def _encoded(self, entry: _Entry, value: object) -> tuple[str, int, str]:
        """Encode an object to learn the name of its blob, and say so where it is another than it was."""
        data = wire.dump_blob(value)
        made = name_of(data), len(data), wire.python_of(data)
        if entry.made is not None and entry.made[0] != made[0]:
            log.error(
                "a shared object, a %s, was changed after it was shared: calls get what it is now; share a new object "
                "in place of changing one",
                type(value).__name__,
            )
        entry.made = made
        entry.fresh = data if all(type(part) is bytes for part in parts_of(data)) else None
        return made


def _bytes_of(entry: _Entry, value: object, *, keep: bool = False) -> Data:
    fresh = entry.fresh
    if not keep:
        entry.fresh = None
    return wire.dump_blob(value) if fresh is None else fresh


def name_of(data: Data) -> str:
    """Return the name of a blob with these bytes."""
    digest = sha256()
    for part in parts_of(data):
        digest.update(part)
    return digest.hexdigest()


def _itself(value: Any) -> Any:
    return value
