"""Finished calls of a batch that a child has not sent yet, in memory that it shares with its parent.

A short call should not cost a system call, and what is finished should survive the child: so it writes the outcomes
here, and sends them when there are many. The parent reads the buffer when a child dies, and when it was silent for
long. One side writes, the other reads: the length is written last, so a reader who comes too early finds less than
there is. The child also notes here which job it runs: its answers may lie unread, and then the parent knows too late.
The parent counts its recalls here: so a child need not ask its channel before each short job that it has already.
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

BUFFER_BYTES = 32 * 1024
_FINISHED = struct.Struct("@QQ")  # how many bytes stand behind the head; the index of the job to which they belong
_RUNNING = struct.Struct("@Q")  # the index of the job that runs, and 1; 0 before the first
_RECALLED = struct.Struct("@Q")  # how many recalls the parent has sent, or is about to send
_RECALLED_AT = _FINISHED.size + _RUNNING.size
_HEAD_BYTES = _RECALLED_AT + _RECALLED.size


class ResultBuffer:
    """One side of it. Both map the same file, which has no name."""

    def __init__(self, descriptor: int) -> None:
        self._map = mmap.mmap(descriptor, BUFFER_BYTES)
        self._end = _HEAD_BYTES
        self._job = 0

    @classmethod
    def shared_over(cls, sock: socket.socket) -> ResultBuffer:
        """Make a new one; its other side must be received at the other end of the socket, before anything else."""
        if sys.platform == "linux":
            descriptor = os.memfd_create("simpledist-results", os.MFD_CLOEXEC)
        else:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        try:
            os.ftruncate(descriptor, BUFFER_BYTES)
            with contextlib.suppress(OSError):  # no such child any more: it is noticed elsewhere
                socket.send_fds(sock, [b"s"], [descriptor])
            return cls(descriptor)
        finally:
            os.close(descriptor)

    @classmethod
    def received_from(cls, sock: socket.socket) -> ResultBuffer:
        """Receive the child's side. Raises EOFError where the parent is gone, OSError where too many files are open."""
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

    def runs(self, job: int) -> None:
        """Note the job that begins."""
        _RUNNING.pack_into(self._map, _FINISHED.size, job + 1)

    def recalls(self) -> int:
        """Return how many recalls the parent has announced."""
        number: int = _RECALLED.unpack_from(self._map, _RECALLED_AT)[0]
        return number

    def wipe(self, job: int) -> None:
        """Empty it: what comes belongs to this job."""
        self._end, self._job = _HEAD_BYTES, job
        _FINISHED.pack_into(self._map, 0, 0, job)

    def add(self, part: bytes) -> bool:
        """Write a finished call behind the others; return False where there is no room."""
        end = self._end + len(part)
        if end > BUFFER_BYTES:
            return False
        self._map[self._end : end] = part
        self._end = end
        _FINISHED.pack_into(self._map, 0, end - _HEAD_BYTES, self._job)
        return True

    def written(self) -> bytes:
        """Return all finished calls, as they were added."""
        return self._map[_HEAD_BYTES : self._end]

    # --- the parent's ------------------------------------------------------------------------------------------------

    def read(self, job: int) -> bytes:
        """Return what the child has finished of this job and may not have sent."""
        length, of = _FINISHED.unpack_from(self._map)
        return self._map[_HEAD_BYTES : _HEAD_BYTES + length] if of == job and length <= BUFFER_BYTES else b""

    def recalling(self) -> None:
        """Announce one more recall; to be called before it is sent."""
        _RECALLED.pack_into(self._map, _RECALLED_AT, self.recalls() + 1)

    def running(self) -> int | None:
        """Return the index of the job that the child runs, or has run last. Raises ValueError once it is closed."""
        (number,) = _RUNNING.unpack_from(self._map, _FINISHED.size)
        return number - 1 if number else None

    def close(self) -> None:
        self._map.close()
