"""What is kept of calls with an address: within the budget, as long as asked, and not from before a clear."""

from __future__ import annotations

import pytest

from simpledist import policy
from simpledist.broker.records import Ended, Reply, job_label
from tests.broker.bench import Bench

MB = 1024 * 1024


def submit(bench: Bench, id: str, address: str, *, seconds: float = 3600, function: str = "fib") -> str | Reply:
    label = job_label(id, address, join=True, cache_seconds=seconds)
    (word,) = bench.broker.submit(function, "c1", "run1:200", [(label, b"call")]).words
    return word


def keep(bench: Bench, id: str, address: str, value: bytes, *, seconds: float = 3600, function: str = "fib") -> None:
    assert submit(bench, id, address, seconds=seconds, function=function) == "queued"
    (claimed,) = bench.claim(function=function)
    words, _ = bench.broker.complete("w1", bench.nonce(), [Ended(claimed.held, "value", value, 5)])
    assert words == ["succeeded"]


def kept(bench: Bench, address: str) -> bool:
    return bench.exists("kept", address)


def test_a_kept_value_answers_a_call_with_its_address_only(bench: Bench) -> None:
    bench.worker()
    keep(bench, "c1-1", "a", b"value")
    hit = submit(bench, "c1-2", "a")
    assert isinstance(hit, Reply)
    assert (hit.id, hit.state, hit.place, hit.result) == ("c1-2", "succeeded", "cached", b"value")
    assert submit(bench, "c1-3", "b") == "queued"


@pytest.mark.parametrize(("size", "stays"), [(MB, True), (MB + 1, False)])
def test_a_value_over_the_limit_is_not_kept(bench: Bench, size: int, stays: bool) -> None:
    bench.worker()
    keep(bench, "c1-1", "a", b"x" * size)
    assert kept(bench, "a") is stays


def test_over_the_budget_the_function_that_keeps_most_gives_up_what_ends_soonest(bench: Bench) -> None:
    bench.worker("w1", "fib", "gcd")
    most = policy.CACHED_BYTES // MB
    keep(bench, "c1-0", "small", b"x", function="gcd", seconds=600)
    for n in range(most):
        keep(bench, f"c1-{n + 1}", f"a{n}", b"x" * MB, seconds=3600 + n)
    sizes = bench.hash(bench.keys.named("cached_bytes", ""))
    assert sum(map(int, sizes.values())) <= policy.CACHED_BYTES
    assert kept(bench, "small")
    assert not kept(bench, "a0")
    assert kept(bench, f"a{most - 1}")
    assert int(sizes["fib"]) == MB * sum(kept(bench, f"a{n}") for n in range(most))


def test_what_was_submitted_before_a_clear_is_not_kept_even_if_requeued(bench: Bench) -> None:
    bench.worker()
    keep(bench, "c1-1", "a", b"old")
    assert submit(bench, "c1-2", "b") == "queued"
    (claimed,) = bench.claim()
    assert bench.broker.clear("fib") == (1, bench.now_ms)
    assert bench.broker.release("w1", [claimed.held]) == ["requeued"]
    (claimed,) = bench.claim()
    assert bench.succeed(claimed) == "succeeded"
    assert not kept(bench, "a")
    assert not kept(bench, "b")
    keep(bench, "c1-3", "b", b"new")
    assert kept(bench, "b")


def test_a_clear_forgets_the_values_of_all_codes(bench: Bench) -> None:
    bench.worker("w2")
    row = {"functions": ["fib"], "connection": "run1:101"}
    (lane,) = bench.broker.beat("w1", "run1:101", [], row, {"fib": "a" * 16}).lanes
    assert lane == "fib~aaaaaaaaaaaa"
    label = job_label("c1-1", "a", join=True, cache_seconds=3600)
    bench.broker.submit(lane, "c1", "run1:200", [(label, b"call")])
    assert bench.succeed(bench.claim(function=lane)[0]) == "succeeded"
    assert kept(bench, "a")
    assert bench.broker.clear("fib").forgotten == 1
    assert not kept(bench, "a")


def test_a_job_that_redis_has_lost_is_joined_by_no_one(bench: Bench) -> None:
    bench.worker()
    assert submit(bench, "c1-1", "a") == "queued"
    assert submit(bench, "c1-2", "a") == "joined c1-1"
    bench.redis("DEL", bench.keys.named("job", "c1-1"))
    assert submit(bench, "c1-3", "a") == "queued"
    assert submit(bench, "c1-4", "a") == "joined c1-3"
