"""What the verbs promise, in plain Python: the model that test_state_machine.py holds against Redis.

It knows no lists, ledgers or stamps: which job comes next is Redis' choice and told to `took`; everything else (states,
words, caps, who waits, who lives) follows from here. Milliseconds throughout. TTLs do not run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from simpledist import policy
from simpledist.broker.lane import function_of, parsed
from simpledist.broker.records import NO_KEY, Claimed, Ended, Failed, Held

ENDED = ("succeeded", "failed", "cancelled")
PASS_MS = 1000


class Kind(NamedTuple):
    """What parts calls and workers: the code of their function, the key that signs, the protocol."""

    digest: str = ""
    key: str = NO_KEY
    protocol: int = policy.PROTOCOL


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
class Model:
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
        offers = self.offers_of(function_of(lane)).values()
        ours = [one for one in offers if wish == ANYBODY or one.kind.protocol == wish.protocol]
        if not ours:
            return "no_worker"
        if not (ours := [one for one in ours if wish == ANYBODY or one.kind.key == wish.key]):
            return "key"
        if not (ours := [one for one in ours if not wish.digest or one.kind.digest == wish.digest]):
            return "other_code"
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
        """The lane of a code: the first one has the plain lane, which is given anew when nothing hangs on it."""
        known, code = self.lanes.setdefault(function, {}), kind._replace(key=NO_KEY)
        mine = next((lane for lane, its in known.items() if its == code and lane == code_lane(lane)), None)
        if mine == function:
            return function
        owner = known.get(function) or next(
            (one.kind._replace(key=NO_KEY) for one in self.offers_of(function).values() if one.lane == function), None
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
        code = kind._replace(key=NO_KEY)
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

    def _run(self, job: Job, worker: str, fence: str, nonce: str) -> None:
        job.state, job.worker, job.fence, job.nonce, job.since = "running", worker, fence, nonce, self.now
        job.attempts += 1

    # --- the client's verbs --------------------------------------------------------------------------------------

    def submit(
        self,
        lane: str,
        wish: Kind,
        client: str,
        connection: str,
        calls: Sequence[tuple[str, bytes, Content | None]],
        max_queue: int | None,
        require: bool,
        crashes: int = 0,
    ) -> list[str]:
        queued = sum(job.state == "queued" and job.lane == lane for job in self.jobs.values())
        function = function_of(lane)
        room = len(calls) if max_queue is None else max_queue - queued
        words: list[str] = []
        for id, call, content in calls:
            job = self.jobs.get(id)
            leader = self._leader(content)
            if job and job.state in ("queued", "running"):
                words.append("exists")
            elif job and job.state != "cancelled" and (job.why or job.outcome is not None):
                words.append("done")
            elif content and content.cache and content.address in self.kept:
                words.append("cached")
            elif require and (answer := self.live(lane, wish)) != "ok":
                words.append(answer)
            elif leader:
                words.append(f"joined {leader.id}")
                leader.waiting.add(client)
                leader.cache = leader.cache or bool(content and content.cache)
            elif words.count("queued") >= room:
                words.append("full")
            else:
                words.append("queued")
                self.jobs[id] = Job(id, lane, call, {client}, content=content, crashes=crashes)
                if content:
                    self.jobs[id].cache = content.cache
                    self.jobs[id].generation = self.cleared.get(function, 0)
                if content and content.join:
                    self.joins[content.address] = id
            if words[-1] in ("exists", "done"):
                self.jobs[id].waiting.add(client)
        self._client_beats(client, connection)
        if words.count("queued"):
            self._open(lane)
        if words.count("queued") == 1:
            self._give(lane, wish, calls[words.index("queued")][0], queued)
        return words

    def _open(self, lane: str) -> None:
        """A lane with a priority is known from its first job on, to those who offer its code."""
        function = function_of(lane)
        kinds = [one.kind for one in self.all_offers(function) if one.lane == code_lane(lane)]
        if lane != code_lane(lane) and lane not in self.lanes.get(function, {}) and kinds:
            self.lanes[function][lane] = kinds[0]._replace(key=NO_KEY)

    def all_offers(self, function: str) -> list[Offer]:
        """Also those of workers that may be dead."""
        rows = [row for row in self.workers.values() if row.offers and function in row.functions]
        return [row.functions[function] for row in rows]

    def _give(self, lane: str, wish: Kind, id: str, queued: int) -> None:
        worker = self.idle.pop(lane, None)
        if worker is None or queued or worker not in self.workers or not self.fresh(worker):
            return
        if self.offers_lane(worker, lane):
            kind = self.workers[worker].functions[function_of(lane)].kind
            if kind[1:] == wish[1:] and wish.digest in ("", kind.digest):
                self._run(self.jobs[id], worker, "", "given")
                self.given.setdefault(worker, []).append(Held(lane, id, ""))

    def fences(self, fences: dict[str, str]) -> None:
        """What was given has the fences that Redis chose: of each job id."""
        for helds in self.given.values():
            for i, held in enumerate(helds):
                if not held.fence:
                    helds[i] = held._replace(fence=fences[held.id])
                    self.jobs[held.id].fence = fences[held.id]

    def is_idle(self, worker: str, lane: str, idle_for: str, slots: int, taken: int, *, completes: bool) -> None:
        """A worker asked for jobs on so many slots and got so many: it waits for one more, or its slots are full."""
        full = taken >= slots
        if idle_for and (full or not taken):
            if self.idle.get(idle_for) == worker:
                del self.idle[idle_for]
            elif full and self.given.get(worker):
                self._release(self.given[worker].pop(0))
        if completes and slots and not taken and self.offers_lane(worker, lane):
            self.idle[lane] = worker

    def _leader(self, content: Content | None) -> Job | None:
        job = self.jobs.get(self.joins.get(content.address, "")) if content and content.join else None
        return job if job and job.state in ("queued", "running") else None

    def clear(self, function: str) -> int:
        addresses = [address for address, (its, _) in self.kept.items() if its == function]
        for address in addresses:
            del self.kept[address]
        self.cleared[function] = self.cleared.get(function, 0) + 1
        return len(addresses)

    def _client_beats(self, client: str, connection: str) -> None:
        self.suspects.pop(client, None)
        self.clients[client] = (self.now, connection)

    def cancel(self, client: str | None, ids: Iterable[str]) -> list[str]:
        words: list[str] = []
        self.suspects.pop(client or "", None)
        for id in ids:
            job = self.jobs.get(id)
            if job is not None and job.state in ENDED:
                lost = job.state != "cancelled" and not job.why and job.outcome is None
                words.append("gone" if lost else "ended")
            else:
                words.append("gone" if job is None else "cancelled")
            if job is None or job.state in ENDED:
                continue
            if client is None:
                self._finish(job, "failed", "called_off")
                continue
            job.waiting.discard(client)
            if not job.waiting and job.state == "queued":
                del self.jobs[id]
            elif not job.waiting:
                job.state, job.fence = "cancelled", ""
        return words

    def ack(self, client: str, ids: Iterable[str]) -> None:
        self.suspects.pop(client, None)
        for id in ids:
            job = self.jobs.get(id)
            if job and client in job.waiting:
                job.waiting.discard(client)
                if not job.waiting and job.state in ENDED:
                    del self.jobs[id]

    def nudge(self, client: str, connection: str, run_id: str, ids: Iterable[str], wish: Kind) -> list[str]:
        self._client_beats(client, connection)
        self.judge(run_id)
        for other in [one for one in self.clients if not self.client_alive(one)]:
            del self.clients[other]
        for worker in list(self.workers):
            self.reap_worker(worker)
        words: list[str] = []
        for id in ids:
            job = self.jobs.get(id)
            word = "missing" if job is None or job.state == "cancelled" else job.state
            if job and word == "queued" and (answer := self.live(job.lane, wish)) != "ok":
                word = answer
            words.append(word)
        return words

    # --- the worker's verbs --------------------------------------------------------------------------------------

    def repeated(self, worker: str, nonce: str) -> set[Held]:
        """What a verb that is sent again must give again."""
        return {Held(job.lane, job.id, job.fence) for job in self.of(worker) if job.nonce == nonce}

    def took(self, worker: str, nonce: str, claimed: Sequence[Claimed], gone: set[str], spent: set[str]) -> None:
        """What Redis handed out, and the queued jobs that it dropped or ended instead."""
        for id in gone:
            job = self.jobs.pop(id)
            assert job.state == "queued", f"{id} was {job.state} and is gone"
            assert not self.waited_for(job), f"{id} was forgotten though its client lives"
        for id in spent:
            job = self.jobs[id]
            assert job.attempts == policy.ATTEMPT_CAP, f"{id} was given up after {job.attempts} attempts"
            self._finish(job, "failed", "lost")
        for one in claimed:
            job = self.jobs[one.held.id]
            assert job.state == "queued", f"{job.id} is {job.state} and was claimed"
            assert self.waited_for(job), f"{job.id} was claimed and nobody waits"
            assert job.attempts < policy.ATTEMPT_CAP, f"{job.id} was claimed once too often"
            self._run(job, worker, one.held.fence, nonce)
            assert one.attempt == job.attempts
            assert one.held.lane == job.lane
            refused = worker in job.refused_by and self.another_takes(job.lane, [worker])
            assert not refused, f"{job.id} was claimed by {worker}, which had refused it"
            assert one.call in (job.call, None)

    def complete(self, worker: str, ended: Iterable[Ended]) -> list[str]:
        words: list[str] = []
        self.suspects.pop(worker, None)
        for one in ended:
            job = self.jobs.get(one.held.id)
            if job is None:
                words.append("gone")
            elif job.state in ENDED:
                words.append("already")
            elif one.kind == "error" and job.fence != one.held.fence:
                words.append("stale")
            else:
                words.append("succeeded" if one.kind == "value" else "failed")
                job.worker = worker
                kept = (
                    job.cache and one.kind == "value" and job.generation == self.cleared.get(function_of(job.lane), 0)
                )
                if kept and job.content:
                    self.kept[job.content.address] = (function_of(job.lane), bytes(one.outcome or b""))
                self._finish(job, words[-1], outcome=bytes(one.outcome or b""))
        return words

    def fail(self, worker: str, failed: Iterable[Failed]) -> list[str]:
        words: list[str] = []
        self.suspects.pop(worker, None)
        for one in failed:
            job = self.jobs.get(one.held.id)
            if job is None:
                words.append("gone")
            elif job.state in ENDED:
                words.append("already")
            elif job.fence != one.held.fence:
                words.append("stale")
            else:
                job.crashes += one.why == "crashed"
                again = one.why == "crashed" and job.crashes < policy.CRASH_CAP
                if one.refused and not again and len(job.refused_by) + 1 < policy.REFUSAL_CAP:
                    again = self.another_takes(job.lane, [worker, *job.refused_by])
                    if again:
                        self.pass_over(worker, job.lane)
                        job.refused_by.append(worker)
                words.append("requeued" if again else "failed")
                self._requeue(job) if again else self._finish(job, "failed", one.why)
        return words

    def release(self, worker: str, held: Iterable[Held]) -> list[str]:
        self.suspects.pop(worker, None)
        return [self._release(one) for one in held]

    def beat(
        self,
        worker: str,
        connection: str,
        held: Sequence[Held],
        functions: tuple[str, ...] | None,
        kind: Kind = KIND,
    ) -> tuple[bool, list[Held], list[Held]]:
        self.suspects.pop(worker, None)
        if functions is not None:
            self.workers[worker] = Row(connection, {}, self.now)
            offered = {name: Offer(self._assign(name, kind), kind) for name in functions}
            self.workers[worker].functions.update(offered)
        elif not self.registered(worker) or (
            self.workers[worker].connection != connection and not self._all_well(worker, held)
        ):
            return False, [], []
        self.workers[worker].beat = self.now
        stop: list[Held] = []
        missing: list[Held] = []
        for one in held:
            job = self.jobs.get(one.id)
            if job is None:
                missing.append(one)
            elif job.lane != one.lane:
                stop.append(one)
            elif job.state in ENDED or not self.waited_for(job):
                stop.append(one)
                if job.fence == one.fence:
                    del self.jobs[job.id]
            elif job.state == "queued":
                self._run(job, worker, one.fence, "-")
            elif job.fence != one.fence:
                stop.append(one)
        for job in self.of(worker):
            one = Held(job.lane, job.id, job.fence)
            if one not in held and self.now - job.since >= 1000:
                self._release(one)
        return True, stop, missing

    def _all_well(self, worker: str, held: Sequence[Held]) -> bool:
        """Whether a beat has nothing to tell, so that it does not matter over which connection it came."""
        mine = self.of(worker)
        named = sorted(Held(job.lane, job.id, job.fence) for job in mine)
        return sorted(held) == named and all(self.waited_for(job) for job in mine)

    def leave(self, one: str, final: bool) -> None:
        self.suspects.pop(one, None)
        if one in self.workers:
            self.workers[one].offers = False
        if final:
            for job in self.of(one):
                self._release(Held(job.lane, job.id, job.fence))
            self.workers.pop(one, None)
            self.given.pop(one, None)
            if self.clients.pop(one, None):
                self.replies = [reply for reply in self.replies if reply[0] != one]

    # --- who is judged -------------------------------------------------------------------------------------------

    def reap_worker(self, worker: str) -> bool:
        row = self.workers.get(worker)
        if row is None:
            return False
        if row.dead is None and not self.fresh(worker):
            self._expel(worker)
            return True
        if row.dead is not None and self.now - row.dead >= 600_000:
            del self.workers[worker]
        return False

    def _expel(self, worker: str) -> None:
        self.suspects.pop(worker, None)
        self.workers[worker].dead, self.workers[worker].offers = self.now, False
        self.given.pop(worker, None)
        for job in self.of(worker):
            job.losses += 1
            lost = job.losses >= policy.LOSS_CAP
            self._finish(job, "failed", "lost") if lost else self._requeue(job)

    def judge(self, run_id: str) -> tuple[list[str], bool]:
        """Act on suspicions whose grace is over: the workers expelled, and whether a suspicion still runs."""
        expelled: list[str] = []
        closing = False
        for id, (connection, since) in list(self.suspects.items()):
            age, ours = self.now - since, connection.startswith(run_id + ":")
            if self.registered(id) and self.workers[id].connection == connection:
                closing = closing or age < 500
                if age >= 500 and ours:
                    self._expel(id)
                    expelled.append(id)
            elif self.clients.get(id, (0, ""))[1] == connection:
                closing = closing or age < 1000
                if age >= 1000 and ours:
                    del self.suspects[id], self.clients[id]
            else:
                del self.suspects[id]
        return expelled, closing

    def reap(
        self,
        run_id: str,
        workers: Iterable[tuple[str, str]],
        clients: Iterable[tuple[str, str]],
        orphans: Iterable[str],
    ) -> tuple[list[str], bool]:
        expelled: list[str] = []
        for id, connection in workers:
            if self.reap_worker(id):
                expelled.append(id)
            elif connection:
                self._suspect(id, connection)
        for id, connection in clients:
            if id in self.clients and not self.client_alive(id):
                del self.clients[id]
            elif connection:
                self._suspect(id, connection)
        judged, closing = self.judge(run_id)
        for id in orphans:
            job = self.jobs.get(id)
            if job and job.state == "queued" and not self.waited_for(job):
                del self.jobs[id]
        return expelled + judged, closing

    def _suspect(self, id: str, connection: str) -> None:
        if self.suspects.get(id, ("", 0))[0] != connection:
            self.suspects[id] = (connection, self.now)

    def wipe(self) -> None:
        for everything in (self.jobs, self.workers, self.clients, self.suspects, self.replies):
            everything.clear()
        for everything in (self.joins, self.kept, self.cleared, self.idle, self.given, self.lanes):
            everything.clear()
