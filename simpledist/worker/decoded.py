"""Shared objects in a child: each blob is mapped from the worker's memory and decoded once, for all jobs that name it.

Used in a child: the parent says where a blob is (`lend`) before the job that needs it, and decoding the job's arguments
asks for the object (`find`). Arrays in it use the mapping, which is read-only. What was not used for longest goes
first.
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


@dataclass(slots=True)
class _Object:
    """A shared object as it was decoded. `mark`: a hash of what it holds, where that is to be checked."""

    value: Any
    mapping: mmap.mmap
    mark: bytes | None

    @property
    def size(self) -> int:
        return len(self.mapping)


class Decoded:
    """Those of one child, falsy while there are none. `most_bytes`: of those that no job needs just now."""

    def __init__(self, most_bytes: int = policy.DECODED_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lent: dict[str, mmap.mmap] = {}  # what is not decoded yet
        self._objects: dict[str, _Object] = {}  # the one that was used last is the last
        self._checks = os.environ.get(CHECK_VARIABLE) == "1"
        self._used: set[str] = set()  # by the job that runs

    def __bool__(self) -> bool:
        return bool(self._lent or self._objects)

    def lend(self, name: str, path: str) -> None:
        """Take a blob that the parent has; it is opened now, for the parent may let go of it."""
        if name not in self._objects and name not in self._lent:
            with contextlib.suppress(OSError, ValueError):  # it is said when a job needs it
                self._lent[name] = _mapped(name, path)

    def find(self, name: str) -> Any:
        """Return the object of a blob, decoded at most once. Raises MissingBlob; Undecodable where it cannot be."""
        self._used.add(name)
        kept = self._objects.pop(name, None)
        if kept is None:
            kept = self._decode(name)
        self._objects[name] = kept
        return kept.value

    def _decode(self, name: str) -> _Object:
        mapping = self._lent.pop(name, None)
        if mapping is None:
            raise MissingBlob(f"{name} could not be opened by a child of the worker")
        value = wire.load_blob(memoryview(mapping))
        return _Object(value, mapping, _mark(value) if self._checks else None)

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
        for name in [name for name in self._objects if name not in wanted]:
            if size <= self._most_bytes:
                break
            size -= self._objects.pop(name).size

    def _check(self, id: str, used: set[str]) -> None:
        for name in used & self._objects.keys():
            kept = self._objects[name]
            if kept.mark is not None and _mark(kept.value) != kept.mark:
                kind = type(kept.value).__name__
                sys.stderr.write(f"simpledist-worker: job {id} has changed a shared object, a {kind}; later jobs ")
                sys.stderr.write("of this process get it as it was\n")
                self._lent[name] = self._objects.pop(name).mapping

    def forget(self) -> None:
        """Let go of all: this child takes over the modules of another program."""
        self._objects.clear()


def _mapped(name: str, path: str) -> mmap.mmap:
    """Return a blob as memory of this process. Raises OSError where there is another file, or none."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # A descriptor of the parent is only a number: by now another file may have it.
        its = os.readlink(f"/proc/self/fd/{descriptor}") if path.startswith("/proc/") else path
        if its.removesuffix(" (deleted)").rpartition("/")[2] not in (f"{BLOB_FILE}{name}", f"memfd:{BLOB_FILE}{name}"):
            raise OSError(f"{path} is another file")
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    finally:
        os.close(descriptor)


def _mark(value: Any) -> bytes | None:
    try:
        data = wire.dump_blob(value)
    except Unserialisable:
        return None
    digest = sha256()
    for part in parts_of(data):
        digest.update(part)
    return digest.digest()
