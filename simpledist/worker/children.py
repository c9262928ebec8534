"""The template and the slots, as the parent sees them.

Owns processes and channels, and which job is in which child. Knows no Redis and decodes nothing; the loop
(worker.py) asks it what happened and decides what that means for jobs.
"""

from __future__ import annotations

import errno
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from simpledist import policy
from simpledist.broker.records import Held
from simpledist.errors import TargetError
from simpledist.worker import environment, mark
from simpledist.worker.channel import Channel
from simpledist.worker.mailbox import Mailbox
from simpledist.worker.printer import Printer, Voice
from simpledist.worker.remains import Remains
from simpledist.worker.slate import Slate
from simpledist.worker.starts import Starts

log = logging.getLogger("simpledist.worker")

IMPORT_SECONDS = 10.0  # an import that takes so long is said to
SPARE_DESCRIPTORS = 12  # numbers are given out from the lowest: so many are kept for connections, /proc and a template
STOP_SECONDS = 6.0
STOP_LOOK_SECONDS = 0.02


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
    """A child in one place of the worker, and the jobs that it was given, by index; it runs them in this order."""

    number: int
    serial: int  # of the child, among all of its template
    channel: Channel
    slate: Slate
    voice: Voice
    started_at: float
    pid: int | None = None
    began_at: float | None = None  # it has said that it is there
    proves_until: float | None = None  # ... and gets no job before this, for others before it ended at once
    ready: bool = False
    unable: str = ""  # its own words, where it could not begin
    jobs: dict[int, Placed] = field(default_factory=dict[int, Placed])
    expected: int = 0  # jobs whose calls are still on their way to us
    given: int = 0  # the index of the next job
    jobs_done: int = 0
    front_since: float = 0.0  # when the first of `jobs` came to the front, at the earliest
    patience_seconds: float = policy.SLOW_SECONDS  # so long it may run while others wait behind it
    rests_until: float = 0.0  # answers are coming in fast: they are read together, not before this time
    ends_at: float | None = field(default=None)  # the channel ended: the wait status is due until then

    @property
    def free(self) -> bool:
        return self.ready and not self.jobs and not self.expected and self.ends_at is None

    @property
    def wants_to_write(self) -> bool:
        return self.channel.wants_to_write

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
        if len(self.jobs) != 1 or self.expected or self.ends_at is not None:
            return False
        ((_, front),) = self.jobs.items()
        return front.held.function == function and not front.cut and now < self.front_since + self.patience_seconds

    def running(self) -> str:
        """The id of the job in front, for whoever reads what the child prints: another thread."""
        try:
            front = next(iter(self.jobs.values()), None)
        except RuntimeError:  # one was added or taken in this moment
            return ""
        return "" if front is None else front.held.id

    def close(self) -> None:
        self.channel.close()
        self.slate.close()
        self.voice.end()

    def take_from(self, first: int) -> list[Held]:
        """No longer this slot's: its jobs from index `first` on."""
        return [self.jobs.pop(index).held for index in list(self.jobs) if index >= first]


class Children:
    """One template, a child for each of `count` places. Everything here happens in the parent's one thread."""

    def __init__(self, targets: Sequence[str], count: int, printer: Printer) -> None:
        self._targets = list(targets)
        self._printer = printer
        self._process: subprocess.Popen[bytes] | None = None
        self._mailbox: Mailbox | None = None
        self._token = 0
        self._remains: Remains | None = None  # of a template that died
        self._template_since = 0.0
        self._import_seconds: float | None = None  # None: the template has not imported the targets yet
        self._serials = mark.new_serials()
        self.functions: dict[str, str] = {}  # qualified name -> fingerprint
        self.shared_generators: list[str] = []  # random generators in modules, of which each child has a copy
        self.count = count
        self.slots: list[Slot] = []  # of the places that have a child, begun or not
        self.starts = Starts(count)
        self.settled = False  # every place has a child that takes jobs: `tend` has nothing to do

    # --- the template --------------------------------------------------------------------------------------------

    def start_template(self) -> None:
        """Start a template, which imports the targets. Raises OSError where this machine has no room for it."""
        ours, theirs = socket.socketpair()
        self._token = mark.new_token()
        with theirs:
            try:
                _, says = self._printer.pipe()
            except BaseException:
                ours.close()
                raise
            try:
                self._process = subprocess.Popen(
                    [
                        sys.executable,
                        "-c",
                        "from simpledist.worker.template import main; main()",
                        str(theirs.fileno()),
                        str(os.getpid()),
                        str(self._token),
                        *self._targets,
                    ],
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    stdout=says,
                    stderr=says,
                    env=environment.of_children(self.count),
                    start_new_session=True,  # who kills its own group kills the template's
                )
            except BaseException:
                ours.close()
                raise
            finally:
                os.close(says)
        ours.setblocking(False)
        self._mailbox = Mailbox(ours)
        self._template_since, self._import_seconds = time.monotonic(), None

    def await_introduction(self) -> None:
        """Wait until the template has imported the targets; raises TargetError with its one line."""
        assert self._mailbox is not None
        while self._import_seconds is None:
            if not self._mailbox.wait(IMPORT_SECONDS):
                log.warning(
                    "the import of %s goes on for %.0f s: nothing is offered before it has ended",
                    " ".join(self._targets),
                    time.monotonic() - self._template_since,
                )
            elif (lines := self._mailbox.read()) is None:
                raise TargetError(f"importing {' '.join(self._targets)} ended the process ({self.end_template()})")
            else:
                for line, _ in lines:
                    self._introduced(line)

    @property
    def template_pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def mailbox(self) -> Mailbox | None:
        """The way to the template; None while there is no template."""
        return self._mailbox

    def end_template(self) -> str:
        """Let go of a template that is gone, and of its children; how it ended, for people."""
        if self._process is None:
            return "it did not start"
        if self._mailbox is not None:
            self._mailbox.close()
            self._mailbox = None
        self._process.kill()
        how = told(self._process.wait())
        self._process = None
        for slot in self.slots:
            slot.close()
        self.slots, self.settled = [], False
        self._remains = Remains(self._token)
        self._remains.add_everything(time.monotonic())
        return how

    def read_template(self) -> list[tuple[Slot, str]] | None:
        """The children that ended, or could not be had, each with how; None at the template's own end."""
        assert self._mailbox is not None
        self._mailbox.flush()
        lines = self._mailbox.read()
        if lines is None:
            return None
        lost: list[tuple[Slot, str]] = []
        for line, _ in lines:
            if "started" in line:
                if slot := self._of_serial(line["started"]):
                    slot.pid = line["pid"]
            elif "ended" in line:
                if slot := self._of_serial(line["ended"]):
                    before = " before it began" if slot.began_at is None else ""
                    lost.append((slot, told(line["status"]) + before))
            elif "failed" in line:
                if slot := self._of_serial(line["failed"]):
                    lost.append((slot, line["error"]))
            else:
                try:
                    self._introduced(line)
                except TargetError as error:  # the files have changed since the worker was started
                    self.end_template()
                    self.starts.template_failed(str(error), time.monotonic())
                    return []
        return lost

    def _introduced(self, line: dict[str, Any]) -> None:
        if "error" in line:
            raise TargetError(line["error"])
        self.functions = dict(line["functions"])
        shared: list[str] = line["generators"]
        if shared and shared != self.shared_generators:
            log.warning(
                "each child has a copy of the random generator %s, and draws the same numbers: "
                "give the function a seed (docs/random.md)",
                ", ".join(shared),
            )
        self.shared_generators = shared
        self._import_seconds = time.monotonic() - self._template_since

    def _of_serial(self, serial: int) -> Slot | None:
        return next((slot for slot in self.slots if slot.serial == serial), None)

    # --- children that come ------------------------------------------------------------------------------------------

    def tend(self, now: float) -> None:
        """Do what is due: a template, children for empty places, an end to those that do not begin.

        To be called in each turn while not all is `settled`.
        """
        if self._remains is not None and now >= self._remains.due:
            self._remains.look(now)
        if self._mailbox is None and now >= self.starts.template.due:
            self._try_template(now)
        if self._import_seconds is None:
            return
        for slot in list(self.slots):
            if slot.proves_until is not None and now >= slot.proves_until:
                slot.proves_until, slot.ready = None, True
                self.starts.proved(slot.number)
            elif slot.began_at is None and now >= slot.started_at + self._start_seconds():
                self.lost(slot, f"it did not begin within {self._start_seconds():.0f} s", with_job=False)
        for number in self._empty():
            if now >= self.starts.places[number].due:
                self._fill(number, now)
        over = self._remains is None or self._remains.due == float("inf")
        self.settled = over and len(self.slots) == self.count and all(slot.ready for slot in self.slots)

    def due(self) -> float:
        """When `tend` has something to do, or there is something to tell."""
        if self.settled:
            return float("inf")
        times = [self.starts.speaks_at()]
        times += [self._remains.due] if self._remains is not None else []
        if self._mailbox is None:
            times.append(self.starts.template.due)
        if self._import_seconds is not None:
            times += [self.starts.places[number].due for number in self._empty()]
            for slot in self.slots:
                if slot.proves_until is not None:
                    times.append(slot.proves_until)
                elif slot.began_at is None:
                    times.append(slot.started_at + self._start_seconds())
        return min(times, default=float("inf"))

    def begun(self, slot: Slot, now: float) -> None:
        """The child has said that it is there."""
        slot.began_at = now
        proof = self.starts.proof_seconds(slot.number)
        slot.ready, slot.proves_until = not proof, now + proof if proof else None

    def ready(self) -> set[int]:
        """The places whose child takes jobs, or has some."""
        return {slot.number for slot in self.slots if slot.ready}

    def _empty(self) -> set[int]:
        return set(range(self.count)) - {slot.number for slot in self.slots}

    def _start_seconds(self) -> float:
        return max(policy.START_SECONDS, 10 * (self._import_seconds or 0.0))

    def _try_template(self, now: float) -> None:
        try:
            self.start_template()
        except OSError as error:
            self.starts.template_failed(f"the template cannot be started: {error}", now)

    def _fill(self, number: int, now: float) -> None:
        """A child for an empty place, unless this machine has no room for one now."""
        assert self._mailbox is not None
        try:
            ours, theirs = socket.socketpair()
            with theirs:
                try:
                    _leave_room(theirs.fileno())
                    slate = Slate.shared_over(ours)
                    voice = self._printer.pipe_over(ours)
                    descriptor = os.dup(theirs.fileno())
                except BaseException:
                    ours.close()
                    raise
        except OSError as error:
            self.starts.lost(number, f"{error}", now, with_job=False, of_use=False)
            return
        slot = Slot(number, next(self._serials), Channel(ours), slate, voice, now)
        self.slots.append(slot)
        voice.running = slot.running
        self.slots.sort(key=lambda slot: slot.number)
        self._mailbox.post({"start": slot.serial}, descriptor)

    # --- children that go --------------------------------------------------------------------------------------------

    def lost(self, slot: Slot, how: str, *, with_job: bool) -> None:
        """A child has ended by itself, or must: its place gets another when policy allows it."""
        now = time.monotonic()
        lived = 0.0 if slot.began_at is None else now - slot.began_at
        of_use = slot.jobs_done > 0 or lived >= policy.STEADY_SECONDS
        self.replace(slot, kill=True)
        self.starts.lost(slot.number, slot.unable or how, now, with_job=with_job, of_use=of_use)

    def replace(self, slot: Slot, *, kill: bool) -> None:
        """Let `tend` put a fresh child in its place; the old one is killed, or ends by itself when its channel ends."""
        if kill and self._mailbox is not None:
            self._mailbox.post({"kill": slot.serial})
        slot.close()
        self.slots.remove(slot)
        self.settled = False

    def free(self) -> list[Slot]:
        return [slot for slot in self.slots if slot.free]

    def channels(self) -> Iterator[Slot]:
        return (slot for slot in self.slots if not slot.channel.closed)

    def stop(self) -> None:
        """End everything, and return when the template is gone."""
        for slot in self.slots:
            slot.close()
        if self._process is not None:
            assert self._mailbox is not None
            self._mailbox.close()  # the template ends its children, and what they leave, at the end of this socket
            try:
                self._process.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        until = time.monotonic() + STOP_SECONDS
        while self._remains is not None and self._remains.look(time.monotonic()) and time.monotonic() < until:
            time.sleep(STOP_LOOK_SECONDS)


def _leave_room(descriptor: int) -> None:
    """Raise OSError where a place with this descriptor would leave too few for the connections to Redis."""
    if descriptor + SPARE_DESCRIPTORS > resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 0:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def told(status: int) -> str:
    """An exit code for people: `exit status 3`, `killed by SIGSEGV`."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
