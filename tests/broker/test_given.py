"""A lone job is given to the worker that waits for it: claimed in `submit`, put on its list."""

from __future__ import annotations

from simpledist.broker.parsing import parse_given
from simpledist.broker.records import Claimed, Ended, Take
from tests.broker.bench import Bench


def idle(bench: Bench, worker: str = "w1", function: str = "fib") -> None:
    """A worker has run its last job and found no other."""
    bench.submit("c1-0", function=function)
    claimed = bench.claim(worker=worker, function=function)
    ended = [Ended(one.held, "value", b"value", 1) for one in claimed]
    _, more = bench.broker.complete(worker, bench.nonce(), ended, Take(function, (3,)))
    assert more == []
    bench.broker.ack("c1", ["c1-0"])


def given(bench: Bench, worker: str = "w1") -> list[Claimed]:
    return [parse_given(element) for element in bench.redis("LRANGE", bench.keys.given(worker), 0, -1)]


def test_a_lone_job_is_given_to_the_worker_that_waits_for_it(bench: Bench) -> None:
    bench.worker()
    idle(bench)
    assert bench.submit("c1-1") == ["queued"]
    (one,) = given(bench)
    assert (one.held.function, one.held.id, one.slot, one.call) == ("fib", "c1-1", 3, b"c1-1")
    job = bench.job("c1-1")
    assert (job["state"], job["worker"], job["fence"], job["attempts"]) == ("running", "w1", one.held.fence, "1")
    assert bench.hash(bench.keys.named("held", "w1")).keys() == {one.held.field}
    assert (bench.queue(), bench.ledger()) == ([], [])
    assert bench.succeed(one) == "succeeded"
    assert [reply.id for reply in bench.replies()] == ["c1-0", "c1-1"]


def test_it_waits_for_one_job_and_not_for_many(bench: Bench) -> None:
    bench.worker()
    idle(bench)
    bench.submit("c1-1", "c1-2")
    assert (given(bench), bench.queue()) == ([], ["c1-1", "c1-2"])
    bench.submit("c1-3")
    assert (given(bench), bench.queue()) == ([], ["c1-1", "c1-2", "c1-3"])


def test_only_the_first_lone_job_is_given(bench: Bench) -> None:
    bench.worker()
    idle(bench)
    bench.submit("c1-1")
    bench.submit("c1-2")
    assert ([one.held.id for one in given(bench)], bench.queue()) == (["c1-1"], ["c1-2"])


def test_nothing_is_given_to_a_worker_that_drains_or_is_silent(bench: Bench) -> None:
    bench.worker("w1")
    bench.worker("w2")
    idle(bench)
    bench.broker.leave("w1", final=False)
    bench.submit("c1-1")
    assert (given(bench), bench.queue()) == ([], ["c1-1"])
    bench.broker.leave("w1", final=True)
    bench.claim(worker="w2")
    idle(bench, "w2")
    bench.advance(11.0)
    bench.worker("w3")
    bench.submit("c1-2")
    assert (given(bench, "w2"), bench.queue()) == ([], ["c1-2"])


def test_a_worker_whose_slots_are_full_waits_for_nothing(bench: Bench) -> None:
    bench.worker("w1", "fib", "gcd")
    idle(bench)
    bench.submit("c1-1", function="gcd")
    bench.broker.claim("w1", bench.nonce(), "gcd", [bench.pop("gcd")], [0], idle_for="fib")
    bench.submit("c1-2")
    assert (given(bench), bench.queue()) == ([], ["c1-2"])


def test_what_was_given_while_the_last_slot_was_filled_goes_back(bench: Bench) -> None:
    bench.worker("w1", "fib", "gcd")
    idle(bench)
    bench.submit("c1-1", function="gcd")
    bench.submit("c1-2")
    assert [one.held.id for one in given(bench)] == ["c1-2"]
    bench.broker.claim("w1", bench.nonce(), "gcd", [bench.pop("gcd")], [0], idle_for="fib")
    assert (given(bench), bench.queue(), bench.state("c1-2")) == ([], ["c1-2"], "queued")
    assert "attempts" not in bench.job("c1-2") or bench.job("c1-2")["attempts"] == "0"


def test_what_was_given_and_lost_on_the_wire_goes_back(bench: Bench) -> None:
    bench.worker()
    idle(bench)
    bench.submit("c1-1")
    bench.redis("DEL", bench.keys.given("w1"))
    bench.advance(1.1)
    bench.broker.beat("w1", "run1:100", [])
    assert (bench.queue(), bench.state("c1-1")) == (["c1-1"], "queued")


def test_what_was_given_to_a_worker_that_died_goes_back(bench: Bench) -> None:
    bench.worker()
    idle(bench)
    bench.submit("c1-1")
    bench.advance(11.0)
    bench.reap(workers=[("w1", "")])
    assert (bench.queue(), bench.job("c1-1")["losses"], given(bench)) == (["c1-1"], "1", [])
