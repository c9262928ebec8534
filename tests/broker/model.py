"""What the verbs promise, in plain Python: the model that test_state_machine.py holds against Redis.

It knows no lists, ledgers or stamps: which job comes next is Redis' choice, which `took` learns; everything else
(states, words, caps, who waits, who lives) follows from here. Milliseconds throughout. TTLs do not run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from simpledist import policy
from simpledist.broker.lane import function_of
from simpledist.broker.records import Claimed, Ended, Failed, Held
from tests.broker.state import ENDED, KIND, Content, Job, Kind, Offer, Row, State, code_lane


class Model(State):
    """What each verb does to the state, and what it answers."""

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
            self.lanes[function][lane] = kinds[0].code

    def all_offers(self, function: str) -> list[Offer]:
        """Also those of workers that may be dead."""
        rows = [row for row in self.workers.values() if row.offers and function in row.functions]
        return [row.functions[function] for row in rows]

    def _give(self, lane: str, wish: Kind, id: str, queued: int) -> None:
        worker = self.idle.pop(lane, None)
        if worker is None or queued or worker not in self.workers or not self.fresh(worker):
            return
        if function_of(lane) in self.disabled:
            return
        if self.offers_lane(worker, lane):
            kind = self.workers[worker].functions[function_of(lane)].kind
            if (kind.key, kind.protocol) == (wish.key, wish.protocol) and wish.is_for(kind):
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

    def nudge(
        self,
        client: str,
        connection: str,
        run_id: str,
        ids: Iterable[str],
        wish: Kind,
        *,
        unheld: Iterable[str] = (),
    ) -> list[str]:
        """`unheld`: jobs of which Redis has lost who holds them."""
        self._client_beats(client, connection)
        self.judge(run_id)
        for other in [one for one in self.clients if not self.client_alive(one)]:
            del self.clients[other]
        for worker in list(self.workers):
            self.reap_worker(worker)
        for id in unheld:
            if self.jobs[id].state == "running":
                self._lose(self.jobs[id])
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
            assert self.waited_for(job), f"{job.id} was claimed and no one waits"
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
            self._lose(job)

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
        for everything in (self.joins, self.kept, self.cleared, self.idle, self.given, self.lanes, self.disabled):
            everything.clear()
