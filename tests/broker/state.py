"""All that is true in Redis, but for order, in plain Python: jobs, workers, clients, lanes, and who of them lives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from simpledist import policy
from simpledist.broker.lane import function_of, parsed
from simpledist.broker.records import NO_DIGEST, NO_KEY, Held

ENDED = ("succeeded", "failed", "cancelled")
PASS_MS = 1000


class Kind(NamedTuple):
    """What parts calls and workers: the code of their function and its place, the key that signs, the protocol."""

    digest: str = ""
    key: str = NO_KEY
    protocol: int = policy.PROTOCOL
    place: str = ""

    @property
    def code(self) -> Kind:
        """By what lanes are given."""
        return self._replace(key=NO_KEY, place="")

    def is_for(self, other: Kind) -> bool:
        """Whether a call that wishes this is for that code."""
        return self.digest in ("", other.digest or NO_DIGEST)


KIND = Kind()
ANYBODY = Kind("", "", 0)  # the wish that everybody meets


@dataclass
class Offer:
    """One function of one worker: its lane, and until when the worker passes over it."""

    lane: str
    kind: Kind
    passes_until: int = 0


def code_lane(lane: str) -> str:
    """The lane without tags and priority."""
    return str(parsed(lane)._replace(tags=(), priority=""))


@dataclass(frozen=True)
class Content:
    """What the caller of a call shares: its address, whether it is joined, whether its value is kept."""

    address: str
    join: bool
    cache: bool


@dataclass
class Job:
    """One accepted job; `fence`, `worker`, `since` and `nonce` belong to its current attempt."""

    id: str
    lane: str
    call: bytes
    waiting: set[str]
    refused_by: list[str] = field(default_factory=list[str])
    state: str = "queued"
    attempts: int = 0
    crashes: int = 0
    losses: int = 0
    fence: str = ""
    worker: str = ""
    since: int = 0
    nonce: str = ""
    why: str = ""
    content: Content | None = None
    cache: bool = False  # some caller wants the value kept
    generation: int = 0
    outcome: bytes | None = None  # the first that counted; None: none, or acknowledged by all


@dataclass
class Row:
    """A worker's row; `dead` is when it was expelled."""

    connection: str
    functions: dict[str, Offer]
    beat: int
    offers: bool = True
    dead: int | None = None


@dataclass
class State:
    """All that is true in Redis, but for order."""

    now: int
    jobs: dict[str, Job] = field(default_factory=dict[str, Job])
    workers: dict[str, Row] = field(default_factory=dict[str, Row])
    clients: dict[str, tuple[int, str]] = field(default_factory=dict[str, "tuple[int, str]"])
    suspects: dict[str, tuple[str, int]] = field(default_factory=dict[str, "tuple[str, int]"])
    joins: dict[str, str] = field(default_factory=dict[str, str])  # address -> job id
    kept: dict[str, tuple[str, bytes]] = field(default_factory=dict[str, "tuple[str, bytes]"])  # by address
    cleared: dict[str, int] = field(default_factory=dict[str, int])
    lanes: dict[str, dict[str, Kind]] = field(default_factory=dict[str, "dict[str, Kind]"])  # by function: their code
    idle: dict[str, str] = field(default_factory=dict[str, str])  # lane -> the worker that waits for a lone job
    given: dict[str, list[Held]] = field(default_factory=dict[str, "list[Held]"])  # by worker: not taken yet
    disabled: set[str] = field(default_factory=set[str])  # functions
    replies: list[tuple[str, str, str, str]] = field(default_factory=list["tuple[str, str, str, str]"])

    # --- who lives -----------------------------------------------------------------------------------------------

    def client_alive(self, client: str) -> bool:
        return client in self.clients and self.now - self.clients[client][0] < 60_000

    def waited_for(self, job: Job) -> bool:
        return any(self.client_alive(client) for client in job.waiting)

    def fresh(self, worker: str) -> bool:
        return self.now - self.workers[worker].beat < 10_000

    def offers_of(self, function: str) -> dict[str, Offer]:
        """By worker; the live ones only."""
        return {
            id: row.functions[function]
            for id, row in self.workers.items()
            if row.offers and function in row.functions and self.fresh(id)
        }

    def live(self, lane: str, wish: Kind = ANYBODY) -> str:
        """What `live` answers, without the words for people behind it; but for "moved" all lanes that it may name."""
        if function_of(lane) in self.disabled:
            return "disabled"
        offers = self.offers_of(function_of(lane)).values()
        ours = [one for one in offers if wish == ANYBODY or one.kind.protocol == wish.protocol]
        if not ours:
            return "no_worker"
        if not (ours := [one for one in ours if wish == ANYBODY or one.kind.key == wish.key]):
            return "key"
        others, ours = ours, [one for one in ours if wish.is_for(one.kind)]
        if not ours and (not wish.place or any(one.kind.digest and one.kind.place == wish.place for one in others)):
            return "other_code"
        if not ours:
            return "named " + " ".join(sorted({one.lane for one in others}))
        if any(one.lane == code_lane(lane) for one in ours):
            return "ok"
        return "moved " + " ".join(sorted({one.lane for one in ours}))

    def offers_lane(self, worker: str, lane: str) -> bool:
        """Whether it offers this lane and does not pass over it."""
        row = self.workers.get(worker)
        offer = row.functions.get(function_of(lane)) if row and row.offers else None
        return offer is not None and offer.lane == code_lane(lane) and offer.passes_until <= self.now

    def another_takes(self, lane: str, but: Iterable[str]) -> bool:
        others = self.workers.keys() - set(but)
        return any(self.fresh(other) and self.offers_lane(other, lane) for other in others)

    def pass_over(self, worker: str, lane: str) -> None:
        """A worker refused a job of this lane."""
        row = self.workers.get(worker)
        offer = row.functions.get(function_of(lane)) if row and row.offers else None
        if offer is not None and offer.passes_until > self.now:
            return
        if offer is not None:
            offer.passes_until = self.now + PASS_MS
        if self.idle.get(lane) == worker:
            del self.idle[lane]

    # --- lanes ---------------------------------------------------------------------------------------------------

    def _has_jobs(self, assigned: str) -> bool:
        on_it = (job for job in self.jobs.values() if job.state in ("queued", "running"))
        return any(code_lane(job.lane) == assigned for job in on_it)

    def _in_use(self, assigned: str) -> bool:
        return self._has_jobs(assigned) or any(
            offer.lane == assigned for offer in self.offers_of(function_of(assigned)).values()
        )

    def _assign(self, function: str, kind: Kind) -> str:
        """The lane of a code: the first one has the plain lane, which is given again when nothing hangs on it."""
        known, code = self.lanes.setdefault(function, {}), kind.code
        mine = next((lane for lane, its in known.items() if its == code and lane == code_lane(lane)), None)
        if mine == function:
            return function
        owner = known.get(function) or next(
            (one.kind.code for one in self.offers_of(function).values() if one.lane == function), None
        )
        free = owner in (None, code) or not self._in_use(function)
        if free and not (mine and self._has_jobs(mine)):
            known.update({lane: code for lane in known if code_lane(lane) == function})
            known[function] = code
            if mine:
                self._forget(function, mine)
                for offer in (row.functions.get(function) for row in self.workers.values() if row.offers):
                    if offer is not None and offer.lane == mine:
                        offer.lane = function
            return function
        if mine is None:
            for lane in [lane for lane in known if lane not in (function, *self._variants(known))]:
                if not self._in_use(lane):
                    self._forget(function, lane)
            mine = f"{function}~{kind.digest[:12] or f'{kind.protocol:012x}'}"
            known[mine] = code
        return mine

    @staticmethod
    def _variants(known: dict[str, Kind]) -> list[str]:
        return [lane for lane in known if lane != code_lane(lane)]

    def _forget(self, function: str, assigned: str) -> None:
        for lane in [lane for lane in self.lanes[function] if code_lane(lane) == assigned]:
            del self.lanes[function][lane]

    def lanes_of(self, function: str, kind: Kind) -> set[str]:
        """All lanes that a worker of this kind takes jobs from."""
        code = kind.code
        return {lane for lane, its in self.lanes.get(function, {}).items() if its == code}

    def registered(self, worker: str) -> bool:
        return worker in self.workers and self.workers[worker].dead is None

    def of(self, worker: str) -> list[Job]:
        return [job for job in self.jobs.values() if job.state == "running" and job.worker == worker]

    # --- a job's moves -------------------------------------------------------------------------------------------

    def _finish(self, job: Job, state: str, why: str = "", outcome: bytes | None = None) -> None:
        job.state, job.why, job.outcome, job.fence = state, why, outcome, ""
        self.replies += [(client, job.id, state, why) for client in job.waiting]

    def _requeue(self, job: Job) -> None:
        job.state, job.fence, job.worker = "queued", "", ""

    def _release(self, held: Held) -> str:
        job = self.jobs.get(held.id)
        if job is None:
            return "gone"
        if job.state != "running" or job.fence != held.fence:
            return "stale"
        job.attempts -= 1
        self._requeue(job)
        return "requeued"

    def _lose(self, job: Job) -> None:
        job.losses += 1
        lost = job.losses >= policy.LOSS_CAP
        self._finish(job, "failed", "lost") if lost else self._requeue(job)

    def _run(self, job: Job, worker: str, fence: str, nonce: str) -> None:
        job.state, job.worker, job.fence, job.nonce, job.since = "running", worker, fence, nonce, self.now
        job.attempts += 1
