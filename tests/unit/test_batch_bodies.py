"""Bodies of batches: many calls in one, and what became of each."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpledist import policy, wire
from simpledist.buffers import Pieces
from simpledist.errors import BadEnvelope, Undecodable
from simpledist.policy import Experience
from simpledist.wire import serializers
from simpledist.wire.keyring import Keyring

KEYS = Keyring([b"k" * 32])
NONCE = b"a nonce, 16 long"
BODIES = [wire.encode_arguments("pickle", (n,)) for n in range(3)]


def sealed(keyring: Keyring = KEYS) -> Any:
    body = wire.join_calls([bytes(body) for body in BODIES])
    return wire.seal_call("f", "pickle", body, keyring, batch=True, nonce=NONCE, sealed_at_ms=0)


def args_of(call: memoryview | Pieces | tuple[Any, ...]) -> tuple[Any, ...]:
    return call if isinstance(call, tuple) else wire.decode_arguments("pickle", call)[0]


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
others = st.lists(plain, max_size=2) | st.dictionaries(st.text(), plain, max_size=2)


@given(st.lists(st.tuples(plain) | st.tuples(plain, others), max_size=9))
def test_the_calls_of_a_map_come_out_as_they_went_in(calls: list[tuple[Any, ...]]) -> None:
    body = wire.encode_calls("pickle", calls)
    assert [args_of(one) for one in wire.split_calls("pickle", body)] == calls


def test_what_a_call_may_change_it_shares_with_no_other() -> None:
    shared = ["one"]
    first, second = map(args_of, wire.split_calls("pickle", wire.encode_calls("pickle", [(shared,), (shared,)])))
    assert first[0] == second[0]
    assert first[0] is not second[0]


def test_calls_of_plain_values_are_encoded_together() -> None:
    calls = [(n, "text") for n in range(1000)]
    assert len(wire.encode_calls("pickle", calls)) < 10 * len(calls)


def by_value() -> Any:
    def local(*_: Any) -> bytes:
        return NONCE

    return local


ARRAY = numpy.arange(100_000)
FUNCTIONS: dict[str, tuple[Any, str]] = {
    "by its name": (len, ""),
    "by value": (by_value(), serializers.PYTHON),
    "with a buffer outside": (functools.partial(len, ARRAY), ""),
    "by value, with a buffer outside": (functools.partial(by_value(), ARRAY), serializers.PYTHON),
}


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_calls_may_share_a_function_however_it_is_pickled(kind: str) -> None:
    function, python = FUNCTIONS[kind]
    body = wire.encode_together([(function, (n,)) for n in range(3)])
    assert wire.python_of_calls("pickle", body) == python
    found = [args_of(one) for one in wire.split_calls("pickle", body)]
    assert [args for _, args in found] == [(0,), (1,), (2,)]
    assert found[0][0] is found[2][0]


@pytest.mark.parametrize("body", [{"no": "list"}, [(1,), [2]], 7])
def test_a_body_that_holds_no_calls_is_undecodable(body: Any) -> None:
    with pytest.raises(Undecodable):
        wire.split_calls("pickle", serializers.dumps("pickle", body))


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_calls_come_out_as_they_went_in(calls: list[bytes]) -> None:
    assert [bytes(call) for call in wire.split_calls("pickle", wire.join_calls(calls))] == calls


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=5), st.data())
def test_a_body_that_was_cut_is_refused_or_holds_fewer_calls(calls: list[bytes], data: st.DataObject) -> None:
    body = bytes(wire.join_calls(calls))
    cut = body[: data.draw(st.integers(0, len(body) - 1))]
    with contextlib.suppress(Undecodable):
        assert len(wire.split_calls("pickle", cut)) < len(calls)


def test_a_batch_is_opened_as_one() -> None:
    call = wire.open_call("f", sealed().data, KEYS, 0)
    assert call.batch
    assert [args_of(one) for one in wire.split_calls("pickle", call.body)] == [(0,), (1,), (2,)]


def test_parts_keep_number_kind_and_value() -> None:
    parts = [
        wire.encode_part(0, "value", wire.encode_value("pickle", "zero")),  # type: ignore[arg-type]
        wire.encode_part(2, "too_big", b"9 bytes"),
        wire.encode_part(1, "value", b"nonsense"),
    ]
    envelope = sealed()
    outcome = wire.seal_outcome("f", "pickle", "batch", b"".join(parts), envelope.digest, KEYS, 0)
    found = wire.decode_parts(wire.open_outcome("f", outcome, envelope.digest, KEYS))
    assert found[0] == wire.Value("zero")
    assert found[2] == "too_big 9 bytes"
    assert str(found[1]).startswith("undecodable UnpicklingError: ")


def test_a_batches_outcome_is_none_of_a_single_call_and_the_other_way_round() -> None:
    envelope = sealed()
    one = wire.seal_outcome("f", "pickle", "value", b"x", envelope.digest, KEYS, 0)
    with pytest.raises(Undecodable):
        wire.decode_parts(wire.open_outcome("f", one, envelope.digest, KEYS))
    many = wire.seal_outcome("f", "pickle", "batch", b"", envelope.digest, KEYS, 0)
    with pytest.raises(Undecodable):
        wire.decode_outcome(wire.open_outcome("f", many, envelope.digest, KEYS))


def test_a_batch_and_a_call_with_the_same_body_have_different_digests() -> None:
    body = wire.encode_arguments("pickle", (1,))
    call, batch = (
        wire.seal_call("f", "pickle", body, KEYS, nonce=NONCE, sealed_at_ms=0, batch=batch) for batch in (False, True)
    )
    assert call.digest != batch.digest
    outcome = wire.seal_outcome("f", "pickle", "value", b"x", batch.digest, KEYS, 0)
    with pytest.raises(BadEnvelope, match="another call"):
        wire.open_outcome("f", outcome, call.digest, KEYS)


# --- how many calls a batch has ------------------------------------------------------------------------------------


def test_calls_of_a_function_that_was_never_seen_go_alone() -> None:
    assert Experience().batch_calls() == 1


@given(st.lists(st.tuples(st.integers(0, 1000), st.floats(0, 100)), max_size=20))
def test_a_batch_has_at_most_twice_as_many_calls_as_were_ever_seen(runs: list[tuple[int, float]]) -> None:
    seen = Experience()
    for calls, seconds in runs:
        seen = seen.ran(calls, seconds)
    assert 1 <= seen.batch_calls() <= max(1, min(2 * seen.calls, policy.MAP_BATCH_CALLS))


@given(st.integers(1, 1000), st.floats(policy.MAP_BATCH_SECONDS, 1000))
def test_long_calls_go_alone(calls: int, seconds: float) -> None:
    assert Experience().ran(calls, calls * seconds).batch_calls() == 1


def test_a_few_slow_calls_end_big_batches_at_once() -> None:
    seen = Experience()
    for _ in range(10):
        seen = seen.ran(1000, 0.01)
    assert seen.batch_calls() == policy.MAP_BATCH_CALLS
    assert seen.ran(1, 1.0).batch_calls() == 1
