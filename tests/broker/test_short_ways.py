"""A lone call goes a short way through `submit` and `complete`: it leaves in Redis what the long way leaves."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from simpledist.broker import Broker
from simpledist.broker.parsing import parse_given
from simpledist.broker.records import Ended, Take
from simpledist.broker.scripts import Script
from tests.broker.bench import VERBS, Bench

READERS = {
    b"string": ("GET",),
    b"list": ("LRANGE", 0, -1),
    b"hash": ("HGETALL",),
    b"set": ("SMEMBERS",),
    b"zset": ("ZRANGE", 0, -1, "WITHSCORES"),
}


def long_way(script: Script) -> Script:
    """The verb without its short way."""
    lines = [line for line in script.lines if not line.file.endswith("_short.lua")]
    assert len(lines) < len(script.lines)
    text = "\n".join(line.text for line in lines)
    return Script(script.verb, tuple(lines), text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def left(bench: Bench) -> dict[bytes, tuple[Any, bool]]:
    """Everything in Redis, and what of it will go by itself."""
    everything: dict[bytes, tuple[Any, bool]] = {}
    for key in sorted(bench.redis("KEYS", bench.keys.prefix + "*")):
        command, *rest = READERS[bench.redis("TYPE", key)]
        value = bench.redis(command, key, *rest)
        if command == "HGETALL":
            # The words of a row of the history come in any order.
            value = {field: sorted(words.split()) for field, words in zip(value[::2], value[1::2], strict=True)}
        elif command == "SMEMBERS":
            value = sorted(value)
        everything[key] = value, bench.redis("PTTL", key) > 0
    return everything


def call(bench: Bench, broker: Broker, *, milliseconds: int) -> list[Any]:
    """A worker becomes idle, is given a lone job and brings its outcome; what Redis holds after each step."""
    bench.begin_again()
    bench.worker("w1", "fib", "gcd")
    seen: list[Any] = []
    for number in range(3):
        bench.advance(30.0)
        bench.worker("w1", "fib", "gcd")
        assert broker.submit("fib", "c1", "run1:200", [(f"c1-{number}", b"call")]).words == ["queued"]
        seen.append(left(bench))
        if number:
            claimed = parse_given(bench.redis("LPOP", bench.keys.given("w1")))
        else:
            (claimed,) = broker.claim("w1", "n", "fib", [], [2])
        bench.advance(milliseconds / 1000)
        ended = [Ended(claimed.held, "value", b"outcome", milliseconds)]
        words, more = broker.complete("w1", f"n{number}", ended, Take("fib", (2,), 0, idle_for="fib" if number else ""))
        assert (words, more) == (["succeeded"], [])
        seen.append(left(bench))
    return seen


@pytest.mark.parametrize("milliseconds", [0, 40])
def test_the_short_way_leaves_what_the_long_one_leaves(real_bench: Bench, milliseconds: int) -> None:
    verbs = {**VERBS, "submit": long_way(VERBS["submit"]), "complete": long_way(VERBS["complete"])}
    short = call(real_bench, real_bench.broker, milliseconds=milliseconds)
    long = call(real_bench, Broker(real_bench.link, real_bench.keys, verbs), milliseconds=milliseconds)
    for short_step, long_step in zip(short, long, strict=True):
        assert short_step == long_step


def test_a_worker_that_pops_takes_nothing_and_is_idle(bench: Bench) -> None:
    bench.worker()
    bench.submit("c1-1", "c1-2")
    (claimed,) = bench.claim()
    ended = [Ended(claimed.held, "value", b"value", 1)]
    assert bench.broker.complete("w1", bench.nonce(), ended, Take("fib", (0,), 0)) == (["succeeded"], [])
    assert (bench.queue(), bench.ledger()) == (["c1-2"], ["c1-2"])
    bench.claim()
    bench.submit("c1-3")
    assert bench.state("c1-3") == "running", "it was given"


@pytest.mark.parametrize("kind", ["value", "error"])
def test_what_does_not_count_does_not_count_on_the_short_way_either(bench: Bench, kind: str) -> None:
    bench.worker("w1")
    bench.submit("c1-1")
    (late,) = bench.claim()
    bench.broker.release("w1", [late.held])
    (again,) = bench.claim()
    take = Take("fib", (0,), 0)
    words, _ = bench.broker.complete("w1", bench.nonce(), [Ended(late.held, kind, b"late", 1)], take)
    assert words == ["succeeded" if kind == "value" else "stale"], "a value counts whoever brings it"
    holds = bench.hash(bench.keys.named("held", "w1"))
    assert set(holds) == (set() if kind == "value" else {again.held.field}), "with its job the other attempt is over"
    words, _ = bench.broker.complete("w1", bench.nonce(), [Ended(again.held, "value", b"value", 1)], take)
    assert words == ["already" if kind == "value" else "succeeded"]
    assert [reply.result for reply in bench.replies()] == [b"late" if kind == "value" else b"value"]
