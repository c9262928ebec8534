"""The worker's stderr: one thread writes it, whoever has something to say.

Reads the pipes of template and children (output.py), puts the job's id in front of each line, and writes them, and the
worker's own log, without ever waiting for whoever reads: a full or closed stderr must not hold up jobs or beats. A
reader that is slow slows down who prints; one that takes nothing for a second loses lines, and is told how much.
Started by the command (cli/worker.py) before anything else; children.py asks it for pipes.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import stat
import threading
import time
import uuid
from collections.abc import Callable
from types import TracebackType

from simpledist.worker.output import TOKEN_BYTES

_READ_BYTES = 1 << 16
_LINE_BYTES = 1 << 16  # a longer line is cut
_MOST_WAITING_BYTES = 1 << 18
_STUCK_SECONDS = 1.0
_AFTER_SECONDS = 2.0  # so long a pipe is read whose child has gone, if something still holds it
_LOOK_SECONDS = 0.2
_CLOSE_SECONDS = 2.0


def _nobody() -> str:
    return ""


class Voice:
    """One pipe: bytes come in, marked lines go out."""

    def __init__(self, descriptor: int, token: bytes, awake: Callable[[], None]) -> None:
        self.descriptor = descriptor
        self._awake = awake
        self.running: Callable[[], str] = _nobody  # the id of the job that its child runs, as its parent knows
        self.gone_at: float | None = None
        self.token = token
        self._bytes = b""
        self._job = ""  # as the pipe says
        self._label = ""  # of the line that has begun
        self._line = b""

    def end(self) -> None:
        """Its child has gone, or goes: what it still says is read, but not for long."""
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
        """Whether a line has begun and may be left behind."""
        return bool(self._line)

    def _lines(self, text: bytes) -> bytes:
        if not text:
            return b""
        label = self._job or self.running() or (self._label if self.gone_at is not None else "")
        done = self._cut() if self._line and label != self._label else b""
        self._label = label
        *whole, self._line = (self._line + text).split(b"\n")
        if len(self._line) > _LINE_BYTES:
            whole.append(self._line)
            self._line = b""
        mark = self._mark()
        return done + b"".join(b"%b%b\n" % (mark, line) for line in whole)

    def _cut(self) -> bytes:
        line, self._line = self._line, b""
        return b"%b%b\n" % (self._mark(), line) if line else b""

    def _mark(self) -> bytes:
        return f"[{self._label}] ".encode() if self._label else b""

    def _beginning_of_token(self) -> int:
        """How many bytes at the end may be the first of a token."""
        at = self._bytes.rfind(b"\0", max(0, len(self._bytes) - len(self.token)))
        tail = self._bytes[at:] if at >= 0 else b""
        return len(tail) if tail and self.token.startswith(tail) else 0


class Printer:
    """Writes descriptor 2. `_lock` guards `_voices` and `_waiting`, which any thread may add to."""

    def __init__(self, descriptor: int = 2) -> None:
        self._to = _Unwaiting(descriptor)
        self._lock = threading.Lock()
        self._voices: dict[int, Voice] = {}
        self._waiting = bytearray()
        self._lost_bytes = 0
        self._moved_at = 0.0  # when stderr last took something, or had nothing to take
        self._woken, self._wake = os.pipe()
        for end in (self._woken, self._wake):
            os.set_blocking(end, False)
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
        """Have a piece of text written; a log handler's stream."""
        if self._closes_at is not None and not self._thread.is_alive():
            self._to.write(text.encode("utf-8", "backslashreplace"))
            return len(text)
        with self._lock:
            self._waiting += text.encode("utf-8", "backslashreplace")
        self._awake()
        return len(text)

    def flush(self) -> None:
        """Nothing waits for stderr."""

    def pipe(self) -> tuple[Voice, int]:
        """Return a new voice and the descriptor that it is to write to. Raises OSError."""
        read_end, write_end = os.pipe()
        voice = Voice(read_end, b"\0" + uuid.uuid4().hex[: TOKEN_BYTES - 1].encode(), self._awake)
        with self._lock:
            self._voices[read_end] = voice
        self._awake()
        return voice, write_end

    def pipe_over(self, sock: socket.socket) -> Voice:
        """Return a new voice, whose pipe goes to the other end of a socket. Raises OSError."""
        voice, write_end = self.pipe()
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # no such child: it is noticed elsewhere
                socket.send_fds(sock, [voice.token], [write_end])
        finally:
            os.close(write_end)
        return voice

    # --- the thread --------------------------------------------------------------------------------------------------

    def _awake(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._wake, b"w")

    def _run(self) -> None:
        while not self._turn():
            pass

    def _turn(self) -> bool:
        """Read what there is, write what goes; whether that was the last of it."""
        now = time.monotonic()
        with self._lock:
            voices = dict(self._voices)
            waiting = len(self._waiting)
        if not waiting:
            self._moved_at = now
        stuck = now - self._moved_at >= _STUCK_SECONDS
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        if waiting:
            self._to.register(poll)
        if stuck or waiting < _MOST_WAITING_BYTES:
            for descriptor in voices:
                poll.register(descriptor, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(self._pause_ms(voices, waiting))}
        if self._woken in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._woken, 4096)
        heard = [self._read(voice) for descriptor, voice in voices.items() if descriptor in ready]
        heard += [voice.left_behind() for voice in voices.values() if voice.waits]
        self._say(b"".join(heard), stuck=stuck)
        over = [voice for voice in voices.values() if voice.gone_at and now >= voice.gone_at + _AFTER_SECONDS]
        for voice in over:
            if voice.descriptor not in ready:
                self._forget(voice)
        if self._closes_at is None:
            return False
        return now >= self._closes_at or not (any(heard) or self._waiting or ready - {self._woken})

    def _pause_ms(self, voices: dict[int, Voice], waiting: int) -> int | None:
        if self._closes_at is not None:
            return 50
        if waiting or any(voice.waits or voice.gone_at is not None for voice in voices.values()):
            return int(_LOOK_SECONDS * 1000)
        return None

    def _read(self, voice: Voice) -> bytes:
        try:
            data = os.read(voice.descriptor, _READ_BYTES)
        except OSError:
            data = b""
        if data:
            return voice.hear(data)
        self._forget(voice)
        return voice.hear(b"", last=True)

    def _forget(self, voice: Voice) -> None:
        with self._lock:
            if self._voices.pop(voice.descriptor, None) is not None:
                os.close(voice.descriptor)

    def _say(self, data: bytes, *, stuck: bool) -> None:
        with self._lock:
            if stuck and len(self._waiting) + len(data) > _MOST_WAITING_BYTES:
                self._lost_bytes += len(data)
            else:
                self._waiting += data
            piece = bytes(self._waiting[:_READ_BYTES])
        if not piece:
            return
        written = self._to.write(piece)
        if written is None:  # nobody will ever read it
            written = len(piece)
        if not written:
            return
        self._moved_at = time.monotonic()
        with self._lock:
            del self._waiting[:written]
            if self._lost_bytes and not self._waiting:
                self._waiting += (
                    b"simpledist-worker: %d bytes of output were lost: nobody read them\n" % self._lost_bytes
                )
                self._lost_bytes = 0


class _Unwaiting:
    """A descriptor that is written to without waiting, though others who share it may wait."""

    def __init__(self, descriptor: int) -> None:
        self._socket: socket.socket | None = None
        self._descriptor = descriptor
        with contextlib.suppress(OSError):
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISSOCK(mode):
                self._socket = socket.socket(fileno=os.dup(descriptor))
            elif stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
                # Not set on our own: whoever shares the descriptor (a shell) would get it too.
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
                self._descriptor = os.open(f"/proc/self/fd/{descriptor}", flags)

    def register(self, poll: select.poll) -> None:
        """Have it wake a poll when it takes something."""
        with contextlib.suppress(OSError, ValueError):
            poll.register(self._descriptor, select.POLLOUT)

    def write(self, data: bytes) -> int | None:
        """Return how much it took; None where it never will."""
        try:
            if self._socket is not None:
                return self._socket.send(data, socket.MSG_DONTWAIT)
            poll = select.poll()
            poll.register(self._descriptor, select.POLLOUT)
            if not poll.poll(0):
                return 0
            return os.write(self._descriptor, data)
        except BlockingIOError:
            return 0
        except OSError:
            return None
