"""beat and leave: a worker lives, says what it holds and learns what to stop; and how it leaves."""

from __future__ import annotations

import json

import pytest

from simpledist.broker.records import Claimed, Held, Wish
from tests.broker.bench import Bench


@pytest.fixture
def claimed(bench: Bench) -> Claimed:
    bench.worker()
    bench.submit("c1-1")
    return bench.claim()[0]


def beat(
    bench: Bench, *held: Held, worker: str = "w1", connection: str = "run1:100"
) -> tuple[bool, list[Held], list[Held]]:
    beaten = bench.broker.beat(worker, connection, held)
    return beaten.known, beaten.stop, beaten.missing


def test_a_worker_registers_with_its_row_and_offers(bench: Bench) -> None:
    bench.worker("w1", "fib", "gcd@2")
    assert json.loads(bench.hash(bench.keys.workers)["w1"])["functions"] == ["fib", "gcd@2"]
    assert bench.hash(bench.keys.heartbeats) == {"w1": str(bench.now_ms)}
    offer = json.loads(bench.hash(bench.keys.named("offers", "gcd@2"))["w1"])
    assert (offer["lane"], offer["digest"], offer["since"]) == ("gcd@2", "", bench.now_ms)
    assert set(bench.redis("SMEMBERS", bench.keys.functions)) == {b"fib", b"gcd@2"}


def test_a_worker_that_registers_anew_offers_only_what_it_says_now(bench: Bench) -> None:
    bench.worker("w1", "fib", "gcd")
    bench.worker("w1", "gcd")
    assert not bench.exists("offers", "fib")
    assert bench.exists("offers", "gcd")


def test_without_a_row_it_learns_that_it_is_unknown_and_nothing_changes(bench: Bench) -> None:
    assert beat(bench) == (False, [], [])
    assert bench.hash(bench.keys.heartbeats) == {}


def test_after_a_wipe_or_its_death_or_when_its_row_is_lost_it_must_register(bench: Bench) -> None:
    bench.worker()
    assert beat(bench)[0]
    bench.advance(11)
    bench.reap(workers=[("w1", "")])
    for _ in range(2):
        assert not beat(bench)[0], "and again, until it does"
    bench.worker()
    assert beat(bench)[0]
    for key in (bench.keys.workers, bench.keys.heartbeats, bench.keys.connections):
        bench.redis("DEL", key)
        assert not beat(bench)[0]
        bench.worker()
    bench.wipe()
    assert not beat(bench)[0]


@pytest.mark.parametrize("busy", [False, True])
def test_when_only_its_offers_are_lost_it_must_register_too(bench: Bench, busy: bool) -> None:
    """As with a Redis that throws keys away."""
    bench.worker("w1", "fib", "gcd")
    held: list[Held] = []
    if busy:
        bench.submit("c1-1")
        held.append(bench.claim()[0].held)
    offered = ["gcd", "fib"]
    bench.redis("DEL", bench.keys.functions)
    assert bench.broker.beat("w1", "run1:100", held, offered=offered).known
    assert set(bench.redis("SMEMBERS", bench.keys.functions)) == {b"fib", b"gcd"}
    bench.redis("DEL", bench.keys.named("offers", "fib"))
    assert bench.broker.beat("w1", "run1:100", held, offered=["gcd"]).known
    assert not bench.broker.beat("w1", "run1:100", held, offered=offered).known
    assert not bench.broker.beat("w1", "run1:100", [], offered=offered).known, (
        "nor where it does not name what it holds"
    )
    bench.worker("w1", "fib", "gcd")
    assert bench.broker.beat("w1", "run1:100", [], offered=offered).known
    assert bench.exists("offers", "fib")


def test_of_what_it_holds_only_its_own_connection_tells(bench: Bench, claimed: Claimed) -> None:
    """A beat that was under way while its worker came back on another connection knows nothing of what it got since."""
    bench.advance(2)
    for held in ((), (Held("fib", "c1-7", "1"),)):
        assert not beat(bench, *held, connection="run1:99")[0]
    assert bench.state("c1-1") == "running"


def test_a_beat_that_has_nothing_to_tell_reads_no_row(bench: Bench, claimed: Claimed) -> None:
    """A row is long where a worker offers hundreds of functions."""
    bench.redis("HSET", bench.keys.workers, "w1", "no row at all")
    assert beat(bench, claimed.held) == (True, [], [])
    assert not beat(bench)[0], "it does not name what it holds"


def test_the_last_beat_of_a_dead_worker_stands_in_its_row(bench: Bench) -> None:
    bench.worker()
    last = bench.now_ms
    bench.advance(11)
    bench.reap(workers=[("w1", "")])
    row = json.loads(bench.hash(bench.keys.workers)["w1"])
    assert (row["beat"], row["dead"], bench.hash(bench.keys.heartbeats)) == (last, bench.now_ms, {})


def test_a_beat_keeps_it_alive(bench: Bench) -> None:
    bench.worker()
    for _ in range(5):
        bench.advance(5)
        assert beat(bench)[0]
        assert bench.reap(workers=[("w1", "")]).expelled == []


def test_a_job_that_it_holds_and_does_not_name_goes_back_after_a_second(bench: Bench, claimed: Claimed) -> None:
    bench.advance(0.9)
    beat(bench)
    assert bench.state("c1-1") == "running", "the claim's reply may still be under way"
    bench.advance(0.1)
    beat(bench)
    assert (bench.state("c1-1"), bench.queue(), bench.ledger()) == ("queued", ["c1-1"], ["c1-1"])
    assert not bench.exists("held", "w1")
    assert bench.hash(bench.keys.named("meta", "fib"))["unheld"] == "1"
    (again,) = bench.claim()
    assert again.attempt == 1, "no one is to blame for a lost reply"


def test_a_job_that_it_names_stays_with_it(bench: Bench, claimed: Claimed) -> None:
    for _ in range(5):
        bench.advance(5)
        bench.broker.nudge("c1", "run1:200", [])
        assert beat(bench, claimed.held) == (True, [], [])
    assert bench.state("c1-1") == "running"


def test_it_is_to_stop_what_runs_elsewhere_or_has_ended(bench: Bench, claimed: Claimed) -> None:
    bench.broker.release("w1", [claimed.held])
    bench.worker("w2", connection="run1:101")
    (elsewhere,) = bench.claim(worker="w2")
    assert beat(bench, claimed.held) == (True, [claimed.held], [])
    bench.succeed(elsewhere, worker="w2")
    assert beat(bench, claimed.held) == (True, [claimed.held], [])


def test_it_is_to_stop_what_no_one_waits_for(bench: Bench, claimed: Claimed) -> None:
    bench.broker.leave("c1", final=True)
    assert beat(bench, claimed.held) == (True, [claimed.held], [])
    assert bench.state("c1-1") is None
    assert not bench.exists("held", "w1")


def test_what_redis_has_never_heard_of_is_missing(bench: Bench, claimed: Claimed) -> None:
    bench.wipe()
    bench.worker()
    assert beat(bench, claimed.held) == (True, [], [claimed.held])


def test_after_a_wipe_the_work_goes_on_where_it_is(bench: Bench, claimed: Claimed) -> None:
    """The client enters its job again under the same id; the worker that still runs it keeps it."""
    bench.wipe()
    bench.worker()
    bench.submit("c1-1")
    assert beat(bench, claimed.held) == (True, [], [])
    assert (bench.state("c1-1"), bench.job("c1-1")["fence"]) == ("running", claimed.held.fence)
    assert bench.claim() == []
    assert bench.succeed(claimed) == "succeeded"


def test_a_worker_back_from_silence_goes_on_with_what_no_one_else_began(bench: Bench, claimed: Claimed) -> None:
    bench.advance(11)
    bench.broker.nudge("c1", "run1:200", [("fib", "c1-1")])
    assert bench.state("c1-1") == "queued"
    bench.worker()
    assert beat(bench, claimed.held) == (True, [], [])
    assert bench.state("c1-1") == "running"
    assert bench.ledger() == []
    assert bench.hash(bench.keys.named("held", "w1")).keys() == {claimed.held.field}


def test_a_drain_withdraws_the_offers_and_keeps_what_runs(bench: Bench, claimed: Claimed) -> None:
    assert bench.broker.leave("w1", final=False) == 0
    assert bench.submit("c1-2") == ["no_worker"]
    assert bench.broker.nudge("c1", "run1:200", [], [("fib", Wish())]).live == ["no_worker"]
    assert beat(bench, claimed.held) == (True, [], [])
    assert bench.succeed(claimed) == "succeeded"


def test_who_leaves_for_good_gives_back_what_it_holds(bench: Bench, claimed: Claimed) -> None:
    assert bench.broker.leave("w1", final=True) == 1
    assert bench.queue() == bench.ledger() == ["c1-1"]
    assert bench.hash(bench.keys.workers) == bench.hash(bench.keys.heartbeats) == {}
    assert not bench.exists("offers", "fib")
    assert not bench.exists("held", "w1")
    assert bench.broker.leave("w1", final=True) == 0


def test_a_client_that_leaves_takes_its_replies_along(bench: Bench, claimed: Claimed) -> None:
    bench.submit("c1-2")
    bench.succeed(claimed)
    bench.broker.leave("c1", final=True)
    assert bench.hash(bench.keys.clients) == {}
    assert not bench.exists("reply", "c1")
    assert bench.claim() == [], "what it had queued is dropped where it is met"
    assert bench.ledger() == []
