"""Blobs in Redis: those that calls name live on, within a budget, and what no one asks for any more is not counted."""

from __future__ import annotations

import pytest

from simpledist import policy
from simpledist.errors import RedisRefused
from tests.broker.bench import Bench

NAMES = [f"{number:x}" * 64 for number in range(10, 16)]


def put(bench: Bench, name: str, size: int) -> None:
    bench.link.call("SET", bench.keys.named("blob", name), b"x" * size, "PX", 120_000)


def admitted(bench: Bench, *sizes: int, budget: int = 1000) -> list[str]:
    return bench.broker.admit(list(zip(NAMES, sizes, strict=False)), budget)


def test_room_is_kept_for_what_fits_and_what_is_there_lives_on(bench: Bench) -> None:
    assert admitted(bench, 400, 500, 200) == ["put", "put", "full"]
    assert admitted(bench, 400) == ["put"], "whoever was to put it may be gone"
    put(bench, NAMES[0], 400)
    assert admitted(bench, 400, 500, 100, 1) == ["there", "put", "put", "full"]
    left: int = bench.link.call("PTTL", bench.keys.named("blob", NAMES[0]))
    assert left == pytest.approx(policy.BLOB_SECONDS * 1000, abs=5000)


def test_what_was_never_put_or_has_expired_makes_room(bench: Bench) -> None:
    assert admitted(bench, 600, 600) == ["put", "full"]
    bench.advance(policy.TIMINGS.ended_ttl_seconds + 1)
    assert admitted(bench, 0, 600) == ["put", "put"]
    put(bench, NAMES[1], 600)
    assert admitted(bench, 0, 600, 600) == ["put", "there", "full"]
    bench.advance(policy.BLOB_SECONDS + 1)
    bench.link.call("DEL", bench.keys.named("blob", NAMES[1]))
    assert admitted(bench, 0, 0, 600) == ["put", "put", "put"]


def test_a_blob_that_redis_lost_is_put_again_in_its_own_room(bench: Bench) -> None:
    admitted(bench, 900)
    put(bench, NAMES[0], 900)
    assert admitted(bench, 900) == ["there"]
    bench.link.call("DEL", bench.keys.named("blob", NAMES[0]))
    assert admitted(bench, 900) == ["put"]


def test_there_are_a_thousand_at_most(bench: Bench) -> None:
    names = [f"{number:064x}" for number in range(policy.BATCH_ITEMS + 1)]
    words = bench.broker.admit([(name, 1) for name in names], 10**9)
    assert words == ["put"] * policy.BATCH_ITEMS + ["full"]


@pytest.mark.parametrize("foreign", [("SET", "text"), ("ZADD", "1e30", "no blob")])
def test_what_no_verb_wrote_goes(bench: Bench, foreign: tuple[str, ...]) -> None:
    command, *words = foreign
    bench.link.call(command, bench.keys.named("blobs", ""), *words)
    try:
        assert admitted(bench, 400) == ["put"]
    except RedisRefused as error:
        pytest.fail(str(error))
