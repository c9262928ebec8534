"""One connection to one host: ssh, the launcher at its other end, the tunnel, the worker.

Owns the processes of ssh and the bytes between them. The steps: the launcher is there; it wants our files; the tunnel
is made; the worker runs; the worker has ended. `outcome` says how it came out, and whether another try makes sense.
Used by fleet.py, in its one thread; nothing here waits.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import IO

from simpledist.errors import ConfigurationError
from simpledist.exit_status import in_words
from simpledist.printable import printable
from simpledist.ssh import invocation
from simpledist.ssh.archive import Archive
from simpledist.ssh.hosts import Host
from simpledist.ssh.messages import LINE_BYTES, BadHost, Ended, Here, Started, Unpacked, event_of
from simpledist.ssh.tunnel import Tunnel

SIGN_OF_LIFE_SECONDS = 4.0
STEP_SECONDS = 120.0  # a step before the worker runs takes no longer: our files are 2 MB
END_SECONDS = 10.0  # from the end of the worker to that of ssh
FAILED = 255  # the exit code of ssh for its own errors
USAGE = 2  # that of a worker whose target or options are wrong: it would end so again
LAST_LINES = 20
READ_BYTES = 65536
# What ssh says where a person has to act: another try would end the same way.
_LASTING = re.compile(
    r"permission denied|host key verification failed|remote host identification has changed|"
    r"too many authentication failures|no matching (host key|key exchange|cipher)|bad configuration|bad owner|"
    r"load key .* invalid|name or service not known|nodename nor servname",
    re.IGNORECASE,
)
_HINTS = (
    ("host key verification failed", "connect once by hand (ssh HOST) and compare the fingerprint that it shows"),
    ("permission denied", "a key that asks nothing is needed: ssh-copy-id HOST, ssh-add"),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What each host gets: the same for all. `key`: the text of the key file, None for `--insecure`."""

    tunnel: Tunnel
    arguments: tuple[str, ...]  # of the worker, but for --redis and the key
    key: str | None = field(repr=False)
    archive: Archive | None
    python: str | None = None

    @property
    def command(self) -> str:
        return invocation.command_there(python=self.python, brings_files=self.archive is not None)

    @property
    def launcher(self) -> bytes:
        """Return the one line that makes the launcher run there."""
        source = files("simpledist.ssh").joinpath("launcher.py").read_text("utf-8")
        digest = self.archive.digest if self.archive is not None else ""
        return (
            "import sys; sys.path[:] = [one for one in sys.path if one]; names = {'__name__': 'simpledist_launcher'}; "
            f"exec(compile({source!a}, 'launcher', 'exec'), names); sys.exit(names['main']({digest!r}))\n"
        ).encode()

    def order(self, socket: str) -> bytes:
        """Return the line that starts a worker."""
        arguments = ["--redis", self.tunnel.url(socket), *self.arguments]
        return _line(do="start", arguments=arguments, key=self.key)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a connection ended. `code`: of the worker, None where it did not run or was lost. `again`: try once more."""

    text: str
    again: bool
    code: int | None = None


class Session:
    """One connection, from its start on. `tell` gets each line of output, `state` says what it is at.

    `was_up`: a worker has run on this host before, so whatever keeps ssh from it now may pass.
    """

    def __init__(
        self, host: Host, plan: Plan, control: Path, tell: Callable[[str], object], *, was_up: bool = False
    ) -> None:
        self.state = "connects"
        self.outcome: Outcome | None = None
        self.running = False
        self._host = host
        self._plan = plan
        self._was_up = was_up
        self._tell = tell
        self._control = control
        self._here: Here | None = None
        self._ended: Ended | None = None
        self._trouble: Outcome | None = None
        self._asked_to_end = False
        self._said: deque[str] = deque(maxlen=LAST_LINES)
        self._outbox = bytearray(plan.launcher)
        self._forward: subprocess.Popen[bytes] | None = None
        self._due = time.monotonic() + STEP_SECONDS
        self._life_at = 0.0
        try:
            self._process = _started(invocation.connect(host, control, plan.command))
        except FileNotFoundError:
            raise ConfigurationError("there is no ssh on the path: install the client of OpenSSH") from None
        self._streams = {
            _readable(self._process.stdout): _Lines(self._heard),
            _readable(self._process.stderr): _Lines(self._heard_aside),
        }
        stdin = self._process.stdin
        assert stdin is not None
        os.set_blocking(stdin.fileno(), False)
        self._stdin: IO[bytes] | None = stdin

    # --- what fleet.py waits for -----------------------------------------------------------------------------------

    @property
    def reading(self) -> list[int]:
        """Return the descriptors to be read."""
        return list(self._streams)

    @property
    def writing(self) -> list[int]:
        """Return the descriptor to be written to, where there is something to write."""
        return [self._stdin.fileno()] if self._stdin is not None and self._outbox else []

    def read(self, number: int) -> None:
        """Take in what a stream has."""
        lines = self._streams.get(number)
        if lines is None:
            return
        try:
            data = os.read(number, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            lines.add(data)
        else:
            lines.end()
            del self._streams[number]

    def write(self) -> None:
        """Send what waits."""
        if self._stdin is None:
            return
        try:
            del self._outbox[: os.write(self._stdin.fileno(), self._outbox)]
        except BlockingIOError:
            return
        except OSError:  # ssh has ended, and says why
            self._close_stdin()

    def tick(self) -> None:
        """Give a sign of life, look after the processes and the time. Sets `outcome` at the end."""
        now = time.monotonic()
        if now >= self._life_at:
            self._life_at = now + SIGN_OF_LIFE_SECONDS
            if not self._outbox:
                self._outbox += b"\n"
        if self._forward is not None and self._forward.poll() is not None:
            self._forwarded()
        if not self.running and now > self._due and self._trouble is None:
            self._give_up(Outcome(f"nothing came for {STEP_SECONDS:.0f} s ({self.state})", again=True))
        if self._process.poll() is not None and self.outcome is None:
            self._over()

    # --- what the caller wants --------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Have the worker finish its jobs and end; where it does not run yet, end the connection."""
        self._ask_to_end("drain", "drains")

    def stop(self) -> None:
        """Have the worker release its jobs and end now."""
        self._ask_to_end("stop", "stops")

    def _ask_to_end(self, do: str, state: str) -> None:
        self._asked_to_end = True
        if self.running:
            self.state = state
            self._outbox += _line(do=do)
        else:
            self._give_up(Outcome("not started", again=False, code=0))

    def kill(self) -> None:
        """End ssh. The launcher sees the end of its stdin, and ends the worker."""
        for process in (self._forward, self._process):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        self._over()

    # --- what comes -------------------------------------------------------------------------------------------------

    def _heard(self, line: str) -> None:
        try:
            event = event_of(line)
        except BadHost as error:
            self._give_up(Outcome(f"it is no launcher of ours: {error}", again=False))
            return
        if self._trouble is not None:
            return
        match event:
            case None:
                self._tell(printable(line, None))
            case Here() if self._here is None:
                self._here = event
                self._next_step("copies files" if event.wants_files else "makes the tunnel")
                if event.wants_files and self._plan.archive is not None:
                    data = self._plan.archive.data
                    self._outbox += _line(do="unpack", bytes=len(data)) + data
                else:
                    self._make_tunnel(event)
            case Unpacked() if self._here is not None and self._here.wants_files and self._forward is None:
                self._next_step("makes the tunnel")
                self._make_tunnel(self._here)
            case Started() if self._here is not None:
                self.state, self.running = "runs", True
                self._tell(f"a worker has started: process {event.pid}, Python {self._here.python}")
            case Ended() if self.running:
                self._ended, self.running = event, False
                self.state, self._due = "ends", time.monotonic() + END_SECONDS
            case _:
                self._give_up(Outcome("it is no launcher of ours: an event came out of turn", again=False))

    def _heard_aside(self, line: str) -> None:
        text = printable(line, None).rstrip()
        if text:
            self._said.append(text)
            if self._here is not None:
                self._tell(text)

    def _make_tunnel(self, here: Here) -> None:
        self._forward = _started(invocation.forward(self._control, here.socket, self._plan.tunnel.target))

    def _forwarded(self) -> None:
        """Start the worker once the tunnel stands, or say why it does not."""
        process, self._forward = self._forward, None
        assert process is not None
        out, error = process.communicate()  # it has ended
        if process.returncode == 0 and self._here is not None:
            self._next_step("starts a worker")
            self._outbox += self._plan.order(self._here.socket)
        elif self._process.poll() is None:
            said = printable(" ".join((out + error).decode("utf-8", "replace").split()), None)
            self._give_up(
                Outcome(
                    f"sshd there refuses the tunnel: AllowStreamLocalForwarding or DisableForwarding ({said})",
                    again=False,
                )
            )

    # --- the end ----------------------------------------------------------------------------------------------------

    def _next_step(self, state: str) -> None:
        self.state, self._due = state, time.monotonic() + STEP_SECONDS

    def _give_up(self, outcome: Outcome) -> None:
        self._trouble = self._trouble or outcome
        if self._process.poll() is None:
            self._process.terminate()

    def _close_stdin(self) -> None:
        stdin, self._stdin = self._stdin, None
        self._outbox.clear()
        if stdin is not None:
            with contextlib.suppress(OSError):
                stdin.close()

    def _over(self) -> None:
        """Read what is left, and say how it ended."""
        if self.outcome is not None:
            return
        for number in list(self._streams):
            while number in self._streams and _is_ready(number):
                self.read(number)
            if number in self._streams:
                self._streams.pop(number).end()
        self._close_stdin()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        if self._forward is not None:
            self._forward.kill()
            self._forward.communicate()
            self._forward = None
        with contextlib.suppress(OSError):
            self._control.unlink()
        self.outcome = self._outcome(self._process.wait())

    def _outcome(self, code: int) -> Outcome:
        if self._ended is not None:
            return self._of_worker(self._ended.code)
        if self._trouble is not None:
            return self._trouble
        said = self._said[-1] if self._said else ""
        if self._here is not None:
            lost = not self._asked_to_end
            return Outcome(f"the connection was lost{f': {said}' if said else ''}", again=lost)
        if code == invocation.NO_PYTHON:
            return Outcome("there is no Python 3.10 or newer: install one, or name it with --python", again=False)
        if code == invocation.NO_SIMPLEDIST:
            return Outcome(
                "none of its Pythons has simpledist: say --bootstrap, or name the Python that has it with --python",
                again=False,
            )
        everything = " ".join(self._said)
        lasting = code != FAILED or (not self._was_up and _LASTING.search(everything) is not None)
        hint = next((f"; {hint}" for words, hint in _HINTS if words in everything.lower()), "")
        what = said or f"ssh ended with {code}"
        return Outcome(f"{what}{hint.replace('HOST', self._host.by_hand)}", again=not lasting)

    def _of_worker(self, code: int) -> Outcome:
        if code == 0:
            return Outcome("its worker has ended", again=False, code=0)
        if code == USAGE and self._said:  # its own line says what is wrong
            return Outcome(self._said[-1], again=False, code=code)
        how = in_words(code)
        again = code != USAGE and not self._asked_to_end
        return Outcome(f"its worker ended: {how}", again=again, code=code)


class _Lines:
    """Cuts what comes into lines, of a bounded length."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._rest = b""

    def add(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(line.decode("utf-8", "replace").rstrip("\r"))
        if len(self._rest) > LINE_BYTES:
            self.end()

    def end(self) -> None:
        rest, self._rest = self._rest, b""
        if rest:
            self._take(rest.decode("utf-8", "replace"))


def _line(**order: object) -> bytes:
    return json.dumps(order).encode() + b"\n"


def _started(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start ssh without a terminal: it can ask nothing, and Ctrl-C is for us."""
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)


def _readable(stream: IO[bytes] | None) -> int:
    assert stream is not None
    os.set_blocking(stream.fileno(), False)
    return stream.fileno()


def _is_ready(number: int) -> bool:
    return bool(select.select([number], [], [], 0)[0])
