"""All verbs in any order, doubled, late and with lost replies, held against a model and against what must always hold.

`SIMPLEDIST_EXAMPLES=10000` makes the run long; the suite's own is short.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, cast

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test

from tests.broker.bench import CLOCK_KEY, Bench
from tests.broker.drawing import (
    CLIENTS,
    FUNCTIONS,
    KIND,
    LANES,
    MOST_IDS,
    WORKERS,
    chance,
    contents,
    function_names,
    masks,
    some,
    spans,
)
from tests.broker.operators import Operators
from tests.broker.state import ENDED
from tests.key_leaks import key_leaks

EXAMPLES = int(os.environ.get("SIMPLEDIST_EXAMPLES", "60"))
STEPS = int(os.environ.get("SIMPLEDIST_STEPS", "40"))


class Machine(Operators):
    """Every rule: those of clients, workers and operators, of duties and time, and how a life begins and ends."""

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
    def repair(self) -> None:
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
        """One worker and living clients are enough to bring every accepted job to its end.

        Nothing that verbs write is taken for what they do not.
        """
        if self.bench.place.make_connection is None:  # a real server: it takes fakeredis a second
            assert not self.broker.repair([*self.functions, *LANES, *WORKERS, *CLIENTS, *self.model.joins])
        self.advance(11_000)
        for client in CLIENTS:
            self.nudge(client, 0, 0)
        for _ in range(6):
            for hands in self.hands.values():
                hands.clear()
            self.register("w1", FUNCTIONS)
            self.repair()
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
