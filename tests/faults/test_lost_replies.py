"""A reply lost on the wire, verb by verb: the job still ends, soon, once, and with its own outcome."""

from __future__ import annotations

from typing import get_args

import pytest

import simpledist
from simpledist.broker import Keys
from simpledist.cluster import Cluster
from simpledist.engine.routing import TRAVEL
from tests.faults.conftest import Wires
from tests.faults.functions import work
from tests.faults.history import History, offered, probe
from tests.faults.proxy import Proxy, Spoiling
from tests.waiting import wait_until

LOSSES: tuple[Spoiling, ...] = ("cut", "swallow", "truncate", "garble", "foreign")


@pytest.mark.parametrize(("distributor", "bound"), [(False, 4.0), (True, 3.0)])
def test_a_pop_lost_on_the_wire_is_found_in_the_ledger(wires: Wires, distributor: bool, bound: float) -> None:
    lost_pops = wires.counter("lost_pops")
    if distributor:
        wires.cluster.start_distributor()
    wires.let_it_queue()
    wires.worker_proxy.strike("BLPOP", "cut")
    entry = wires.history.call(wires.client, next(wires.numbers))
    assert (entry.where, entry.attempts) == ("remote", 1)
    assert wires.worker_proxy.struck == ["BLPOP"]
    assert entry.seconds < bound
    assert wires.counter("lost_pops") == lost_pops + 1
    wires.history.check(most_runs=1)
    for process in wires.cluster.distributors:
        process.end()


def test_a_job_that_was_given_and_lost_on_the_wire_is_missed_by_the_next_beat(wires: Wires) -> None:
    wires.history.call(wires.client, next(wires.numbers))  # then the worker waits for the next one
    unheld = wires.counter("unheld")
    wires.worker_proxy.strike("BLPOP", "cut")
    entry = wires.history.call(wires.client, next(wires.numbers))
    assert (entry.where, entry.attempts) == ("remote", 1)
    assert entry.seconds < 3.0
    assert wires.counter("unheld") == unheld + 1
    wires.history.check(most_runs=1)


@pytest.mark.parametrize("verb", ["claim", "complete"])
def test_a_workers_verb_whose_reply_is_lost_is_said_again(wires: Wires, verb: str) -> None:
    succeeded, unheld = wires.counter("succeeded"), wires.counter("unheld")
    for spoiling in LOSSES:
        if verb == "claim":
            wires.let_it_queue()
        wires.worker_proxy.strike(verb, spoiling)
        entry = wires.history.call(wires.client, next(wires.numbers), 0.05)
        assert (entry.where, entry.attempts) == ("remote", 1)
        assert entry.seconds < 4.0
    wait_until(lambda: wires.worker_proxy.struck == [verb] * 5, 5, "the replies were spoiled")
    wires.history.check(most_runs=1)
    probe(wires.client)
    assert wires.counter("succeeded") == succeeded + 5
    # A worker that says it again has its jobs from the reply, it does not wait until they are missed; after a silence
    # of 2 s they may have been.
    assert wires.counter("unheld") <= unheld + 2


def test_a_claim_cut_short_among_its_jobs_begins_none_of_them_twice(wires: Wires) -> None:
    """The call of the second is fetched beside the script; when that is lost, the claim is said again for both."""
    small, large = next(wires.numbers), next(wires.numbers)
    wires.worker_proxy.strike("GETRANGE", "cut")
    function = offered(wires.client, "length")
    calls = [(small, b"x"), (large, bytes(100_000))]
    futures = function.engine.start_many(function.spec, calls, [], way=TRAVEL)
    assert [future.result(20) for future in futures] == [1, 100_000]
    assert {(future.info.where, future.info.attempts) for future in futures} == {("remote", 1)}
    assert wires.worker_proxy.struck == ["GETRANGE"]
    runs = work.runs(wires.history.log)
    assert (runs[small], runs[large]) == (1, 1)


@pytest.mark.parametrize(
    ("verb", "losses", "seconds"),
    [
        ("submit", LOSSES, 0.05),
        ("BLPOP", LOSSES, 0.05),
        ("nudge", ("cut", "swallow", "garble"), 1.1),
        ("ack", ("cut", "swallow", "garble"), 1.1),
    ],
)
def test_a_client_whose_reply_is_lost_asks_again(
    wires: Wires, verb: str, losses: tuple[Spoiling, ...], seconds: float
) -> None:
    for spoiling in losses:
        wires.client_proxy.strike(verb, spoiling)
        for _ in range(5):  # an outcome may come by another way than the one that is spoiled
            entry = wires.history.call(wires.client, next(wires.numbers), seconds)
            # A Redis that is silent when it is called is as good as away: that one call runs here.
            assert entry.where == "remote" or (verb, spoiling) == ("submit", "swallow")
            assert entry.seconds < 4.0
            if not wires.client_proxy.planned:
                break
        assert not wires.client_proxy.planned, f"the reply to {verb} was never spoiled: {spoiling}"
        probe(wires.client, 2.0)
    # A job may be over, and its outcome read, before its submission is sent again: then it runs once more, for no one.
    wires.history.check(most_runs=2 if verb == "submit" else 1)


def test_local_runs_are_not_counted_twice_when_the_answer_to_their_counts_is_lost(wires: Wires) -> None:
    nobody = offered(wires.client, "nobody")
    runs = 0

    def counted() -> int:
        flat = wires.link.call("HGETALL", Keys().named("meta", "nobody"))
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return sum(int(number) for name, number in pairs if name.startswith(b"local:"))

    def ran_here() -> None:
        nonlocal runs
        assert nobody() == "local"
        runs += 1
        probe(wires.client)  # an idle listener would tell of it only at the end of its slice

    for _ in range(3):
        # What was counted before goes first: then the answer that is lost is that to this run.
        before = counted()
        ran_here()
        wait_until(lambda most=before: counted() > most, 5, "it is counted")
        wires.client_proxy.strike("ack", "cut")
        ran_here()
        wait_until(lambda: not wires.client_proxy.planned, 5, "the answer is lost")
    assert counted() <= runs
    before = counted()
    wires.client_proxy.strike("ack", "refuse")
    ran_here()
    wait_until(lambda: not wires.client_proxy.planned, 5, "it is refused")
    wait_until(lambda: counted() > before, 5, "what Redis refused is brought again")
    assert counted() <= runs


def test_every_spoiling_is_tried() -> None:
    assert set(LOSSES) == set(get_args(Spoiling)) - {"delay", "refuse"}


def test_a_beat_lost_does_no_harm(wires: Wires) -> None:
    wires.worker_proxy.strike("beat", "cut")
    entry = wires.history.call(wires.client, next(wires.numbers), 2.7)
    assert wires.worker_proxy.struck == ["beat"]
    assert (entry.where, entry.attempts) == ("remote", 1)
    wires.history.check(most_runs=1)


def test_a_farewell_lost_delays_no_exit(cluster: Cluster, proxy: Proxy) -> None:
    worker = cluster.start_worker(arguments=["--redis", proxy.url])
    with cluster.connect() as client:
        probe(client)
        proxy.strike("leave", "cut", times=2)
        assert worker.stop(seconds=4.0) == 0
        cluster.start_worker()
        probe(client)


@pytest.mark.parametrize("spoiling", ["cut", "swallow"])
def test_calls_that_go_remote_once_a_worker_is_there_survive_a_lost_submission(
    cluster: Cluster, proxy: Proxy, history: History, spoiling: Spoiling
) -> None:
    with simpledist.connect(proxy.url) as client:
        history.submit(client, range(30), 0.5)
        wait_until(lambda: len(history.open()) < 30, 10, "no one is there: they run here, one after the other")
        proxy.strike("submit", spoiling)
        cluster.start_worker(slots=8)
        history.wait(20)
        assert proxy.struck == ["submit"]
        assert history.where()["remote"] > 10
        history.check(most_runs=2)
        probe(client)
