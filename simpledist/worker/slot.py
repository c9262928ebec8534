"""A slot: one place of the worker with its child, and the jobs that this child was given.

Owns how far the child is (begun, ready, ended) and which of its jobs is in front. Time comes in; nothing here asks
Redis. Made and dropped by children.py; the rooms of jobs (jobs.py, outcomes.py, release.py) put jobs in and take them
out, all in the parent's one thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from simpledist import policy
from simpledist.broker.records import Held
from simpledist.worker.batch_answers import Batch
from simpledist.worker.channel import Channel
from simpledist.worker.frames import BLOB, ENTER, RECALL, Order
from simpledist.worker.gpus import Variables
from simpledist.worker.labelled_output import LabelledOutput
from simpledist.worker.result_buffer import ResultBuffer

STATUS_SECONDS = 0.1  # a child's wait status follows the end of its channel within this
NEVER = float("inf")


class Maker(Protocol):
    """A template, as its children's slots know it."""

    def start_child(self, serial: int, descriptor: int, variables: Variables) -> None: ...

    def kill_child(self, serial: int) -> None: ...


@dataclass(slots=True)
class Placed:
    """A job that was given to a child, and what its outcome is sealed with."""

    held: Held
    codec: str
    digest: bytes
    batch: Batch | None = None  # None: a single call
    blobs: tuple[str, ...] = ()  # the names of its shared objects
    hard_seconds: float | None = None  # so long it may run


@dataclass(eq=False)
class Slot:
    """A child in one place of the worker, and its jobs by index; it runs them in this order."""

    number: int
    serial: int  # of the child, among all of its template
    channel: Channel
    buffer: ResultBuffer
    output: LabelledOutput
    started_at: float
    maker: Maker  # the template that has made the child
    pid: int | None = None
    ready: bool = False  # it takes jobs
    jobs: dict[int, Placed] = field(default_factory=dict[int, Placed])
    jobs_done: int = 0
    front_since: float = 0.0  # when the first of `jobs` came to the front, at the earliest
    rests_until: float = 0.0  # answers are coming in fast: they are read together, not before this time
    ends_at: float | None = None  # the channel has ended: the wait status is due until then
    unable: str = ""  # the child's own words, where it could not begin
    kept: bool = False  # for a job that waits for this slot (waiting_jobs.py)
    archive: str = ""  # the name of the one whose modules the child has, "" as long as it has none
    _began_at: float | None = None
    _proves_until: float | None = None  # it gets no job before this, for others before it ended at once
    _expected: int = 0  # jobs whose calls are still on their way to us
    _next_index: int = 0
    _patience_seconds: float = policy.SLOW_SECONDS  # so long the front may run while others wait behind it

    # --- its child -----------------------------------------------------------------------------------------------

    def begun(self, now: float, proof_seconds: float) -> None:
        """Note that the child has begun; it gets jobs once it has lived for so long."""
        self._began_at = now
        self.ready, self._proves_until = not proof_seconds, now + proof_seconds if proof_seconds else None

    def proves(self, now: float) -> bool:
        """Return whether the child has just lived long enough to get jobs."""
        if self._proves_until is None or now < self._proves_until:
            return False
        self._proves_until, self.ready = None, True
        return True

    def changes_at(self, start_seconds: float) -> float:
        """Return when the child proves itself, or has not begun for too long."""
        if self._proves_until is not None:
            return self._proves_until
        return self.started_at + start_seconds if self._began_at is None else NEVER

    @property
    def has_begun(self) -> bool:
        return self._began_at is not None

    def was_of_use(self, now: float) -> bool:
        """Return whether the child has done a job, or has lived for long."""
        lived = 0.0 if self._began_at is None else now - self._began_at
        return self.jobs_done > 0 or lived >= policy.STEADY_SECONDS

    def channel_ended(self, now: float) -> None:
        """Note that the child is gone, or goes: its wait status is due."""
        self.ends_at = now + STATUS_SECONDS

    def close(self) -> None:
        """Let go of everything that this process holds of the child."""
        self.channel.close()
        self.buffer.close()
        self.output.end()

    # --- its jobs ------------------------------------------------------------------------------------------------

    @property
    def free(self) -> bool:
        """Return whether it is idle, and kept for no job."""
        return self.ready and not self.jobs and not self.kept and not self._expected and self.ends_at is None

    @property
    def idle(self) -> bool:
        """Return whether the child takes jobs and has none."""
        return self.ready and not self.jobs and not self._expected and self.ends_at is None

    def expect(self) -> None:
        """Keep this slot for a job whose call is on its way."""
        self._expected += 1

    def expect_no_more(self) -> None:
        """Note that the call has come, or will not."""
        self._expected -= 1

    def place(self, placed: Placed) -> int:
        """Note a job as the last of this slot; return its index."""
        index, self._next_index = self._next_index, self._next_index + 1
        self.jobs[index] = placed
        return index

    def begin(self, orders: list[Order], now: float, patience_seconds: float) -> None:
        """Send the child the jobs that were placed last."""
        if len(self.jobs) == len(orders):
            self.front_since = now
        self._patience_seconds = patience_seconds
        self.channel.send(orders)

    def ended(self, index: int, now: float) -> Placed | None:
        """Take out a job that the child has brought to an end; None for one that was taken back meanwhile."""
        placed = self.jobs.pop(index, None)
        if placed is not None:
            self.jobs_done += 1
            self.front_since = now
        return placed

    def rest(self, mean_seconds: float) -> None:
        """Read the next answers together: the rest of the jobs take so long each."""
        left = len(self.jobs) * mean_seconds
        long = left > policy.REST_SECONDS / 4
        self.rests_until = self.front_since + min(left, policy.REST_SECONDS) if long else 0.0

    def progressed(self, now: float) -> None:
        """Note that the job in front has moved on."""
        self.front_since = now

    def front(self) -> tuple[int, Placed] | None:
        """Return the job that runs, or is about to."""
        return next(iter(self.jobs.items()), None)

    def take_from(self, first: int) -> list[Held]:
        """Take out the jobs from index `first` on."""
        return [self.jobs.pop(index).held for index in list(self.jobs) if index >= first]

    def enter(self, name: str, path: str) -> None:
        """Tell the child, which has no job, where the modules of its jobs are."""
        self.archive = name
        self.channel.send([Order(ENTER, 0, body=path.encode())])

    def lend(self, name: str, path: str) -> None:
        """Tell the child where a blob is that its next job names."""
        self.channel.send([Order(BLOB, 0, body=f"{name} {path}".encode())])

    def recall(self, first: int, part: int = 0) -> None:
        """Tell the child to forget its jobs from this index on; with `part` the rest of the first one, a batch."""
        self.buffer.recalling()
        self.channel.send([Order(RECALL, first, part)])

    def slow_at(self) -> float:
        """Return when the front is called slow, if something would wait behind it."""
        if not self.jobs:
            return NEVER
        batch = next(iter(self.jobs.values())).batch
        if batch is not None and not batch.cut:
            return self.front_since + policy.BATCH_SLOW_SECONDS
        return self.front_since + self._patience_seconds if len(self.jobs) > 1 or self.kept else NEVER

    def overdue_at(self) -> float:
        """Return when the front has run for as long as its caller allows."""
        front = next(iter(self.jobs.values()), None)
        if front is None or front.hard_seconds is None:
            return NEVER
        return self.front_since + front.hard_seconds

    def may_have_next(self, function: str, now: float) -> bool:
        """Return whether the one job here is of this function, and not known to be slow."""
        if len(self.jobs) != 1 or self._expected or self.kept or self.ends_at is not None:
            return False
        ((_, front),) = self.jobs.items()
        slow = front.batch is not None and front.batch.cut
        return front.held.function == function and not slow and now < self.front_since + self._patience_seconds

    def due(self, now: float) -> float:
        """Return when the loop must look at this slot although nothing happens."""
        due = self.slow_at() if self.jobs else NEVER
        if self.ends_at is not None:
            due = min(due, self.ends_at)
        return min(due, self.rests_until) if self.rests_until > now else due

    def running(self) -> str:
        """Return the id of the job that the child runs; the thread that prints what the child writes asks for it.

        The child says which one. Where it says nothing that is known here, it is the one in front.
        """
        try:
            placed = self.jobs.get(self.buffer.running() or 0) or next(iter(self.jobs.values()), None)
        except (RuntimeError, ValueError):  # a job was added or taken in this moment; the slot is closed
            return ""
        return "" if placed is None else placed.held.id
