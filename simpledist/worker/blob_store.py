"""Blobs in the memory of a worker: each is fetched once, checked against its name, and opened by children.

Owns the memory: one sealed file in memory (memfd) a blob, which a child opens as a file of this process; where the
system has none, a file in a temporary folder. What was not used for longest goes first. Knows no Redis and no child:
jobs.py fetches what is missing. It comes straight into that memory, and is hashed on the way: blob_room.py.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import shutil
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from weakref import WeakValueDictionary

from simpledist.broker.slices import Download
from simpledist.buffers import Data, Filling, Pieces
from simpledist.errors import MissingBlob
from simpledist.worker.archive_cache import Coming
from simpledist.worker.blob_room import BlobRoom
from simpledist.worker.frames import BLOB_FILE

RECENT_SECONDS = 5.0  # a blob that was used so lately is about to be opened by a child
_MOST_BLOBS = 200  # each has a descriptor
_LEAST_BYTES = 256 * 1024 * 1024
_MOST_BYTES = 4 * 1024 * 1024 * 1024


@dataclass(slots=True)
class _Kept:
    """One blob: where children find it, its descriptor (-1: it is a file), and when it was last used."""

    path: str
    descriptor: int
    size: int
    used_at: float


class BlobStore:
    """Those of one worker. `most_bytes`: what is kept beyond what jobs need; by default a quarter of the memory."""

    def __init__(self, most_bytes: int | None = None) -> None:
        self._most_bytes = _quarter_of_memory() if most_bytes is None else most_bytes
        self._kept: dict[str, _Kept] = {}
        self._coming: WeakValueDictionary[str, Coming] = WeakValueDictionary()
        self._rooms: WeakValueDictionary[str, BlobRoom] = WeakValueDictionary()  # of those; a download holds its own
        self._folder = ""

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def size_bytes(self) -> int:
        """Return how much memory they take."""
        return sum(one.size for one in self._kept.values())

    def path(self, name: str) -> str | None:
        """Return where a child finds a blob; None where it must be fetched."""
        kept = self._kept.get(name)
        if kept is None:
            return None
        kept.used_at = time.monotonic()
        return kept.path

    def coming(self, name: str, download: Callable[[str, Callable[[int], Filling]], Download]) -> Coming:
        """Return a blob on its way; `download` begins, where it is not coming yet."""
        coming = self._coming.get(name)
        if coming is None:
            room = self._rooms[name] = BlobRoom(functools.partial(memory_file, name))
            coming = self._coming[name] = Coming(download(name, room.filling))
        return coming

    def keep(self, name: str, data: Data | None, in_use: Collection[str]) -> None:
        """Keep a blob that has come; `in_use` are those that jobs of children need.

        Raises MissingBlob where it is another one or None, OSError where there is no memory.
        """
        if data is None:
            raise MissingBlob(f"{name} is not in Redis any more")
        size = len(data)
        self._make_room(size, in_use)
        room = self._rooms.pop(name, None)
        taken = room.taken(data) if room is not None else None
        if taken is not None:
            digest, descriptor = taken
            if digest != name:
                os.close(descriptor)
                raise _something_else(name)
            self._sealed(name, descriptor, size)
            return
        path, descriptor = self._file(name)
        try:
            digest = sha256()
            parts = data.parts if isinstance(data, Pieces) else [data]
            while parts:  # each is let go when it is written: it is never twice in memory as a whole
                part = parts.pop(0)
                digest.update(part)
                _write(descriptor, part)
            if digest.hexdigest() != name:
                raise _something_else(name)
        except BaseException:
            os.close(descriptor)
            if path:
                Path(path).unlink(missing_ok=True)
            raise
        if path:
            os.close(descriptor)
            self._kept[name] = _Kept(path, -1, size, time.monotonic())
        else:
            self._sealed(name, descriptor, size)

    def _sealed(self, name: str, descriptor: int, size: int) -> None:
        """Keep a file in memory, which no one can write to from now on."""
        try:
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _seals())
        except OSError:
            os.close(descriptor)
            raise
        self._kept[name] = _Kept(f"/proc/{os.getpid()}/fd/{descriptor}", descriptor, size, time.monotonic())

    def _make_room(self, size: int, in_use: Collection[str]) -> None:
        before = time.monotonic() - RECENT_SECONDS
        left = self._most_bytes - size - self.size_bytes
        for name, one in sorted(self._kept.items(), key=lambda item: item[1].used_at):
            many = len(self._kept) >= _MOST_BLOBS
            if left >= 0 and not many:
                return
            if name not in in_use and (many or one.used_at < before):
                self._drop(name)
                left += one.size

    def _drop(self, name: str) -> None:
        kept = self._kept.pop(name)
        with contextlib.suppress(OSError):
            if kept.descriptor >= 0:
                os.close(kept.descriptor)
            else:
                os.unlink(kept.path)

    def _file(self, name: str) -> tuple[str, int]:
        """Return the path, and the descriptor, of an empty file; in memory it has no path yet."""
        with contextlib.suppress(OSError):
            return "", memory_file(name)
        if not self._folder:
            self._folder = tempfile.mkdtemp(prefix="simpledist-blobs-")
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        path = os.path.join(self._folder, f"{BLOB_FILE}{name}")
        return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def memory_file(name: str) -> int:
    """Return the descriptor of an empty file in memory. Raises OSError where the system has none."""
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    return os.memfd_create(f"{BLOB_FILE}{name}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def _something_else(name: str) -> MissingBlob:
    return MissingBlob(f"what Redis has as {name} is something else")


def _write(descriptor: int, part: bytes | memoryview) -> None:
    view = memoryview(part)
    while len(view):
        written = os.write(descriptor, view)
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        view = view[written:]


def _seals() -> int:
    return fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def _quarter_of_memory() -> int:
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        memory = 0
    return max(_LEAST_BYTES, min(memory // 4, _MOST_BYTES))
