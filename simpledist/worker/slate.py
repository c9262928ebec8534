"""What a child has finished of a chunk and not sent yet, in memory that it shares with its parent.

A short call should not cost a system call, and what was finished should survive the child: so it writes parts here, and
sends them when there are many. The parent reads the slate where a child died, and where it was silent for long. One
writes, the other reads: `end` is written last, and a reader who comes too early finds less than there is.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import socket
import struct
import sys
import tempfile

SLATE_BYTES = 32 * 1024
_HEAD = struct.Struct("@QQ")  # how many bytes stand behind it; the job of which they are


class Slate:
    """One side of it. Both map the same file, which has no name."""

    def __init__(self, descriptor: int) -> None:
        self._map = mmap.mmap(descriptor, SLATE_BYTES)
        self._end = _HEAD.size
        self._job = 0

    @classmethod
    def shared_over(cls, sock: socket.socket) -> Slate:
        """A new one; its other side is to be received at the other end of the socket, before anything else."""
        if sys.platform == "linux":
            descriptor = os.memfd_create("simpledist-slate", os.MFD_CLOEXEC)
        else:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        try:
            os.ftruncate(descriptor, SLATE_BYTES)
            with contextlib.suppress(OSError):  # no such child any more: it is noticed elsewhere
                socket.send_fds(sock, [b"s"], [descriptor])
            return cls(descriptor)
        finally:
            os.close(descriptor)

    @classmethod
    def received_from(cls, sock: socket.socket) -> Slate:
        """The child's side. Raises EOFError where the parent is gone, OSError where it may open no more files."""
        _, descriptors, flags, _ = socket.recv_fds(sock, 1, 1)
        if not descriptors and flags & socket.MSG_CTRUNC:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        if not descriptors:
            raise EOFError("the parent is gone")
        try:
            return cls(descriptors[0])
        finally:
            os.close(descriptors[0])

    # --- the child's -------------------------------------------------------------------------------------------------

    def wipe(self, job: int) -> None:
        """Begin anew: what comes is of this job."""
        self._end, self._job = _HEAD.size, job
        _HEAD.pack_into(self._map, 0, 0, job)

    def add(self, part: bytes) -> bool:
        """Write a finished part behind the others; False where there is no room."""
        end = self._end + len(part)
        if end > SLATE_BYTES:
            return False
        self._map[self._end : end] = part
        self._end = end
        _HEAD.pack_into(self._map, 0, end - _HEAD.size, self._job)
        return True

    def written(self) -> bytes:
        """All parts, as they were added."""
        return self._map[_HEAD.size : self._end]

    # --- the parent's ------------------------------------------------------------------------------------------------

    def read(self, job: int) -> bytes:
        """What the child has finished of this job and may not have sent."""
        length, of = _HEAD.unpack_from(self._map)
        return self._map[_HEAD.size : _HEAD.size + length] if of == job and length <= SLATE_BYTES else b""

    def close(self) -> None:
        self._map.close()
