"""All verbs in any order, doubled, late and with lost replies, held against a model and against what must always hold.

`SIMPLEDIST_EXAMPLES=10000` makes the run long; the suite's own is short.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeVar, cast

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from simpledist.broker.broker import job_label
from simpledist.broker.lane import function_of, parsed
from simpledist.broker.parsing import parse_given
from simpledist.broker.records import Claimed, Ended, Failed, Held, Reply, Take, Traits, Wish
from tests.broker.bench import CLOCK_KEY, Bench
from tests.broker.invariants import Snapshot, check
from tests.broker.model import ENDED, Content, Kind, Model
from tests.key_leaks import key_leaks

EXAMPLES = int(os.environ.get("SIMPLEDIST_EXAMPLES", "60"))
STEPS = int(os.environ.get("SIMPLEDIST_STEPS", "40"))
FUNCTIONS = ("fib", "gcd@2")
CLIENTS = ("c1", "c2")
WORKERS = ("w1", "w2", "w3")
MOST_IDS = 24
KIND = Kind()
CODES = (KIND, Kind(digest="aaaaaaaaaaaaaaaa"), Kind(digest="bbbbbbbbbbbbbbbb"), Kind(protocol=9))
KINDS = (*CODES, Kind(key="11111111"), Kind(digest="aaaaaaaaaaaaaaaa", key="11111111"))
MARKS = ("", "~aaaaaaaaaaaa", "~bbbbbbbbbbbb", "~000000000009", f"~{KIND.protocol:012x}")
LANES = [function + mark + priority for function in FUNCTIONS for mark in MARKS for priority in ("", "!high")]

T = TypeVar("T")

function_names = st.sampled_from(FUNCTIONS)
lane_names = st.one_of(function_names, function_names, function_names, st.sampled_from(LANES))
kinds_of_calls = st.sampled_from([KIND] * 8 + list(KINDS))
kinds_of_workers = st.sampled_from([KIND] * 6 + list(KINDS))
client_names = st.sampled_from(CLIENTS)
worker_names = st.sampled_from(WORKERS)
masks = st.integers(0, 2**16 - 1)
sizes = st.sampled_from([3, 3, 3, 5_000, 70_000])
whys = st.sampled_from(["crashed", "crashed", "worker_error", "worker_error", "undecodable", "too_big"])
spans = st.sampled_from([1, 100, 200, 500, 500, 500, 1_000, 1_000, 1_100, 2_500, 5_000, 10_000, 60_000, 120_000])
contents = st.sampled_from([None, ("a", True, False), ("a", False, True), ("a", True, True), ("b", True, True)])
aheads = st.sampled_from([0, 0, 0, 1, 2])
idle_fors = st.sampled_from(["", *FUNCTIONS, *FUNCTIONS, "fib!high", "fib~aaaaaaaaaaaa"])
CACHE_SECONDS = 86_400.0
chance = st.integers(0, 11).map(lambda n: n == 0)


def some(mask: int, items: Sequence[T]) -> list[T]:
    """Those of the last 16 items whose bit is set."""
    return [item for i, item in enumerate(items[-16:]) if mask >> i & 1]


def assert_answers(words: list[str], expected: list[str], lane: str) -> None:
    """Redis says a word more to people: whose fault it is. Of several lanes a call may be sent to any."""
    assert len(words) == len(expected)
    for word, its in zip(words, expected, strict=True):
        kind, _, more = word.partition(" ")
        if its.startswith("moved "):
            assert kind == "moved"
            assert str(parsed(more)._replace(priority="")) in its.split()[1:]
            assert not lane or parsed(more).priority == parsed(lane).priority
        else:
            assert (word if its.startswith("joined ") else kind) == its


def label(id: str, content: Content | None) -> str:
    if content is None:
        return id
    return job_label(id, content.address, join=content.join, cache_seconds=CACHE_SECONDS * content.cache)


class Machine(RuleBasedStateMachine):
    """Clients, workers and time around one broker; `hands` is what each worker believes that it holds."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.bench = bench
        self.broker = bench.broker
        bench.begin_again()
        self.model = Model(bench.now_ms)
        self.snapshot = Snapshot({}, {}, {}, {}, [], {})
        self.functions: dict[str, str] = {}  # every id ever -> its function
        self.calls: dict[str, bytes] = {}
        self.contents: dict[str, Content | None] = {}
        self.elements: list[tuple[str, bytes]] = []
        self.hands: dict[str, list[Held]] = {worker: [] for worker in WORKERS}
        self.past: dict[str, list[Held]] = {worker: [] for worker in WORKERS}
        self.last_claim: dict[str, Any] = {}
        self.last_complete: dict[str, Any] = {}
        self.last_beats: dict[str, list[Any]] = {worker: [] for worker in WORKERS}
        self.rows: dict[str, tuple[str, tuple[str, ...], Kind]] = {}
        self.connections = 100
        self.runs = 1
        self.had_any = False  # whether any worker ever held anything

    # --- after each step -----------------------------------------------------------------------------------------

    def look(self) -> Snapshot:
        self.snapshot = Snapshot.take(self.bench, list(self.functions), LANES, WORKERS, CLIENTS, list(self.model.joins))
        return self.snapshot

    def checked(self) -> None:
        check(self.model, self.look())

    def new_connection(self) -> str:
        self.connections += 1
        return f"{self.bench.link.run_id}:{self.connections}"

    def busy(self, index: int) -> str:
        """A worker that believes that it holds something, if there is one."""
        workers = [worker for worker in WORKERS if self.hands[worker]] or WORKERS
        return workers[index % len(workers)]

    @initialize(function=function_names, count=st.integers(1, 6), workers=st.integers(0, 3), content=contents)
    def begin(self, function: str, count: int, workers: int, content: tuple[str, bool, bool] | None) -> None:
        """Most lives begin with workers that offer everything, and with something to do."""
        for worker in WORKERS[:workers]:
            self.register(worker, FUNCTIONS)
        self.submit("c1", function, KIND, count, 0, None, None, require=False, size=3)
        for client in CLIENTS if content else ():
            self.submit(client, function, KIND, 1, 0, None, content, require=False, size=3)

    @rule(stale=masks)
    def live_on(self, stale: int) -> None:
        """A round of ordinary life: every client nudges, every worker beats."""
        for client in CLIENTS:
            self.nudge(client, 2**16 - 1, 0b11)
        for worker in self.rows:
            self.beat(worker, 2**16 - 1, stale)

    # --- client --------------------------------------------------------------------------------------------------

    @rule(
        client=client_names,
        lane=lane_names,
        kind=kinds_of_calls,
        new=st.integers(0, 4),
        old=masks,
        max_queue=st.sampled_from([None, None, None, None, 0, 2, 5]),
        content=contents,
        require=chance,
        size=sizes,
        crashes=st.sampled_from([0, 0, 0, 0, 1]),
    )
    def submit(
        self,
        client: str,
        lane: str,
        kind: Kind,
        new: int,
        old: int,
        max_queue: int | None,
        content: tuple[str, bool, bool] | None,
        *,
        require: bool,
        size: int,
        crashes: int = 0,
    ) -> None:
        function = function_of(lane)
        require = require or lane not in FUNCTIONS  # no worker looks for a lane that nobody has offered
        ids = some(old & 0b101, [id for id, its in self.functions.items() if its == function])
        ids += [f"{client}-{len(self.functions) + n}" for n in range(min(new, MOST_IDS - len(self.functions)))]
        shared = Content(f"{content[0]}-{function}", *content[1:]) if content else None
        # Whoever submits a job again has the same call.
        calls = [
            (
                id,
                self.calls.setdefault(id, id.encode() * (1 + size // len(id))),
                self.contents.setdefault(id, shared),
            )
            for id in ids
        ]
        connection = self.new_connection()
        labelled = [(label(id, content), call) for id, call, content in calls]
        submitted = self.broker.submit(
            lane,
            client,
            connection,
            labelled,
            wish=Wish(key=kind.key, digest=kind.digest, protocol=kind.protocol),
            max_queue=max_queue,
            require_worker=require,
            crashes=crashes,
        )
        for (_, _, its), word in zip(calls, submitted.words, strict=True):
            if isinstance(word, Reply):
                assert its is not None
                assert (word.place, word.result) == ("cached", self.model.kept[its.address][1])
        words = ["cached" if isinstance(word, Reply) else word for word in submitted.words]
        self.functions.update(dict.fromkeys(ids, function))
        expected = self.model.submit(lane, kind, client, connection, calls, max_queue, require, crashes)
        assert_answers(words, expected, lane)
        self.model.fences({id: stored.fields.get("fence", "") for id, stored in self.look().jobs.items()})
        self.checked()

    @rule(function=function_names, really=chance)
    def clear(self, function: str, *, really: bool) -> None:
        if really:
            assert self.broker.clear(function).forgotten == self.model.clear(function)
            self.checked()

    @rule(client=st.one_of(client_names, client_names, st.none()), mask=masks)
    def cancel(self, client: str | None, mask: int) -> None:
        jobs = [(function, id) for id, function in some(mask, list(self.functions.items()))]
        jobs = [(function, id) for function, id in jobs]
        words = self.broker.cancel(client, jobs)
        assert words == self.model.cancel(client, [id for _, id in jobs])
        self.checked()

    @rule(client=client_names, mask=masks)
    def ack(self, client: str, mask: int) -> None:
        ids = [id for id in some(mask, list(self.functions)) if self.ended(id)]
        self.broker.ack(client, ids, {("fib", "no_worker"): mask % 3})
        self.model.ack(client, ids)
        self.checked()

    def ended(self, id: str) -> bool:
        job = self.model.jobs.get(id)
        return job is None or job.state in ENDED

    @rule(client=client_names, mask=masks, asked=masks)
    def nudge(self, client: str, mask: int, asked: int) -> None:
        jobs = [(function, id) for id, function in some(mask, list(self.functions.items()))]
        connection = self.new_connection()
        nudged = self.broker.nudge(client, connection, jobs, dict.fromkeys(some(asked, FUNCTIONS), Wish()))
        expected = self.model.nudge(client, connection, self.bench.link.run_id, [id for _, id in jobs], KIND)
        words = [word.state if isinstance(word, Reply) else word for word in nudged.words]
        assert_answers(words, expected, "")
        for word, (_, id) in zip(nudged.words, jobs, strict=True):
            assert not isinstance(word, Reply) or word.id == id
        for lane, answer in nudged.live.items():
            assert_answers([answer], [self.model.live(lane, KIND)], lane)
        for suspect in nudged.suspects:
            assert self.model.workers[suspect.id].connection == suspect.connection
        self.checked()

    @rule(client=client_names)
    def read_replies(self, client: str) -> None:
        self.bench.redis("DEL", self.bench.keys.reply(client))
        self.model.replies = [reply for reply in self.model.replies if reply[0] != client]

    # --- worker --------------------------------------------------------------------------------------------------

    @rule(
        worker=worker_names,
        offered=st.sampled_from([FUNCTIONS, FUNCTIONS, FUNCTIONS[:1], FUNCTIONS[1:]]),
        kind=kinds_of_workers,
    )
    def register(self, worker: str, offered: tuple[str, ...], kind: Kind = KIND) -> None:
        self.rows[worker] = (self.new_connection(), offered, kind)
        self._beat(worker, self.rows[worker][0], list(self.hands[worker]), offered, kind)

    @precondition(lambda self: self.rows)
    @rule(worker=worker_names, mask=st.one_of(st.just(2**16 - 1), st.just(2**16 - 1), masks), stale=masks)
    def beat(self, worker: str, mask: int, stale: int) -> None:
        if worker in self.rows:
            named = [*some(mask, self.hands[worker]), *some(stale & 1, self.past[worker])]
            self._beat(worker, self.rows[worker][0], named, None)

    @rule(worker=worker_names, which=st.integers(0, 5))
    def late_beat(self, worker: str, which: int) -> None:
        if self.last_beats[worker]:
            self._beat(worker, *self.last_beats[worker][-1 - which % len(self.last_beats[worker])])

    def _beat(
        self, worker: str, connection: str, held: list[Held], offered: tuple[str, ...] | None, kind: Kind = KIND
    ) -> None:
        self.last_beats[worker] = [*self.last_beats[worker][-5:], (connection, held, offered, kind)]
        row = None if offered is None else {"host": "h", "functions": list(offered), "connection": connection}
        traits = Traits(keys=(kind.key,), protocol=kind.protocol)
        digests = dict.fromkeys(offered or (), kind.digest)
        beaten = self.broker.beat(worker, connection, held, row, digests, traits=traits)
        expected = self.model.beat(worker, connection, held, offered, kind)
        assert (beaten.known, beaten.stop, beaten.missing) == expected
        mine = [self.model.lanes_of(function, kind) for function in offered or ()]
        assert set(beaten.lanes) == set[str]().union(*mine), "it takes jobs from the lanes of its code"
        for one in beaten.stop:
            self._drop(worker, one)
        self.checked()

    def _drop(self, worker: str, held: Held) -> None:
        self.past[worker] = [*self.past[worker][-8:], held]
        if held in self.hands[worker]:
            self.hands[worker].remove(held)

    @rule(lane=lane_names)
    def pop(self, lane: str) -> None:
        if self.snapshot.lists.get(lane):
            self.elements.append((lane, self.bench.pop(lane)))
            self.checked()

    @precondition(lambda self: self.elements)
    @rule(index=st.integers(0, 20))
    def lose(self, index: int) -> None:
        self.elements.pop(index % len(self.elements))

    @rule(
        worker=worker_names,
        lane=lane_names,
        mask=masks,
        slots=st.integers(0, 4),
        ahead=aheads,
        idle_for=idle_fors,
        keep=chance,
        lost=chance,
    )
    def claim(
        self,
        worker: str,
        lane: str,
        mask: int,
        slots: int,
        ahead: int = 0,
        idle_for: str = "",
        *,
        keep: bool,
        lost: bool,
    ) -> None:
        if not self.model.registered(worker) and mask & 3 and worker in self.rows:
            self.beat(worker, 2**16 - 1, 0)  # as a worker does, but not always
        popped = [element for its, element in some(mask, self.elements) if its == lane]
        if not keep:
            self.elements = [one for one in self.elements if one[1] not in popped]
        take = Take(lane, tuple(range(slots)), ahead=min(ahead, slots), idle_for=idle_for)
        arguments = (self.bench.nonce(), popped, take)
        self.last_claim[worker] = arguments
        self._claim(worker, *arguments, again=False, lost=lost)

    @precondition(lambda self: self.last_claim)
    @rule(worker=worker_names, lost=chance)
    def claim_again(self, worker: str, *, lost: bool) -> None:
        if worker in self.last_claim:
            self._claim(worker, *self.last_claim[worker], again=True, lost=lost)

    def _claim(
        self,
        worker: str,
        nonce: str,
        popped: list[bytes],
        take: Take,
        *,
        again: bool,
        lost: bool,
    ) -> None:
        repeated = self.model.repeated(worker, nonce) if again else set[Held]()
        claimed = self.broker.claim(
            worker, nonce, take.lane, popped, take.slots, ahead=take.ahead, idle_for=take.idle_for, again=again
        )
        if not repeated:
            self.model.suspects.pop(worker, None)
        self._took(worker, nonce, claimed, repeated, take, completes=False, lost=lost)

    @rule(worker=worker_names, lost=chance)
    def take_given(self, worker: str, *, lost: bool) -> None:
        """BLPOP gives a worker what Redis has claimed for it, though the job may be elsewhere by now."""
        element = self.bench.redis("LPOP", self.bench.keys.given(worker))
        expected = self.model.given.get(worker, [])
        assert (element is None) == (not expected)
        if element is not None:
            one, held = parse_given(element), expected.pop(0)
            assert one.held == held
            assert one.call in (self.calls[held.id], None)
            if not lost:
                self.hands[worker].append(held)
                self.had_any = True

    def _took(
        self,
        worker: str,
        nonce: str,
        claimed: list[Claimed],
        repeated: set[Held],
        take: Take,
        *,
        completes: bool,
        lost: bool,
    ) -> None:
        """Hold what was handed out against the model."""
        if repeated:
            assert {one.held for one in claimed} == repeated
        elif not self.model.registered(worker):
            assert claimed == []
        else:
            before = dict(self.model.jobs)
            queued = {id for id, job in before.items() if job.state == "queued"}
            after = self.look()
            gone = {id for id in queued if id not in after.jobs}
            spent = {id for id in queued - gone if after.jobs[id].fields["state"] == "failed"}
            self.model.took(worker, nonce, claimed, gone, spent)
            slots = len(take.slots)
            all_slots = slots * len(self.model.all_offers(function_of(take.lane)))
            ours = sum(id in queued and job.lane == take.lane for id, job in before.items())
            most = max(take.free, min(slots, ours - all_slots)) if take.deep else 0
            assert len(claimed) <= most, "taken from those that are free"
            left = self._left(worker, take.lane)
            if left:
                self._passes(worker, take.lane)
            assert left or len(claimed) >= take.free * take.deep or not after.lists[take.lane], "slots were left free"
            self.model.is_idle(worker, take.lane, take.idle_for, take.free, len(claimed), completes=completes)
            assert len({one.slot for one in claimed}) == len(claimed)
        if claimed and not lost:
            self.had_any = True
            self.hands[worker] += [one.held for one in claimed if one.held not in self.hands[worker]]
        self.checked()

    def _left(self, worker: str, lane: str) -> bool:
        """Whether a job of this lane is left for others, because this worker has refused it."""
        refused = (job for job in self.model.jobs.values() if job.state == "queued" and job.lane == lane)
        return any(worker in job.refused_by for job in refused) and self.model.another_takes(lane, [worker])

    def _passes(self, worker: str, lane: str) -> None:
        """Redis knows whether the worker came across such a job; then it passes over the lane."""
        key, said = self.bench.keys.control(worker), f"pass {lane}".encode()
        if said in self.bench.redis("LRANGE", key, 0, -1):
            self.bench.redis("DEL", key)
            self.model.pass_over(worker, lane)

    @precondition(lambda self: self.had_any)
    @rule(
        index=st.integers(0, 2),
        mask=masks,
        stale=masks,
        kinds=masks,
        size=sizes,
        taken=st.one_of(st.none(), lane_names),
        slots=st.integers(0, 3),
        ahead=aheads,
        deep=st.integers(0, 1),
        idle_for=idle_fors,
        lost=chance,
    )
    def complete(
        self,
        index: int,
        mask: int,
        stale: int,
        kinds: int,
        size: int,
        taken: str | None,
        slots: int,
        ahead: int = 0,
        deep: int = 1,
        idle_for: str = "",
        *,
        lost: bool,
    ) -> None:
        worker = self.busy(index)
        ended: list[Ended] = []
        for i, held in enumerate([*some(mask, self.hands[worker]), *some(stale & 3, self.past[worker])]):
            kind = "value" if kinds >> i & 1 else "error"
            nonce = self.bench.nonce()  # in truth all values are the same; here each is told from the others
            ended.append(Ended(held, kind, nonce.encode().ljust(size, b"."), 1, "" if kind == "value" else "E"))
        take = None
        if taken is not None:
            take = Take(taken, tuple(range(slots)), deep, ahead=min(ahead, slots), idle_for=idle_for)
        arguments = (self.bench.nonce(), ended, take)
        self.last_complete[worker] = arguments
        self._complete(worker, *arguments, again=False, lost=lost)

    @precondition(lambda self: self.last_complete)
    @rule(worker=worker_names, lost=chance)
    def complete_again(self, worker: str, *, lost: bool) -> None:
        if worker in self.last_complete:
            self._complete(worker, *self.last_complete[worker], again=True, lost=lost)

    def _complete(
        self, worker: str, nonce: str, ended: list[Ended], take: Take | None, *, again: bool, lost: bool
    ) -> None:
        words, claimed = self.broker.complete(worker, nonce, ended, take, again=again)
        assert words == self.model.complete(worker, ended)
        for one in () if lost else ended:
            self._drop(worker, one.held)
        if take is None:
            assert claimed == []
            self.checked()
        else:
            repeated = self.model.repeated(worker, nonce) if again else set[Held]()
            self._took(worker, nonce, claimed, repeated, take, completes=True, lost=lost)

    @precondition(lambda self: self.had_any)
    @rule(index=st.integers(0, 2), mask=masks, stale=masks, why=whys, keep=chance)
    def fail(self, index: int, mask: int, stale: int, why: str, *, keep: bool) -> None:
        worker = self.busy(index)
        held = [*some(mask, self.hands[worker]), *some(stale & 1, self.past[worker])]
        refused = why in ("worker_error", "undecodable")
        failed = [Failed(one, why, "no good", refused) for one in held]
        assert self.broker.fail(worker, failed) == self.model.fail(worker, failed)
        self.bench.redis("DEL", self.bench.keys.control(worker))  # the worker has heard what it is to pass over
        for one in () if keep else held:
            self._drop(worker, one)
        self.checked()

    @precondition(lambda self: self.had_any)
    @rule(index=st.integers(0, 2), mask=masks, stale=masks, keep=chance)
    def release(self, index: int, mask: int, stale: int, *, keep: bool) -> None:
        worker = self.busy(index)
        held = [*some(mask, self.hands[worker]), *some(stale & 1, self.past[worker])]
        assert self.broker.release(worker, held) == self.model.release(worker, held)
        for one in () if keep else held:
            self._drop(worker, one)
        self.checked()

    @rule(one=st.sampled_from([*WORKERS, *CLIENTS]), final=st.booleans(), really=chance)
    def leave(self, one: str, final: bool, *, really: bool) -> None:
        if not really:
            return
        self.broker.leave(one, final=final)
        self.model.leave(one, final)
        self.checked()

    # --- anybody -------------------------------------------------------------------------------------------------

    @rule(mask=masks, closed=masks, orphans=masks, other_run=chance)
    def reap(self, mask: int, closed: int, orphans: int, *, other_run: bool) -> None:
        def candidates(names: Sequence[str], rows: dict[str, str]) -> list[tuple[str, str]]:
            return [(name, rows.get(name, "") if closed >> i & 1 else "") for i, name in enumerate(some(mask, names))]

        run_id = "elsewhere" if other_run else self.bench.link.run_id
        workers = candidates(WORKERS, {id: row.connection for id, row in self.model.workers.items()})
        clients = candidates(CLIENTS, {id: connection for id, (_, connection) in self.model.clients.items()})
        jobs = [(function, id) for id, function in some(orphans, list(self.functions.items()))]
        reaped = self.broker.reap(run_id=run_id, workers=workers, clients=clients, functions=FUNCTIONS, orphans=jobs)
        expelled, closing = self.model.reap(run_id, workers, clients, [id for _, id in jobs])
        assert sorted(reaped.expelled) == sorted(expelled)
        assert reaped.closing == closing
        self.checked()

    @rule()
    def mend(self) -> None:
        """Two duties a second apart: whatever was popped and not claimed is back, or stands behind a live head."""
        for seconds in (0.25, 1.0):
            self.advance(round(seconds * 1000))
            self.broker.reap(run_id="", functions=FUNCTIONS)
        self.checked()
        for lane in LANES:
            elements = self.snapshot.live_elements(lane)
            for id, stamp in self.snapshot.ledgers[lane].items():
                assert (stamp, id) in elements or (elements and elements[0][0] < stamp), f"{id} was popped and lost"

    @rule(ms=spans)
    def advance(self, ms: int) -> None:
        self.bench.advance(ms / 1000)
        self.model.now = self.bench.now_ms

    @rule(really=chance, new_run=st.booleans())
    def wipe(self, *, really: bool, new_run: bool) -> None:
        if really:
            self.bench.wipe()
            self.model.wipe()
            if new_run:
                self.runs += 1
                self.bench.link.identity = f"run{self.runs}:1"
            self.checked()

    @rule(mask=masks, really=chance)
    def outlive(self, mask: int, *, really: bool) -> None:
        """The TTL of ended jobs is over."""
        for id in some(mask, list(self.functions)):
            if really and id in self.model.jobs and self.ended(id):
                for template in ("job", "call", "result"):
                    self.bench.redis("DEL", self.bench.keys.named(template, id))
                del self.model.jobs[id]
        self.checked()

    # --- at the end ----------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """One worker and living clients are enough to bring every accepted job to its end."""
        self.advance(11_000)
        for client in CLIENTS:
            self.nudge(client, 0, 0)
        for _ in range(6):
            for hands in self.hands.values():
                hands.clear()
            self.register("w1", FUNCTIONS)
            self.mend()
            self.reap(0b111, 0, 0, other_run=False)
            for lane in sorted({job.lane for job in self.model.jobs.values()}):
                self.claim("w1", lane, 0, MOST_IDS, keep=False, lost=False)
            self.complete(0, 2**16 - 1, 0, 2**16 - 1, 3, None, 0, lost=False)
        left = {id: job.state for id, job in self.model.jobs.items() if job.state not in ENDED}
        assert not left, f"never ended: {left}"
        leaks = key_leaks(self.bench.link, self.bench.keys, but=CLOCK_KEY)
        assert not leaks, leaks


def test_no_order_of_verbs_breaks_what_must_hold(bench: Bench) -> None:
    run_state_machine_as_test(
        cast("Any", lambda: Machine(bench)),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=list(cast("Any", HealthCheck)),
        ),
    )
