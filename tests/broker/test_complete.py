"""complete: the first value wins, an error counts from its fence only, and the next jobs come with the answer."""

from __future__ import annotations

import pytest

from simpledist.broker.records import Claimed, Ended, Failed, Take
from simpledist.policy import BESIDE_BYTES, INLINE_BYTES
from tests.broker.bench import Bench


@pytest.fixture
def claimed(bench: Bench) -> Claimed:
    bench.worker()
    bench.submit("c1-1")
    return bench.claim()[0]


def ended(claimed: Claimed, kind: str = "value", outcome: bytes = b"v", error: str = "") -> Ended:
    return Ended(claimed.held, kind, outcome, 7, error)


def requeued(bench: Bench, claimed: Claimed) -> None:
    assert bench.broker.release("w1", [claimed.held]) == ["requeued"]


def test_a_value_ends_the_job_and_its_client_is_informed(bench: Bench, claimed: Claimed) -> None:
    assert bench.broker.complete("w1", "n", [ended(claimed)]) == (["succeeded"], [])
    (reply,) = bench.replies()
    assert (reply.id, reply.state, reply.why, reply.worker) == ("c1-1", "succeeded", None, "w1")
    assert (reply.attempts, reply.run_ms, reply.result) == (1, 7, b"v")
    assert not bench.exists("held", "w1")
    assert not bench.exists("current", "fib")


def test_an_error_ends_it_as_failed_with_a_line_for_people(bench: Bench, claimed: Claimed) -> None:
    assert bench.broker.complete("w1", "n", [ended(claimed, "error", b"e", "ValueError: no")])[0] == ["failed"]
    (reply,) = bench.replies()
    assert (reply.state, reply.why, reply.result) == ("failed", None, b"e")
    assert bench.job("c1-1")["error"] == "ValueError: no"


def test_every_client_that_waits_is_informed(bench: Bench, claimed: Claimed) -> None:
    bench.submit("c1-1", client="c2")
    bench.succeed(claimed)
    assert [reply.id for client in ("c1", "c2") for reply in bench.replies(client)] == ["c1-1", "c1-1"]


def test_sent_again_it_says_already_and_informs_no_client_twice(bench: Bench, claimed: Claimed) -> None:
    for word in ("succeeded", "already"):
        assert bench.broker.complete("w1", "n", [ended(claimed)], again=word == "already")[0] == [word]
    assert len(bench.replies()) == 1


@pytest.mark.parametrize("size", [1, BESIDE_BYTES + 1])
def test_a_value_counts_even_if_the_job_was_given_to_another(bench: Bench, claimed: Claimed, size: int) -> None:
    requeued(bench, claimed)
    bench.worker("w2", connection="run1:101")
    (second,) = bench.claim(worker="w2")
    assert bench.succeed(claimed, b"1" * size) == "succeeded"
    assert bench.succeed(second, b"2" * size, worker="w2") == "already"
    (reply,) = bench.replies()
    assert bench.result_bytes(reply) == b"1" * size
    assert not bench.exists("held", "w2")
    assert not bench.exists("current", "fib")


def test_a_value_counts_while_the_job_is_queued_again(bench: Bench, claimed: Claimed) -> None:
    requeued(bench, claimed)
    assert bench.succeed(claimed) == "succeeded"
    assert bench.ledger() == []
    assert bench.claim() == [], "its element is worth nothing any more"


@pytest.mark.parametrize("size", [1, BESIDE_BYTES + 1])
def test_an_error_of_an_older_fence_is_stale_and_harms_no_value(bench: Bench, claimed: Claimed, size: int) -> None:
    requeued(bench, claimed)
    (second,) = bench.claim()
    late = ended(claimed, "error", b"e" * size, "E")
    assert bench.broker.complete("w1", "n", [late])[0] == ["stale"]
    assert bench.state("c1-1") == "running"
    assert bench.succeed(second, b"v" * size) == "succeeded"
    assert not bench.exists("staged_result", f"c1-1:{claimed.held.fence}")
    (reply,) = bench.replies()
    assert bench.result_bytes(reply) == b"v" * size


def test_of_a_job_that_no_one_knows_it_says_gone_and_keeps_no_bytes(bench: Bench, claimed: Claimed) -> None:
    bench.wipe()
    big = ended(claimed, "value", b"v" * (BESIDE_BYTES + 1))
    assert bench.broker.complete("w1", "n", [big])[0] == ["gone"]
    assert not bench.exists("staged_result", f"c1-1:{claimed.held.fence}")
    assert not bench.exists("result", "c1-1")


@pytest.mark.parametrize(
    ("size", "lies"),
    [
        (0, "none"),
        (INLINE_BYTES, "inline"),
        (INLINE_BYTES + 1, "beside"),
        (BESIDE_BYTES, "beside"),
        (BESIDE_BYTES + 1, "beside"),
    ],
)
def test_a_result_travels_by_its_size(bench: Bench, claimed: Claimed, size: int, lies: str) -> None:
    if not size:
        bench.broker.fail("w1", [Failed(claimed.held, "worker_error")])
    else:
        bench.succeed(claimed, b"v" * size)
    (reply,) = bench.replies()
    assert reply.place == lies
    if lies == "beside":
        assert bench.result_bytes(reply) == b"v" * size


def test_results_may_hold_any_bytes(bench: Bench, claimed: Claimed) -> None:
    value = bytes(range(256)) + b"\n \n"
    bench.succeed(claimed, value)
    assert bench.replies()[0].result == value


def test_the_next_jobs_come_with_the_answer(bench: Bench, claimed: Claimed) -> None:
    bench.submit("c1-2", "c1-3", "c1-4")
    words, taken = bench.broker.complete("w1", "n", [ended(claimed)], Take("fib", (0, 5)))
    assert words == ["succeeded"]
    assert [(one.held.id, one.slot) for one in taken] == [("c1-2", 0), ("c1-3", 5)]
    again = bench.broker.complete("w1", "n", [ended(claimed)], Take("fib", (0, 5)), again=True)
    assert again[0] == ["already"]
    assert sorted(again[1], key=lambda one: one.slot) == taken
    assert bench.ledger() == ["c1-4"]


def test_a_worker_held_for_dead_delivers_and_takes_nothing(bench: Bench, claimed: Claimed) -> None:
    bench.submit("c1-2")
    bench.advance(11)
    bench.broker.nudge("c1", "run1:200", [("fib", "c1-1")])
    assert bench.job("c1-1")["losses"] == "1"
    assert bench.broker.complete("w1", "n", [ended(claimed)], Take("fib", (0,))) == (["succeeded"], [])


def test_many_outcomes_end_in_one_step(bench: Bench, claimed: Claimed) -> None:
    bench.submit(*(f"c1-{n}" for n in range(2, 202)))
    rest = bench.claim(200)
    words, _ = bench.broker.complete("w1", "n", [ended(one) for one in (claimed, *rest)])
    assert words == ["succeeded"] * 201
    assert len(bench.replies()) == 201


def test_what_is_finished_of_a_batch_is_reported_and_ends_nothing(bench: Bench, claimed: Claimed) -> None:
    for again in (False, True):
        assert bench.broker.complete("w1", "p", [ended(claimed, "partial", b"some")], again=again)[0] == ["told"]
    replies = bench.replies()
    assert [(one.id, one.state, one.worker, one.run_ms, one.result) for one in replies] == [
        ("c1-1", "running", "w1", 7, b"some")
    ] * 2
    assert bench.job("c1-1")["state"] == "running"
    assert bench.exists("held", "w1")
    assert bench.succeed(claimed, b"all") == "succeeded"
    assert [one.result for one in bench.replies()[2:]] == [b"all"]


def test_what_is_finished_of_a_batch_that_was_taken_away_is_stale(bench: Bench, claimed: Claimed) -> None:
    requeued(bench, claimed)
    assert bench.broker.complete("w1", "p", [ended(claimed, "partial", b"some")])[0] == ["stale"]
    assert bench.replies() == []
