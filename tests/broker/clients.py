"""The rules of the state machine for clients: submit, cancel, ack, nudge, in any order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from simpledist.broker.lane import function_of
from simpledist.broker.records import Held, Reply, Terms
from tests.broker.bench import Bench
from tests.broker.drawing import (
    CLIENTS,
    FUNCTIONS,
    KIND,
    LANES,
    MOST_IDS,
    WORKERS,
    assert_answers,
    chance,
    client_names,
    contents,
    function_names,
    kinds_of_calls,
    label,
    lane_names,
    masks,
    sizes,
    some,
    wish_of,
)
from tests.broker.invariants import Snapshot, check
from tests.broker.operated import Operated
from tests.broker.state import ENDED, Content, Kind


class Clients(RuleBasedStateMachine):
    """Clients around one broker, and what all rules look at; `hands` is what each worker believes that it holds."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.bench = bench
        self.broker = bench.broker
        bench.begin_again()
        self.model = Operated(bench.now_ms)
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
        require = require or lane not in FUNCTIONS  # no worker looks for a lane that no one has offered
        ids = some(old & 0b101, [id for id, its in self.functions.items() if its == function])
        ids += [f"{client}-{len(self.functions) + n}" for n in range(min(new, MOST_IDS - len(self.functions)))]
        shared = Content(f"{content[0]}-{function}", *content[1:]) if content else None
        # Anyone who submits a job again has the same call.
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
            wish=wish_of(kind),
            terms=Terms(max_queue=max_queue),
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

    @rule(client=client_names, mask=masks, asked=masks, kind=kinds_of_calls)
    def nudge(self, client: str, mask: int, asked: int, kind: Kind = KIND) -> None:
        self._nudge(client, mask, some(asked, FUNCTIONS), kind)

    @rule(client=client_names, mask=masks)
    def lose_holders(self, client: str, mask: int) -> None:
        """Redis loses who holds some running jobs, and a client asks about them."""
        chosen = [self.model.jobs[id] for id in some(mask, list(self.functions)) if id in self.model.jobs]
        running = [job for job in chosen if job.state == "running"]
        for job in running:
            held = self.bench.keys.named("held", job.worker)
            assert self.bench.redis("HDEL", held, f"{job.lane}:{job.id}:{job.fence}") == 1
        self._nudge(client, mask, unheld=[job.id for job in running])

    def _nudge(
        self, client: str, mask: int, lanes: Sequence[str] = (), kind: Kind = KIND, *, unheld: Sequence[str] = ()
    ) -> None:
        jobs = [(function, id) for id, function in some(mask, list(self.functions.items()))]
        connection = self.new_connection()
        nudged = self.broker.nudge(client, connection, jobs, [(lane, wish_of(kind)) for lane in lanes])
        ids, run_id = [id for _, id in jobs], self.bench.link.run_id
        expected = self.model.nudge(client, connection, run_id, ids, KIND, unheld=unheld)
        words = [word.state if isinstance(word, Reply) else word for word in nudged.words]
        assert_answers(words, expected, "")
        for word, (_, id) in zip(nudged.words, jobs, strict=True):
            assert not isinstance(word, Reply) or word.id == id
        for lane, answer in zip(lanes, nudged.live, strict=True):
            assert_answers([answer], [self.model.live(lane, kind)], lane)
        for suspect in nudged.suspects:
            assert self.model.workers[suspect.id].connection == suspect.connection
        self.checked()

    @rule(client=client_names)
    def read_replies(self, client: str) -> None:
        self.bench.redis("DEL", self.bench.keys.reply(client))
        self.model.replies = [reply for reply in self.model.replies if reply[0] != client]
