"""The template and the slots, as the parent sees them.

Owns processes and channels, and which job is in which child. Knows no Redis and decodes nothing; the loop
(worker.py) asks it what happened and decides what that means for jobs.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from simpledist import policy
from simpledist.broker.records import Held
from simpledist.errors import TargetError
from simpledist.worker import environment
from simpledist.worker.channel import Channel
from simpledist.worker.slate import Slate


@dataclass(slots=True)
class Placed:
    """A job that was given to a child, and what its outcome is sealed with; of a chunk, what has been answered."""

    held: Held
    codec: str
    digest: bytes
    parts: list[bytes] | None = None  # in rows; None: a single call
    answered: int = 0  # how many parts
    parts_bytes: int = 0
    parts_us: int = 0
    returned: int = 0  # calls of a chunk, for the statistics
    raised: int = 0
    told: str = ""  # of the first that raised
    cut: bool = False  # its front call is slow: what stands behind it has gone back


@dataclass(eq=False)
class Slot:
    """One place of the worker: a child and the jobs that it was given, by index; it runs them in this order."""

    number: int
    channel: Channel
    slate: Slate
    pid: int | None = None
    ready: bool = False
    jobs: dict[int, Placed] = field(default_factory=dict[int, Placed])
    given: int = 0  # the index of the next job
    jobs_done: int = 0
    front_since: float = 0.0  # when the first of `jobs` came to the front, at the earliest
    patience_seconds: float = policy.SLOW_SECONDS  # so long it may run while others wait behind it
    rests_until: float = 0.0  # answers are coming in fast: they are read together, not before this time
    ends_at: float | None = field(default=None)  # the channel ended: the wait status is due until then

    @property
    def free(self) -> bool:
        return self.ready and not self.jobs and self.ends_at is None

    def place(self, placed: Placed) -> int:
        """Note a job as the last of this slot; its index."""
        index, self.given = self.given, self.given + 1
        self.jobs[index] = placed
        return index

    def front(self) -> tuple[int, Placed] | None:
        """The job that runs, or is about to."""
        return next(iter(self.jobs.items()), None)

    def slow_at(self) -> float:
        """When the front is to be called slow, if something would wait behind it."""
        front = self.front()
        if front is not None and front[1].parts is not None and not front[1].cut:
            return self.front_since + policy.CHUNK_SLOW_SECONDS
        return self.front_since + self.patience_seconds if len(self.jobs) > 1 else float("inf")

    def may_have_next(self, function: str, now: float) -> bool:
        """Whether the one job here is of this function, and not known to be slow."""
        if len(self.jobs) != 1 or self.ends_at is not None:
            return False
        ((_, front),) = self.jobs.items()
        return front.held.function == function and not front.cut and now < self.front_since + self.patience_seconds

    def close(self) -> None:
        self.channel.close()
        self.slate.close()

    def take_from(self, first: int) -> list[Held]:
        """No longer this slot's: its jobs from index `first` on."""
        return [self.jobs.pop(index).held for index in list(self.jobs) if index >= first]


class Children:
    """One template, `slots` children. Everything here happens in the parent's one thread."""

    def __init__(self, targets: Sequence[str], slots: int) -> None:
        self._targets = list(targets)
        self._process: subprocess.Popen[bytes] | None = None
        self._sock: socket.socket | None = None
        self._line = b""
        self.functions: dict[str, str] = {}  # qualified name -> fingerprint
        self.slots: list[Slot] = []
        self._count = slots
        self._killed_early: set[Slot] = set()

    # --- the template --------------------------------------------------------------------------------------------

    def await_introduction(self) -> None:
        """Wait until the template has imported the targets; raises TargetError with its one line."""
        assert self._sock is not None
        while b"\n" not in self._line:
            try:
                data = self._sock.recv(65536)
            except ConnectionResetError:  # its end, with requests of ours unread
                data = b""
            if not data:
                raise TargetError(f"importing {' '.join(self._targets)} ended the process ({self.template_end()})")
            self._line += data
        text, _, self._line = self._line.partition(b"\n")
        self._introduced(json.loads(text))
        self._sock.setblocking(False)

    def start_template(self) -> None:
        """Start a template and ask it for a child a slot; it tells us more when it has imported."""
        ours, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from simpledist.worker.template import main; main()",
                str(theirs.fileno()),
                str(os.getpid()),
                *self._targets,
            ],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            env=environment.of_children(self._count),
            start_new_session=True,  # who kills its own group kills the template's
        )
        theirs.close()
        self._sock, self._line = ours, b""
        for slot in self.slots:
            slot.close()
        self._killed_early.clear()
        self.slots = [self._new_slot(number) for number in range(self._count)]
        if self.functions:
            ours.setblocking(False)

    @property
    def template_pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def template_fileno(self) -> int:
        assert self._sock is not None
        return self._sock.fileno()

    def template_end(self) -> str:
        """How the template ended, for people; waits for it."""
        assert self._process is not None
        if self._sock is not None:
            self._sock.close()
        self._process.kill()
        return told(self._process.wait())

    def read_template(self) -> list[dict[str, Any]] | None:
        """What the template told: {ended: pid, status} for each death; None at its own end."""
        assert self._sock is not None
        try:
            data = self._sock.recv(65536)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            return None
        *lines, self._line = (self._line + data).split(b"\n")
        deaths: list[dict[str, Any]] = []
        for line in lines:
            fields = json.loads(line)
            if "started" in fields:
                self._started(fields)
            elif "ended" in fields:
                deaths.append(fields)
            else:
                self._introduced(fields)
        return deaths

    def _introduced(self, fields: dict[str, Any]) -> None:
        if "error" in fields:
            raise TargetError(fields["error"])
        self.functions = dict(fields["functions"])

    def _started(self, fields: dict[str, Any]) -> None:
        number, generation = fields["started"]
        for slot in [*self.slots, *self._killed_early]:
            if slot.number == number and id(slot) == generation:
                slot.pid = fields["pid"]
                if slot in self._killed_early:
                    self._killed_early.discard(slot)
                    self._request({"kill": slot.pid})

    def _request(self, fields: dict[str, Any], descriptor: int | None = None) -> None:
        assert self._sock is not None
        data = json.dumps(fields).encode() + b"\n"
        try:
            if descriptor is None:
                self._sock.sendall(data)
            else:
                socket.send_fds(self._sock, [data], [descriptor])
        except OSError:
            return  # the template is gone: its end is read next

    # --- slots ---------------------------------------------------------------------------------------------------

    def _new_slot(self, number: int) -> Slot:
        ours, theirs = socket.socketpair()
        slot = Slot(number, Channel(ours), Slate.shared_over(ours))
        self._request({"start": [number, id(slot)]}, theirs.fileno())
        theirs.close()
        return slot

    def replace(self, slot: Slot, *, kill: bool) -> Slot:
        """A fresh child for a slot; the old one is killed, or ends by itself at the end of its channel."""
        if kill:
            if slot.pid is None:
                self._killed_early.add(slot)
            else:
                self._request({"kill": slot.pid})
        slot.close()
        fresh = self._new_slot(slot.number)
        self.slots[slot.number] = fresh
        return fresh

    def free(self) -> list[Slot]:
        return [slot for slot in self.slots if slot.free]

    def of_pid(self, pid: int) -> Slot | None:
        return next((slot for slot in self.slots if slot.pid == pid), None)

    def channels(self) -> Iterator[Slot]:
        return (slot for slot in self.slots if not slot.channel.closed)

    def stop(self) -> None:
        """Kill everything, and return when the template is gone."""
        for slot in self.slots:
            slot.close()
        if self._process is not None and self._process.poll() is None:
            assert self._sock is not None
            self._sock.close()  # the template kills its children at the end of this socket
            try:
                self._process.wait(timeout=5.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def told(status: int) -> str:
    """An exit code for people: `exit status 3`, `killed by SIGSEGV`."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
