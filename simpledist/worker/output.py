"""Output of user code: `sys.stdout` and `sys.stderr` of template and children, real text files over a pipe.

The pipe leads to the worker's parent: labelled_output.py puts the job's id in front of lines, printer.py writes them.
What Python writes says of which job it is, in the pipe itself; what the job's programs and C code write does not.
One job's doing (closing, replacing, reconfiguring a stream, closing a descriptor) ends with that job.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import io
import os
import resource
import socket
import sys
import termios
from typing import Any

TOKEN_BYTES = 17  # a zero byte and 16 letters: what user code writes holds them by no accident
_LONG_US = 1000  # a job so long may cost some system calls more
_C_LINE_BUFFERED = 1


class _Raw(io.RawIOBase):
    """One descriptor; the first write of each job says so."""

    def __init__(self, output: Output, descriptor: int, name: str) -> None:
        super().__init__()
        self._output = output
        self._descriptor = descriptor
        self.name = name
        self.mode = "wb"

    def fileno(self) -> int:
        return self._descriptor

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._output.send(self._descriptor, bytes(data))
        return len(data)


class _Buffer(io.BufferedWriter):
    """Closed by a job, it is closed for that job."""

    output: Output
    shut = False

    @property
    def closed(self) -> bool:
        return self.shut

    def close(self) -> None:
        if not self.shut:
            self.flush()
            self.shut = self.output.changed = True

    def write(self, data: Any, /) -> int:
        if self.shut:
            raise ValueError("write to closed file")
        self.output.wrote = True
        return super().write(data)


class Stream(io.TextIOWrapper):
    """`sys.stdout` or `sys.stderr` of user code."""

    output: Output

    def write(self, text: str, /) -> int:
        self.output.wrote = True
        return super().write(text)

    def reconfigure(self, **options: Any) -> None:
        self.output.changed = True
        if options.get("encoding") is not None:  # what cannot be encoded is no reason to fail
            options.setdefault("errors", self.errors)
        super().reconfigure(**options)

    def detach(self) -> io.BufferedWriter:  # type: ignore[override]
        """Return the buffer; this stream stays, for the next job."""
        self.flush()
        return self.buffer  # type: ignore[return-value]


class Output:
    """The streams of this process, and the job that writes. User code's threads write; the one that runs jobs asks."""

    def __init__(self) -> None:
        self.job = ""
        self.changed = False  # a stream was closed or reconfigured
        self.wrote = True  # a stream may hold what is not in the pipe yet
        self._pipe = -1  # our own descriptor of it, whatever user code does with 1 and 2
        self._inode = 0
        self._token = b""
        self._said = ""  # the job that the pipe last heard of
        self._unread = bytearray(4)
        self._out, self._err = self._stream(1, "<stdout>"), self._stream(2, "<stderr>")
        self._home: tuple[Any, ...] = ()
        self._settings: list[tuple[Stream, dict[str, Any]]] = []

    def _stream(self, descriptor: int, name: str) -> Stream:
        buffer = _Buffer(_Raw(self, descriptor, name))
        buffer.output = self
        stream = Stream(buffer, "utf-8", "backslashreplace", line_buffering=True)
        stream.output = self
        stream.mode = "w"  # type: ignore[attr-defined]
        return stream

    def take_over(self) -> None:
        """Be `sys.stdout` and `sys.stderr` from now on."""
        sys.stdout = sys.__stdout__ = self._out  # type: ignore[misc]
        sys.stderr = sys.__stderr__ = self._err  # type: ignore[misc]

    def attach(self, sock: socket.socket) -> None:
        """In a child: receive the pipe. What sys.stdout and sys.stderr are now, they are again after each job."""
        token, descriptors, _, _ = socket.recv_fds(sock, TOKEN_BYTES, 1)
        if not descriptors:
            raise EOFError("the parent is gone")
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # what the import of a target left in it
                stream.flush()
        self._pipe = fcntl.fcntl(descriptors[0], fcntl.F_DUPFD_CLOEXEC, _high_number())
        os.close(descriptors[0])
        self._inode = os.fstat(self._pipe).st_ino
        self._token = token
        self._lead_here()
        with contextlib.suppress(Exception):  # another libc: C code's output comes later then
            self._libc = ctypes.CDLL(None)
            stdout = ctypes.c_void_p.in_dll(self._libc, "stdout" if sys.platform == "linux" else "__stdoutp")
            self._libc.setvbuf(stdout, None, _C_LINE_BUFFERED, 0)
        self._home = sys.stdout, sys.stderr, sys.stdin
        self._settings = [(stream, _settings(stream)) for stream in (self._out, self._err)]
        self.changed = False

    def send(self, descriptor: int, data: bytes) -> None:
        """Write to the pipe; where it has no reader, that is not the function's trouble."""
        if self._said != self.job and self._token:
            self._said = self.job
            self._lead_here()
            data = b"%b%b\n%b" % (self._token, self.job.encode("utf-8", "replace"), data)
        try:
            _write(descriptor, data)
        except OSError:
            with contextlib.suppress(OSError):
                _write(self._pipe, data)

    def end_call(self) -> None:
        """Give the next call of the job its streams as this one found them. Takes next to nothing."""
        home = self._home
        if sys.stdout is not home[0] or sys.stderr is not home[1] or self.changed:
            self._restore()

    def end_job(self, run_us: int) -> None:
        """Write what the job has left in buffers, under its id."""
        self.end_call()
        stdin = self._home[2]
        if sys.stdin is not stdin or (stdin is not None and stdin.closed):
            sys.stdin = open(os.devnull)  # noqa: SIM115 - for as long as the child lives
            self._home = (*self._home[:2], sys.stdin)
        if self.wrote:
            self.wrote = False  # first: a thread of user code may write in this moment
            with contextlib.suppress(Exception):  # a buffer that user code has detached or closed
                self._out.flush()
                self._err.flush()
        if run_us >= _LONG_US:
            with contextlib.suppress(Exception):
                self._libc.fflush(None)
            self._lead_here()
        if self._said or self._has_unread():
            self._said = ""
            with contextlib.suppress(OSError):
                # Twice: what came unsaid, from programs and C code, was this job's.
                _write(self._pipe, b"%b%b\n%b\n" % (self._token, self.job.encode("utf-8", "replace"), self._token))
        self.job = ""

    def _has_unread(self) -> bool:
        try:
            fcntl.ioctl(self._pipe, termios.FIONREAD, self._unread)
        except OSError:
            return False
        return any(self._unread)

    def _lead_here(self) -> None:
        """Make descriptors 1 and 2 the pipe again, whatever a job has made of them."""
        for descriptor in (1, 2):
            try:
                if os.fstat(descriptor).st_ino == self._inode:
                    continue
            except OSError:
                pass
            with contextlib.suppress(OSError):
                os.dup2(self._pipe, descriptor)

    def _restore(self) -> None:
        self.changed = False
        sys.stdout, sys.stderr = self._home[:2]
        for stream, settings in self._settings:
            with contextlib.suppress(Exception):
                stream.flush()
            stream.buffer.shut = False  # type: ignore[attr-defined]
            with contextlib.suppress(Exception):
                stream.reconfigure(**settings)
        sys.__stdout__, sys.__stderr__ = self._out, self._err  # type: ignore[misc]
        self.changed = False


def _settings(stream: Stream) -> dict[str, Any]:
    return {
        "encoding": stream.encoding,
        "errors": stream.errors,
        "line_buffering": stream.line_buffering,
        "write_through": stream.write_through,
    }


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _high_number() -> int:
    """Return a descriptor that programs seldom ask for by its number, also under a small `ulimit -n`."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 100 if limit < 0 or limit > 200 else limit // 2
