"""Blobs in a child: each is mapped from the worker's memory, and of a shared object decoded once for all its jobs.

Used in a child: the parent says where a blob is (`lend`) before the job that needs it, and decoding the job's arguments
asks for the object (`find`), or for the bytes of a big buffer (`buffer`). Arrays in a shared object use the mapping,
which is read-only. A buffer that the function may write to is mapped copy on write, for this argument alone; one that
it cannot write to is the same memory for all jobs. What was not used for longest goes first.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import sys
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from simpledist import policy, wire
from simpledist.buffers import parts_of
from simpledist.errors import MissingBlob, Unserialisable
from simpledist.worker.frames import BLOB_FILE

CHECK_VARIABLE = "SIMPLEDIST_CHECK_SHARED"
_MADV_POPULATE_READ = 22  # Linux 5.14


class _Lent:
    """A blob that the parent has: an open file. Raises OSError where there is another file, or none."""

    __slots__ = ("_descriptor",)

    def __init__(self, name: str, path: str) -> None:
        self._descriptor = -1
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        # A descriptor of the parent is only a number: by now another file may have it.
        its = os.readlink(f"/proc/self/fd/{self._descriptor}") if path.startswith("/proc/") else path
        if its.removesuffix(" (deleted)").rpartition("/")[2] not in (f"{BLOB_FILE}{name}", f"memfd:{BLOB_FILE}{name}"):
            raise OSError(f"{path} is another file")

    def mapped(self, access: int = mmap.ACCESS_READ) -> mmap.mmap:
        """Return it as memory of this process.

        Its pages are there already: to look each of them up in one go takes a fifth of the time of page faults.
        """
        mapping = mmap.mmap(self._descriptor, 0, access=access)
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # an older kernel
                mapping.madvise(_MADV_POPULATE_READ)
        return mapping

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)


@dataclass(slots=True)
class _Object:
    """A shared object as it was decoded. `mark`: a hash of what it holds, where that is to be checked."""

    value: Any
    data: mmap.mmap | bytes
    mark: bytes | None

    @property
    def size(self) -> int:
        return len(self.data)


class Decoded:
    """Those of one child, falsy while there are none. `most_bytes`: of those that no job needs just now."""

    def __init__(self, most_bytes: int = policy.DECODED_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lent: dict[str, _Lent] = {}  # what is not decoded yet
        self._objects: dict[str, _Object] = {}  # the one that was used last is the last
        # The same of buffers that no job can change: those that are bytes, and those that are read-only.
        self._bytes: dict[str, bytes] = {}
        self._read_only: dict[str, mmap.mmap | bytes] = {}
        self._checks = os.environ.get(CHECK_VARIABLE) == "1"
        self._used: set[str] = set()  # by the job that runs

    def __bool__(self) -> bool:
        return bool(self._lent or self._objects or self._bytes or self._read_only)

    def lend(self, name: str, path: str) -> None:
        """Take a blob that the parent has; it is opened now, for the parent may let go of it."""
        if name not in self._objects and name not in self._lent:
            with contextlib.suppress(OSError, ValueError):  # it is said when a job needs it
                self._lent[name] = _Lent(name, path)

    def find(self, name: str) -> Any:
        """Return the object of a blob, decoded at most once. Raises MissingBlob; Undecodable where it cannot be."""
        self._used.add(name)
        kept = self._objects.pop(name, None)
        if kept is None:
            kept = self._decode(name)
        self._objects[name] = kept
        return kept.value

    def _decode(self, name: str) -> _Object:
        made = self._object(self._mapped(name))
        self._lent.pop(name, None)
        return made

    def _object(self, data: mmap.mmap | bytes) -> _Object:
        value = wire.load_blob(memoryview(data))
        return _Object(value, data, _mark(value) if self._checks else None)

    def buffer(self, name: str, kind: int) -> bytes | bytearray | memoryview:
        """Return the bytes of a blob, as one of the kinds of wire/buffer_blobs.py. Raises MissingBlob."""
        if kind == wire.BYTES:
            found = self._bytes.pop(name, None)
            if found is None:
                found = bytes(self._mapped(name))
            self._bytes[name] = found
            return found
        if kind == wire.READ_ONLY:
            kept = self._read_only.pop(name, None)
            self._read_only[name] = kept = self._mapped(name) if kept is None else kept
            return memoryview(kept).toreadonly()
        if kind == wire.WRITEABLE and name in self._lent:
            return memoryview(self._mapped(name, mmap.ACCESS_COPY))
        return wire.as_kind(memoryview(self._mapped(name)), kind)

    def _mapped(self, name: str, access: int = mmap.ACCESS_READ) -> mmap.mmap | bytes:
        if name in self._lent:
            try:
                return self._lent[name].mapped(access)
            except (OSError, ValueError) as error:
                raise MissingBlob(f"{name} could not be mapped by a child of the worker: {error}") from error
        if name in self._objects:
            return self._objects[name].data
        if name in self._bytes:
            return self._bytes[name]
        if name in self._read_only:
            return self._read_only[name]
        raise MissingBlob(f"{name} could not be opened by a child of the worker")

    def end_job(self, id: str, wanted: Collection[str]) -> None:
        """Let go of what is too much, after a job, but of nothing that the next jobs want.

        Say so where the job has changed a shared object.
        """
        used, self._used = self._used, set()
        for name in self._lent.keys() - set(wanted):
            del self._lent[name]
        if self._checks:
            self._check(id, used)
        size = sum(one.size for one in self._objects.values())
        size += sum(len(one) for kept in (self._bytes, self._read_only) for one in kept.values())
        for kept in (self._read_only, self._bytes, self._objects):
            for name in [name for name in kept if name not in wanted]:
                if size <= self._most_bytes:
                    return
                gone = kept.pop(name)
                size -= gone.size if isinstance(gone, _Object) else len(gone)

    def _check(self, id: str, used: set[str]) -> None:
        for name in used & self._objects.keys():
            kept = self._objects[name]
            if kept.mark is not None and _mark(kept.value) != kept.mark:
                kind = type(kept.value).__name__
                sys.stderr.write(f"simpledist-worker: job {id} has changed a shared object, a {kind}; later jobs ")
                sys.stderr.write("of this process get it as it was\n")
                self._objects[name] = self._object(kept.data)

    def forget(self) -> None:
        """Let go of all: this child takes over the modules of another program."""
        self._objects.clear()
        self._bytes.clear()
        self._read_only.clear()


def _mark(value: Any) -> bytes | None:
    try:
        data = wire.dump_blob(value)
    except Unserialisable:
        return None
    digest = sha256()
    for part in parts_of(data):
        digest.update(part)
    return digest.digest()
