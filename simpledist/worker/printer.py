"""The worker's stderr: one thread writes everything to it, from the log, the template and the children.

Reads the pipes of template and children (labelled_output.py), and writes their lines and the worker's own log without
waiting for their reader: a full or closed stderr must not hold up jobs or heartbeats. A slow reader slows down jobs
that print; one that takes nothing for a second loses lines, and reads how many bytes. Started by the command
(cli/worker.py) before anything else; children.py and template_process.py ask it for pipes.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable
from types import TracebackType

from simpledist.worker.labelled_output import LabelledOutput, text_line
from simpledist.worker.nonblocking import NonblockingWriter
from simpledist.worker.output import TOKEN_BYTES

_WRITE_BYTES = 1 << 16
_MOST_WAITING_BYTES = 1 << 18
_STUCK_SECONDS = 1.0
_AFTER_SECONDS = 2.0  # so long a pipe is read whose child has gone, if something still holds it
_LOOK_SECONDS = 0.2
_CLOSE_SECONDS = 2.0


class Printer:
    """Writes descriptor 2. `_lock` guards `_pipes` and `_waiting`, which any thread may add to."""

    def __init__(self, descriptor: int = 2) -> None:
        self._to = NonblockingWriter(descriptor)
        self._lock = threading.Lock()
        self._pipes: dict[int, LabelledOutput] = {}
        self._waiting = bytearray()
        self._lost_bytes = 0
        self._moved_at = 0.0  # when stderr last took something, or had nothing to take
        self._woken, self._wake = os.pipe()
        for end in (self._woken, self._wake):
            os.set_blocking(end, False)
        self.line: Callable[[str, bytes], bytes] = text_line  # makes a line of a job's id and what it wrote
        self._closes_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="simpledist-printer", daemon=True)

    def __enter__(self) -> Printer:
        # Signals are for the main thread: one that this thread took would not wake it.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self._thread.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what has been said so far, as far as stderr takes it."""
        self._closes_at = time.monotonic() + _CLOSE_SECONDS
        self._awake()
        self._thread.join(_CLOSE_SECONDS + 1.0)

    def write(self, text: str, /) -> int:
        """Write a piece of text later; log handlers call it."""
        if self._closes_at is not None and not self._thread.is_alive():
            self._to.write(text.encode("utf-8", "backslashreplace"))
            return len(text)
        with self._lock:
            self._waiting += text.encode("utf-8", "backslashreplace")
        self._awake()
        return len(text)

    def flush(self) -> None:
        """Do nothing: nothing waits for stderr."""

    def pipe(self) -> tuple[LabelledOutput, int]:
        """Return a new output and the descriptor that it is to write to. Raises OSError."""
        read_end, write_end = os.pipe()
        token = b"\0" + uuid.uuid4().hex[: TOKEN_BYTES - 1].encode()
        output = LabelledOutput(read_end, token, self._awake, self.line)
        with self._lock:
            self._pipes[read_end] = output
        self._awake()
        return output, write_end

    def pipe_over(self, sock: socket.socket) -> LabelledOutput:
        """Return a new output, whose pipe goes to the other end of a socket. Raises OSError."""
        output, write_end = self.pipe()
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # no such child: it is noticed elsewhere
                socket.send_fds(sock, [output.token], [write_end])
        finally:
            os.close(write_end)
        return output

    # --- the thread --------------------------------------------------------------------------------------------------

    def _awake(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._wake, b"w")

    def _run(self) -> None:
        while not self._turn():
            pass

    def _turn(self) -> bool:
        """Read what there is, write what stderr takes; return whether that was the last of it."""
        now = time.monotonic()
        with self._lock:
            pipes = dict(self._pipes)
            waiting = len(self._waiting)
        if not waiting:
            self._moved_at = now
        stuck = now - self._moved_at >= _STUCK_SECONDS
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        if waiting:
            self._to.register(poll)
        if stuck or waiting < _MOST_WAITING_BYTES:
            for descriptor in pipes:
                poll.register(descriptor, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(self._pause_ms(pipes, waiting))}
        if self._woken in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._woken, 4096)
        heard = [self._read(output) for descriptor, output in pipes.items() if descriptor in ready]
        heard += [output.left_behind() for output in pipes.values() if output.waits]
        self._say(b"".join(heard), stuck=stuck)
        over = [output for output in pipes.values() if output.gone_at and now >= output.gone_at + _AFTER_SECONDS]
        for output in over:
            if output.descriptor not in ready:
                self._forget(output)
        if self._closes_at is None:
            return False
        return now >= self._closes_at or not (any(heard) or self._waiting or ready - {self._woken})

    def _pause_ms(self, pipes: dict[int, LabelledOutput], waiting: int) -> int | None:
        if self._closes_at is not None:
            return 50
        if waiting or any(output.waits or output.gone_at is not None for output in pipes.values()):
            return int(_LOOK_SECONDS * 1000)
        return None

    def _read(self, output: LabelledOutput) -> bytes:
        try:
            data = output.read()
        except OSError:
            data = b""
        if data:
            return output.hear(data)
        self._forget(output)
        return output.hear(b"", last=True)

    def _forget(self, output: LabelledOutput) -> None:
        with self._lock:
            if self._pipes.pop(output.descriptor, None) is not None:
                os.close(output.descriptor)

    def _say(self, data: bytes, *, stuck: bool) -> None:
        with self._lock:
            if stuck and len(self._waiting) + len(data) > _MOST_WAITING_BYTES:
                self._lost_bytes += len(data)
            else:
                self._waiting += data
            piece = bytes(self._waiting[:_WRITE_BYTES])
        if not piece:
            return
        written = self._to.write(piece)
        if written is None:  # it will never be read
            written = len(piece)
        if not written:
            return
        self._moved_at = time.monotonic()
        with self._lock:
            del self._waiting[:written]
            if self._lost_bytes and not self._waiting:
                self._waiting += self.line(
                    "", b"simpledist-worker: %d bytes of output were lost: no process read them" % self._lost_bytes
                )
                self._lost_bytes = 0
