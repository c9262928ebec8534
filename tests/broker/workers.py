"""The rules of the state machine for workers: beat, claim, complete, fail, release, also twice, late and unheard."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from simpledist.broker.lane import function_of
from simpledist.broker.parsing import parse_given
from simpledist.broker.records import Claimed, Ended, Failed, Held, Take, Traits
from tests.broker.clients import Clients
from tests.broker.drawing import (
    CLIENTS,
    FUNCTIONS,
    KIND,
    WORKERS,
    aheads,
    chance,
    idle_fors,
    kinds_of_workers,
    lane_names,
    masks,
    sizes,
    some,
    whys,
    worker_names,
)
from tests.broker.state import Kind


class Workers(Clients):
    """What workers do to the cluster of `Clients`."""

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
        places = dict.fromkeys(offered or (), kind.place)
        beaten = self.broker.beat(worker, connection, held, row, digests, places=places, traits=traits)
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
            nonce = self.bench.nonce()  # in truth all values are the same; here each differs from the others
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
