"""reap: candidates are judged by Redis TIME and only by what Redis knows; anybody may call it at any time."""

from __future__ import annotations

import pytest

from simpledist.broker.records import Claimed
from simpledist.policy import LOSS_CAP
from tests.broker.bench import Bench

CONNECTION = "run1:100"


@pytest.fixture
def claimed(bench: Bench) -> Claimed:
    bench.worker()
    bench.submit("c1-1", "c1-2")
    return bench.claim()[0]


def test_a_silent_worker_is_expelled_and_its_job_goes_to_the_head(bench: Bench, claimed: Claimed) -> None:
    bench.advance(9.9)
    assert bench.reap(workers=[("w1", "")]).expelled == []
    bench.advance(0.1)
    assert bench.reap(workers=[("w1", "")]).expelled == ["w1"]
    assert bench.queue() == bench.ledger() == ["c1-1", "c1-2"]
    assert bench.job("c1-1")["losses"] == "1"
    assert bench.reap(workers=[("w1", "")]).expelled == [], "once is enough"
    assert '"dead":' in bench.hash(bench.keys.workers)["w1"]
    bench.advance(600)
    bench.reap(workers=[("w1", "")])
    assert bench.hash(bench.keys.workers) == {}


def test_the_third_loss_ends_a_job_for_a_throw_away_child(bench: Bench, claimed: Claimed) -> None:
    for loss in range(1, LOSS_CAP + 1):
        bench.advance(10)
        bench.broker.nudge("c1", "run1:200", [])
        bench.reap(workers=[("w1", "")])
        assert bench.job("c1-1")["losses"] == str(loss)
        bench.worker()
        bench.claim()
    assert [(reply.id, reply.why) for reply in bench.replies()] == [("c1-1", "lost")]


def test_many_dead_workers_of_many_functions_are_expelled_by_several_scripts(real_bench: Bench) -> None:
    """Redis stands still while a script runs."""
    bench, ids, functions = real_bench, [f"w{n}" for n in range(60)], [f"f{n}" for n in range(100)]
    for id in ids:
        bench.worker(id, *functions)
    bench.reap(workers=[(id, CONNECTION) for id in ids[:30]])
    bench.advance(11)
    first = bench.reap(workers=[(id, "") for id in ids[30:]])
    assert (len(first.expelled), first.closing) == (50, True), "5,000 offers, and more are suspected"
    second = bench.reap(workers=[(id, "") for id in ids[30:]])
    assert sorted(first.expelled + second.expelled) == sorted(ids)
    assert not bench.exists("offers", "f0")


def test_a_closed_connection_is_a_suspicion_for_half_a_second_and_then_a_death(bench: Bench, claimed: Claimed) -> None:
    reaped = bench.reap(workers=[("w1", CONNECTION)])
    assert (reaped.expelled, reaped.closing) == ([], True)
    bench.advance(0.4)
    assert bench.reap().expelled == []
    bench.advance(0.1)
    assert bench.reap().expelled == ["w1"]
    assert bench.queue() == ["c1-1", "c1-2"]


def test_any_verb_of_the_suspect_clears_it(bench: Bench, claimed: Claimed) -> None:
    bench.reap(workers=[("w1", CONNECTION)])
    bench.broker.beat("w1", CONNECTION, [claimed.held])
    bench.advance(1)
    assert bench.reap().expelled == []
    bench.reap(workers=[("w1", CONNECTION)])
    bench.succeed(claimed)
    bench.advance(1)
    assert bench.reap().expelled == []


def test_a_row_that_names_another_connection_by_now_is_left_alone(bench: Bench, claimed: Claimed) -> None:
    bench.reap(workers=[("w1", CONNECTION)])
    bench.broker.beat("w1", "run1:101", [claimed.held], {"functions": ["fib"], "connection": "run1:101"}, ["fib"])
    bench.advance(1)
    assert bench.reap(workers=[("w1", CONNECTION)]).expelled == []
    bench.advance(1)
    assert bench.reap().expelled == []


def test_what_was_seen_at_another_run_of_redis_proves_nothing(bench: Bench, claimed: Claimed) -> None:
    bench.reap(workers=[("w1", CONNECTION)])
    bench.advance(1)
    bench.link.identity = "run2:1"
    assert bench.reap().expelled == []
    bench.link.identity = ""
    assert bench.reap().expelled == []


def test_five_observers_run_one_grace(bench: Bench, claimed: Claimed) -> None:
    for _ in range(5):
        bench.reap(workers=[("w1", CONNECTION)])
        bench.advance(0.1)
    assert bench.reap(workers=[("w1", CONNECTION)]).expelled == ["w1"]


def test_a_client_whose_connection_is_closed_is_forgotten_after_a_second(bench: Bench, claimed: Claimed) -> None:
    bench.reap(clients=[("c1", "run1:200")])
    bench.advance(0.9)
    assert bench.reap().forgotten == 0
    bench.advance(0.1)
    assert bench.reap().forgotten == 1
    assert bench.hash(bench.keys.clients) == {}
    assert bench.broker.beat("w1", CONNECTION, [claimed.held]).stop == [claimed.held]


def test_a_client_silent_for_a_minute_is_forgotten_and_its_queued_jobs_dropped(bench: Bench, claimed: Claimed) -> None:
    bench.advance(59)
    assert bench.reap(clients=[("c1", "")], orphans=[("fib", "c1-2")]).dropped == 0
    bench.advance(1)
    reaped = bench.reap(clients=[("c1", "")], orphans=[("fib", "c1-1"), ("fib", "c1-2"), ("fib", "c1-9")])
    assert (reaped.forgotten, reaped.dropped) == (1, 1)
    assert bench.ledger() == []
    assert not bench.exists("call", "c1-2")
    assert bench.state("c1-1") == "running", "a running one is stopped by its worker's beat"


def test_a_popped_element_that_no_one_claims_is_pushed_back(bench: Bench, claimed: Claimed) -> None:
    bench.pop()
    assert bench.reap().requeued == 0
    bench.advance(0.5)
    assert bench.reap().requeued == 0
    bench.advance(0.5)
    assert bench.reap().requeued == 1
    assert bench.queue() == bench.ledger() == ["c1-2"]


def test_lost_elements_come_back_in_their_order_before_the_rest(bench: Bench, claimed: Claimed) -> None:
    bench.submit("c1-3", "c1-4")
    bench.pop()
    bench.pop()
    for _ in range(2):
        bench.reap()
        bench.advance(1)
    assert bench.queue() == bench.ledger() == ["c1-2", "c1-3", "c1-4"]


def test_a_list_without_a_ledger_is_emptied(bench: Bench) -> None:
    bench.redis("RPUSH", bench.keys.queue("fib"), "17.c1-9", "foreign")
    bench.reap()
    assert bench.queue() == []


def test_a_queue_is_mended_at_most_every_quarter_of_a_second(bench: Bench, claimed: Claimed) -> None:
    bench.pop()
    bench.reap()
    bench.redis("RPUSH", bench.keys.queue("fib"), "foreign")
    bench.reap()
    assert bench.redis("LLEN", bench.keys.queue("fib")) == 1
    bench.advance(0.25)
    bench.reap()
    assert bench.redis("LLEN", bench.keys.queue("fib")) == 0


def test_strangers_are_no_matter(bench: Bench) -> None:
    reaped = bench.reap(workers=[("nobody", CONNECTION)], clients=[("nobody", "run1:1")], orphans=[("fib", "x-1")])
    assert (reaped.expelled, reaped.forgotten, reaped.dropped, reaped.closing) == ([], 0, 0, False)


def test_a_heartbeat_ahead_of_the_clock_counts_from_when_it_is_first_seen(bench: Bench, claimed: Claimed) -> None:
    ahead = str(bench.now_ms + 10**12)
    bench.redis("HSET", bench.keys.heartbeats, "w1", ahead, "nobody", ahead)
    for _ in range(2):
        bench.reap(workers=[("w1", ""), ("nobody", "")])
        bench.advance(4.9)
    assert bench.submit("c1-3") == ["queued"], "the clock may have been set back: its next beat is due"
    bench.advance(0.2)
    assert bench.reap(workers=[("w1", ""), ("nobody", "")]).expelled == ["w1"]
    assert bench.hash(bench.keys.heartbeats) == {}
    assert bench.submit("c1-4") == ["no_worker"]


def test_a_worker_beats_on_after_the_clock_was_set_back(bench: Bench, claimed: Claimed) -> None:
    bench.advance(-7200)
    for _ in range(8):
        bench.advance(2.5)
        assert bench.reap(workers=[("w1", "")]).expelled == []
        assert bench.broker.beat("w1", CONNECTION, [claimed.held]).known


def test_an_offer_of_a_worker_that_there_is_not_is_removed(bench: Bench) -> None:
    bench.worker()
    offer = bench.hash(bench.keys.named("offers", "fib"))["w1"]
    bench.redis("HSET", bench.keys.named("offers", "fib"), "nobody", offer)
    bench.reap()
    bench.advance(60)
    bench.reap()
    assert list(bench.hash(bench.keys.named("offers", "fib"))) == ["w1"]
