"""A blob on its way into the memory that children will map: nothing of it is copied, and it is hashed as it comes.

Owns the file in memory until it is whole. Its pages are taken piece by piece, so that a machine without memory refuses
one of them and does not end the process that writes to it; what comes then takes the way of other values, into private
memory. blob_store.py checks the hash and seals the file.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Callable
from hashlib import sha256

from simpledist.buffers import Data, Filling, Pieces, private_memory

_PIECE_BYTES = 4 * 1024 * 1024


class BlobRoom:
    """Room for one blob. `make` returns a new file in memory, and raises OSError where there can be none."""

    def __init__(self, make: Callable[[], int]) -> None:
        self._make = make
        self._descriptor = -1
        self._forget()

    def _forget(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
        self._mapping: mmap.mmap | None = None
        self._size = self._hashed = 0
        self._digest = sha256()

    def __del__(self) -> None:
        self._forget()

    def filling(self, size: int) -> Filling:
        """Return what the blob is read into; what came before is forgotten."""
        self._forget()
        with contextlib.suppress(OSError, ValueError):
            self._descriptor = self._make()
            os.ftruncate(self._descriptor, size)
            mapping = mmap.mmap(self._descriptor, size)
            mapping.madvise(mmap.MADV_DONTFORK)  # as long as another process has it, it cannot be sealed
            self._mapping, self._size = mapping, size
        return Filling(size, self._memory)

    def _memory(self, missing: int) -> memoryview:
        """Return the memory to fill next; what stands before it has come."""
        mapping, at = self._mapping, self._size - missing
        if mapping is None:
            return private_memory(missing)
        length = min(_PIECE_BYTES, missing)
        try:
            os.posix_fallocate(self._descriptor, at, length)
        except OSError:
            self._forget()
            return private_memory(missing)
        whole = memoryview(mapping)
        self._hash(whole[:at])
        return whole[at : at + length]

    def _hash(self, come: memoryview) -> None:
        self._digest.update(come[self._hashed :])
        self._hashed = len(come)

    def taken(self, data: Data) -> tuple[str, int] | None:
        """Return the SHA-256 of a blob that has come, and the descriptor of its file, which is the caller's now.

        None where its bytes are not all in this file; else the data are used up.
        """
        mapping = self._mapping
        if mapping is None or not isinstance(data, Pieces):
            return None
        for part in data.parts:
            if not isinstance(part, memoryview) or part.obj is not mapping:
                return None
        self._hash(memoryview(mapping))
        data.parts.clear()  # they would keep it open for writing
        part = None
        try:
            mapping.close()
        except BufferError:  # other code has a view of it
            data.parts.append(memoryview(mapping))
            return None
        descriptor, self._descriptor = self._descriptor, -1
        digest = self._digest.hexdigest()
        self._forget()
        return digest, descriptor
