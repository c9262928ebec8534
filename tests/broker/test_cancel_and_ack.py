"""cancel and ack: what a client no longer wants, and what it has read."""

from __future__ import annotations

import pytest

from simpledist.broker.records import Claimed
from simpledist.policy import BESIDE_BYTES
from tests.broker.bench import Bench


@pytest.fixture
def claimed(bench: Bench) -> Claimed:
    """c1-1 runs, c1-2 waits."""
    bench.worker()
    bench.submit("c1-1", "c1-2")
    return bench.claim()[0]


def control(bench: Bench, worker: str = "w1") -> list[str]:
    return [word.decode() for word in bench.redis("LRANGE", bench.keys.control(worker), 0, -1)]


def test_a_queued_job_is_gone_with_everything_of_it(bench: Bench, claimed: Claimed) -> None:
    assert bench.broker.cancel("c1", [("fib", "c1-2")]) == ["cancelled"]
    assert bench.ledger() == bench.queue() == []
    assert not bench.exists("job", "c1-2")
    assert not bench.exists("call", "c1-2")
    assert bench.claim() == []


def test_an_element_of_a_cancelled_job_does_no_harm_in_a_queue_with_others(bench: Bench, claimed: Claimed) -> None:
    bench.submit("c1-3")
    bench.broker.cancel("c1", [("fib", "c1-2")])
    assert [one.held.id for one in bench.claim(2)] == ["c1-3"]


def test_the_worker_of_a_running_job_is_informed(bench: Bench, claimed: Claimed) -> None:
    assert bench.broker.cancel("c1", [("fib", "c1-1")]) == ["cancelled"]
    assert control(bench) == [f"cancel c1-1:{claimed.held.fence}"]
    assert bench.state("c1-1") == "cancelled"
    assert not bench.exists("held", "w1")
    assert bench.succeed(claimed) == "already"
    assert bench.replies() == []


def test_a_worker_that_missed_the_word_hears_it_with_its_next_beat(bench: Bench, claimed: Claimed) -> None:
    bench.broker.cancel("c1", [("fib", "c1-1")])
    assert bench.broker.beat("w1", "run1:100", [claimed.held]).stop == [claimed.held]


def test_sent_again_it_says_gone_or_ended(bench: Bench, claimed: Claimed) -> None:
    jobs = [("fib", "c1-1"), ("fib", "c1-2"), ("fib", "c1-99")]
    assert bench.broker.cancel("c1", jobs) == ["cancelled", "cancelled", "gone"]
    assert bench.broker.cancel("c1", jobs) == ["ended", "gone", "gone"]
    assert len(control(bench)) == 1


def test_an_ended_job_cannot_be_cancelled_and_its_outcome_stays(bench: Bench, claimed: Claimed) -> None:
    bench.succeed(claimed)
    assert bench.broker.cancel("c1", [("fib", "c1-1")]) == ["ended"]
    assert bench.replies()[0].result == b"value"


def test_it_goes_on_while_another_client_waits(bench: Bench, claimed: Claimed) -> None:
    bench.submit("c1-1", "c1-2", client="c2")
    assert bench.broker.cancel("c1", [("fib", "c1-1"), ("fib", "c1-2")]) == ["cancelled"] * 2
    assert control(bench) == []
    bench.succeed(claimed)
    assert bench.replies("c1") == []
    assert [reply.id for reply in bench.replies("c2")] == ["c1-1"]
    assert [one.held.id for one in bench.claim()] == ["c1-2"]


def test_an_operator_sends_a_job_home(bench: Bench, claimed: Claimed) -> None:
    assert bench.broker.cancel(None, [("fib", "c1-1"), ("fib", "c1-2")]) == ["cancelled"] * 2
    assert [(reply.id, reply.why) for reply in bench.replies()] == [("c1-1", "called_off"), ("c1-2", "called_off")]
    assert control(bench) == [f"cancel c1-1:{claimed.held.fence}"]
    assert bench.queue() == bench.ledger() == []


@pytest.mark.parametrize("size", [1, BESIDE_BYTES + 1])
def test_bytes_go_once_all_that_waited_have_read_them(bench: Bench, claimed: Claimed, size: int) -> None:
    bench.submit("c1-1", client="c2")
    bench.succeed(claimed, b"v" * size)
    bench.broker.ack("c1", ["c1-1"])
    assert bench.exists("result", "c1-1")
    bench.broker.ack("c1", ["c1-1", "unknown"])
    bench.broker.ack("c2", ["c1-1"])
    assert not bench.exists("job", "c1-1")
    assert not bench.exists("result", "c1-1")


def test_local_runs_are_counted_by_reason(bench: Bench) -> None:
    bench.broker.ack("c1", [], {("fib", "no_worker"): 3, ("gcd", "nested"): 1})
    bench.broker.ack("c1", [], {("fib", "no_worker"): 2})
    assert bench.hash(bench.keys.named("meta", "fib"))["local:no_worker"] == "5"
    assert bench.hash(bench.keys.named("meta", "gcd"))["local:nested"] == "1"
