"""Output of one child or template: what it writes to its pipe becomes lines with the job's id in front.

Knows the marks with which a child says which job writes (output.py), and which job the parent thinks that it runs.
Used by printer.py, which reads the pipe and writes the lines.
"""

from __future__ import annotations

import fcntl
import os
import sys
import termios
import time
from collections.abc import Callable

_LINE_BYTES = 1 << 16  # a longer line is cut
_ASKED_MOST = 100  # jobs of no length at all may end faster than can be asked


def _nobody() -> str:
    return ""


def text_line(job: str, text: bytes) -> bytes:
    """Return a line of output as a person reads it: the id of its job in front, if it is known."""
    return b"[%b] %b\n" % (job.encode(), text) if job else text + b"\n"


class LabelledOutput:
    """The pipe of one process: bytes come in, marked lines go out. Used by the printer's thread, but for `end`."""

    def __init__(
        self,
        descriptor: int,
        token: bytes,
        awake: Callable[[], None],
        line: Callable[[str, bytes], bytes] = text_line,
    ) -> None:
        self.descriptor = descriptor
        self._awake = awake
        self._marked = line
        self.running: Callable[[], str] = _nobody  # the id of the job that its child runs, as its parent knows
        self.gone_at: float | None = None
        self.token = token
        self._bytes = b""
        self._job = ""  # as the pipe says
        self._label = ""  # of the line that has begun
        self._line = b""
        self._asked: str | None = None  # what `running` said at the last read
        self._unread = bytearray(4)

    def read(self) -> bytes:
        """Read what is there, and note which job ran meanwhile: what no mark in the pipe claims is that one's.

        A job that ends while its text is unread marks it in the pipe. If one job runs before and after the bytes are
        counted, it wrote all of them that have no mark. What comes after the count is left for the next read.
        """
        for _ in range(_ASKED_MOST):
            self._asked = self.running()
            fcntl.ioctl(self.descriptor, termios.FIONREAD, self._unread)
            if self.running() == self._asked:
                break
        return os.read(self.descriptor, max(int.from_bytes(self._unread, sys.byteorder), 1))

    def end(self) -> None:
        """Note that its child is gone, or goes: what it still says is read, but not for long."""
        self.gone_at = time.monotonic()
        self._awake()

    def hear(self, data: bytes, *, last: bool = False) -> bytes:
        """Return the marked lines that have become whole; with `last`, what is left too."""
        said: list[bytes] = []
        self._bytes += data
        while (at := self._bytes.find(self.token)) >= 0:
            end = self._bytes.find(b"\n", at)
            if end < 0:
                break
            text, job = self._bytes[:at], self._bytes[at + len(self.token) : end]
            self._bytes = self._bytes[end + 1 :]
            if job and not self._job:
                # It says now of which job it is, and what came unsaid before it in the same read was that one's too.
                self._job = job.decode("utf-8", "replace")
                said.append(self._lines(text))
            else:
                said += (self._lines(text), self._cut())
                self._job = job.decode("utf-8", "replace")
        if at < 0:
            keep = 0 if last else self._beginning_of_token()
            said.append(self._lines(self._bytes[: len(self._bytes) - keep]))
            self._bytes = self._bytes[len(self._bytes) - keep :]
        if last:
            said.append(self._cut())
        return b"".join(said)

    def left_behind(self) -> bytes:
        """Return the line that a job did not end, once another runs."""
        return self._cut() if self._line and not self._job and self.running() != self._label else b""

    @property
    def waits(self) -> bool:
        """Say whether a line has begun and may be left behind."""
        return bool(self._line)

    def _lines(self, text: bytes) -> bytes:
        if not text:
            return b""
        running = self.running() if self._asked is None else self._asked
        label = self._job or running or (self._label if self.gone_at is not None else "")
        done = self._cut() if self._line and label != self._label else b""
        self._label = label
        *whole, self._line = (self._line + text).split(b"\n")
        if len(self._line) > _LINE_BYTES:
            whole.append(self._line)
            self._line = b""
        return done + b"".join(self._marked(label, line) for line in whole)

    def _cut(self) -> bytes:
        line, self._line = self._line, b""
        return self._marked(self._label, line) if line else b""

    def _beginning_of_token(self) -> int:
        """Return how many bytes at the end may be the first of a token."""
        at = self._bytes.rfind(b"\0", max(0, len(self._bytes) - len(self.token)))
        tail = self._bytes[at:] if at >= 0 else b""
        return len(tail) if tail and self.token.startswith(tail) else 0
