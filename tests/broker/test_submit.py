"""submit: jobs of one function enter its queue, once each, or are refused whole."""

from __future__ import annotations

import pytest

from simpledist import policy
from simpledist.broker.records import Failed, Terms
from simpledist.errors import RedisRefused
from simpledist.policy import BATCH_ITEMS, BESIDE_BYTES, INLINE_BYTES
from tests.broker.bench import Bench


def test_a_job_is_queued_in_list_and_ledger_under_one_stamp(bench: Bench) -> None:
    bench.worker()
    assert bench.submit("c1-1", "c1-2") == ["queued", "queued"]
    assert bench.queue() == bench.ledger() == ["c1-1", "c1-2"]
    job = bench.job("c1-1")
    assert (job["state"], job["lane"], job["waiting:c1"]) == ("queued", "fib", "1")
    assert "stamp" not in job, "many wait: the ledger has it, and the row gets it when the job runs"
    stamp = f"{float(bench.redis('ZSCORE', bench.keys.named('queued', 'fib'), 'c1-1')):.0f}"
    assert bench.redis("LINDEX", bench.keys.queue("fib"), 0) == f"{stamp}.c1-1".encode()
    bench.claim()
    assert bench.job("c1-1")["stamp"] == stamp


def test_no_one_offers_the_function_and_nothing_is_entered(bench: Bench) -> None:
    bench.worker("w1", "gcd")
    assert bench.submit("c1-1") == ["no_worker"]
    assert not bench.exists("job", "c1-1")
    assert not bench.exists("call", "c1-1")
    assert bench.queue() == []


def test_a_worker_of_another_version_is_no_worker(bench: Bench) -> None:
    bench.worker("w1", "fib@2")
    assert bench.submit("c1-1") == ["no_worker"]
    assert bench.submit("c1-2", function="fib@2") == ["queued"]


def test_a_worker_that_has_been_silent_for_ten_seconds_counts_for_nothing(bench: Bench) -> None:
    bench.worker()
    bench.advance(9.9)
    assert bench.submit("c1-1") == ["queued"]
    bench.advance(0.1)
    assert bench.submit("c1-2") == ["no_worker"]


def test_one_live_worker_among_many_silent_ones_is_found(bench: Bench) -> None:
    for n in range(250):
        bench.worker(f"silent{n}")
    bench.advance(11)
    assert bench.submit("c1-1") == ["no_worker"]
    bench.worker("alive")
    assert bench.submit("c1-1") == ["queued"]


def test_sent_again_it_changes_nothing(bench: Bench) -> None:
    bench.worker()
    bench.submit("c1-1", "c1-2")
    before = bench.queue(), bench.ledger(), bench.job("c1-1")
    bench.advance(1)
    assert bench.submit("c1-1", "c1-2") == ["exists", "exists"]
    assert (bench.queue(), bench.ledger(), bench.job("c1-1")) == before


def test_a_running_job_exists_and_an_ended_one_is_done(bench: Bench) -> None:
    bench.worker()
    bench.submit("c1-1", "c1-2")
    (first,) = bench.claim()
    assert bench.submit("c1-1") == ["exists"]
    bench.succeed(first)
    assert bench.submit("c1-1") == ["done"]
    (second,) = bench.claim()
    bench.broker.fail("w1", [Failed(second.held, "worker_error")])
    assert bench.submit("c1-2") == ["done"], "it ended as `run it yourself`: there are no bytes to lose"


def test_an_ended_job_whose_result_is_gone_is_entered_afresh(bench: Bench) -> None:
    bench.worker()
    bench.submit("c1-1")
    (claimed,) = bench.claim()
    bench.succeed(claimed, b"v" * (INLINE_BYTES + 1))
    bench.redis("DEL", bench.keys.named("result", "c1-1"))
    assert bench.submit("c1-1") == ["queued"]
    (again,) = bench.claim()
    assert again.attempt == 1
    assert again.held.fence > claimed.held.fence


def test_a_full_queue_takes_what_fits(bench: Bench) -> None:
    bench.worker()
    calls = [(f"c1-{n}", b"x") for n in range(5)]
    submitted = bench.broker.submit("fib", "c1", "-", calls, terms=Terms(max_queue=3))
    assert submitted.words == ["queued"] * 3 + ["full"] * 2
    assert bench.broker.submit("fib", "c1", "-", calls, terms=Terms(max_queue=3)).words == ["exists"] * 3 + ["full"] * 2
    bench.claim(2)
    assert bench.broker.submit("fib", "c1", "-", calls[3:], terms=Terms(max_queue=3)).words == ["queued"] * 2


def test_a_whole_batch_enters_in_its_order(bench: Bench) -> None:
    bench.worker()
    ids = [f"c1-{n}" for n in range(BATCH_ITEMS)]
    assert bench.submit(*ids) == ["queued"] * BATCH_ITEMS
    assert bench.queue() == bench.ledger() == ids


def test_stamps_rise_although_the_clock_stands_still_or_steps_back(bench: Bench) -> None:
    bench.worker()
    bench.submit("c1-1", "c1-2")
    bench.advance(-5)
    bench.submit("c1-3")
    assert bench.ledger() == ["c1-1", "c1-2", "c1-3"]
    assert bench.queue() == ["c1-1", "c1-2", "c1-3"]


def test_a_call_over_64_kb_is_stored_next_to_the_script_and_comes_back_whole(bench: Bench) -> None:
    bench.worker()
    call = b"x" * (BESIDE_BYTES + 1)
    bench.broker.submit("fib", "c1", "-", [("c1-1", call)])
    (claimed,) = bench.claim()
    assert claimed.call is None
    assert bench.call_bytes("c1-1") == call


def test_a_client_is_alive_from_its_first_call_on(bench: Bench) -> None:
    bench.worker()
    bench.submit("c1-1", connection="run1:7")
    assert bench.hash(bench.keys.clients) == {"c1": f"{bench.now_ms} run1:7 protocol:{policy.PROTOCOL}"}


def test_the_epoch_is_set_once_and_anew_after_a_wipe(bench: Bench) -> None:
    bench.worker()
    first = bench.broker.submit("fib", "c1", "-", [("c1-1", b"x")]).epoch
    bench.advance(1)
    assert bench.broker.submit("fib", "c1", "-", [("c1-2", b"x")]).epoch == first
    bench.wipe()
    assert bench.broker.submit("fib", "c1", "-", [("c1-1", b"x")]).epoch != first


def test_a_redis_that_is_full_refuses_the_batch_whole_and_results_still_come_through(real_bench: Bench) -> None:
    bench = real_bench
    bench.worker()
    bench.submit("c1-1")
    (claimed,) = bench.claim()
    bench.redis("CONFIG", "SET", "maxmemory", "1")
    try:
        with pytest.raises(RedisRefused, match="maxmemory"):
            bench.submit("c1-2", "c1-3")
        assert not bench.exists("job", "c1-2")
        assert not bench.exists("call", "c1-2")
        assert bench.queue() == []
        assert bench.succeed(claimed) == "succeeded"
        assert [reply.id for reply in bench.replies()] == ["c1-1"]
        assert bench.broker.beat("w1", "run1:100", []).known
        assert bench.broker.nudge("c1", "run1:200", [("fib", "c1-1")]).words
        assert bench.broker.cancel("c1", [("fib", "c1-1")]) == ["ended"]
        bench.broker.ack("c1", ["c1-1"])
        bench.reap()
        bench.broker.leave("w1", final=True)
    finally:
        bench.redis("CONFIG", "SET", "maxmemory", "0")


def test_a_call_that_was_set_beside_for_a_job_that_has_ended_does_not_stay(bench: Bench) -> None:
    big = b"x" * (BESIDE_BYTES + 1)
    bench.worker()
    bench.broker.submit("fib", "c1", "run1:200", [("c1-1", big)])
    bench.succeed(bench.claim()[0])
    assert bench.broker.submit("fib", "c1", "run1:200", [("c1-1", big)]).words == ["done"]
    assert not bench.exists("call", "c1-1")
