"""fail and release: attempts that the cluster brought to an end, and those that it gives back blaming no one."""

from __future__ import annotations

import pytest

from simpledist.broker.records import Claimed, Failed
from simpledist.policy import CRASH_CAP
from tests.broker.bench import Bench


@pytest.fixture
def claimed(bench: Bench) -> Claimed:
    bench.worker()
    bench.submit("c1-1", "c1-2")
    return bench.claim()[0]


def test_a_crash_goes_back_to_the_head_of_its_queue(bench: Bench, claimed: Claimed) -> None:
    assert bench.broker.fail("w1", [Failed(claimed.held, "crashed", "killed")]) == ["requeued"]
    assert bench.queue() == bench.ledger() == ["c1-1", "c1-2"]
    assert bench.job("c1-1")["crashes"] == "1"
    assert not bench.exists("held", "w1")
    assert not bench.exists("current", "fib")


def test_the_second_crash_ends_it_for_its_client_to_run(bench: Bench, claimed: Claimed) -> None:
    bench.broker.fail("w1", [Failed(claimed.held, "crashed")])
    (again,) = bench.claim()
    assert (again.held.id, again.attempt) == ("c1-1", CRASH_CAP)
    assert bench.broker.fail("w1", [Failed(again.held, "crashed", "killed by SIGSEGV")]) == ["failed"]
    (reply,) = bench.replies()
    assert (reply.id, reply.state, reply.why, reply.place) == ("c1-1", "failed", "crashed", "none")
    assert bench.job("c1-1")["error"] == "killed by SIGSEGV"


@pytest.mark.parametrize("why", ["worker_error", "undecodable", "unserialisable", "too_big", "key"])
def test_every_other_trouble_ends_it_at_once(bench: Bench, claimed: Claimed, why: str) -> None:
    assert bench.broker.fail("w1", [Failed(claimed.held, why, "so it was")]) == ["failed"]
    assert [(reply.state, reply.why, reply.detail) for reply in bench.replies()] == [("failed", why, "so it was")]
    word = bench.broker.nudge("c1", "-", [("fib", "c1-1")], []).words[0]
    assert (word.why, word.detail) == (why, "so it was"), "as one that was lost on its way hears it"  # type: ignore[union-attr]
    assert bench.hash(bench.keys.named("meta", "fib"))[why] == "1"


def test_sent_again_a_crash_counts_once(bench: Bench, claimed: Claimed) -> None:
    assert bench.broker.fail("w1", [Failed(claimed.held, "crashed")]) == ["requeued"]
    assert bench.broker.fail("w1", [Failed(claimed.held, "crashed")]) == ["stale"]
    assert bench.job("c1-1")["crashes"] == "1"
    bench.broker.complete("w1", "n", [])
    bench.wipe()
    assert bench.broker.fail("w1", [Failed(claimed.held, "crashed")]) == ["gone"]


def test_a_failure_of_an_older_fence_is_stale(bench: Bench, claimed: Claimed) -> None:
    bench.broker.release("w1", [claimed.held])
    (current,) = bench.claim()
    assert bench.broker.fail("w1", [Failed(claimed.held, "worker_error")]) == ["stale"]
    assert bench.job("c1-1")["fence"] == current.held.fence


def test_an_ended_job_cannot_fail(bench: Bench, claimed: Claimed) -> None:
    bench.succeed(claimed)
    assert bench.broker.fail("w1", [Failed(claimed.held, "crashed")]) == ["already"]
    assert bench.state("c1-1") == "succeeded"


def test_a_release_blames_no_one_and_goes_to_the_head(bench: Bench, claimed: Claimed) -> None:
    assert bench.broker.release("w1", [claimed.held]) == ["requeued"]
    assert bench.queue() == bench.ledger() == ["c1-1", "c1-2"]
    (again,) = bench.claim()
    assert (again.held.id, again.attempt) == ("c1-1", 1)
    assert "crashes" not in bench.job("c1-1")


def test_a_release_is_good_once(bench: Bench, claimed: Claimed) -> None:
    assert bench.broker.release("w1", [claimed.held]) == ["requeued"]
    assert bench.broker.release("w1", [claimed.held]) == ["stale"]
    assert bench.queue() == ["c1-1", "c1-2"]
    bench.wipe()
    assert bench.broker.release("w1", [claimed.held]) == ["gone"]


def test_a_release_of_an_older_fence_takes_nothing_from_its_new_holder(bench: Bench, claimed: Claimed) -> None:
    bench.broker.release("w1", [claimed.held])
    bench.worker("w2")
    (current,) = bench.claim(worker="w2")
    assert current.held.id == claimed.held.id
    assert bench.broker.release("w1", [claimed.held]) == ["stale"]
    assert (bench.state("c1-1"), bench.job("c1-1")["fence"]) == ("running", current.held.fence)
    assert bench.queue() == bench.ledger() == ["c1-2"]
    assert bench.succeed(current, worker="w2") == "succeeded"


def test_released_jobs_keep_their_order_before_what_was_never_begun(bench: Bench, claimed: Claimed) -> None:
    bench.submit("c1-3")
    (second,) = bench.claim()
    assert bench.broker.release("w1", [second.held, claimed.held]) == ["requeued"] * 2
    assert [one.held.id for one in bench.claim(3)] == ["c1-1", "c1-2", "c1-3"]
