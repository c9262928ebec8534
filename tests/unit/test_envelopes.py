"""What an envelope binds together: a call to its function, key, namespace and time, an outcome to its call."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from simpledist import wire
from simpledist.errors import BadEnvelope, StaleOutcome, Undecodable, WrongKey
from simpledist.wire.keyring import Keyring
from tests.sealing import (
    DAY_MS,
    KEY,
    KEYRINGS,
    NONCE,
    NONE,
    NOW_MS,
    OTHER,
    open_call,
    outcome_of,
    seal_call,
    seal_outcome,
    sealed,
)


def test_every_attempt_at_a_call_has_its_digest_and_an_interchangeable_outcome() -> None:
    first = seal_call("fib@3", "pickle", (20,), {}, KEY)
    again = seal_call("fib@3", "pickle", (20,), {}, KEY, sealed_at_ms=NOW_MS + DAY_MS)
    assert first.digest == again.digest
    assert first.data != again.data
    assert wire.open_outcome("fib@3", outcome_of(again), first.digest, KEY).kind == "value"


@KEYRINGS
def test_the_outcome_of_an_equal_call_made_earlier_is_refused(keyring: Keyring) -> None:
    earlier = seal_call("fib@3", "pickle", (20,), {}, keyring, nonce=wire.nonce())
    mine = seal_call("fib@3", "pickle", (20,), {}, keyring, nonce=wire.nonce())
    with pytest.raises(BadEnvelope, match="another call"):
        wire.open_outcome("fib@3", outcome_of(earlier, keyring), mine.digest, keyring)


def test_what_another_namespace_signed_with_the_same_key_is_refused() -> None:
    here, there = Keyring([b"1" * 32], "here"), Keyring([b"1" * 32], "there")
    call = sealed(keyring=there)
    assert open_call("fib@3", call.data, there)
    with pytest.raises(WrongKey, match="namespace"):
        open_call("fib@3", call.data, here)
    with pytest.raises(WrongKey, match="namespace"):
        wire.open_outcome("fib@3", outcome_of(call, there), call.digest, here)


def test_a_namespace_and_a_function_cannot_be_cut_in_another_place() -> None:
    call = seal_call("bfib", "pickle", (20,), {}, Keyring([b"1" * 32], "a"))
    with pytest.raises(WrongKey):
        open_call("fib", call.data, Keyring([b"1" * 32], "ab"))


def test_a_process_that_decodes_no_pickle_opens_none_whose_call_fits() -> None:
    keyring = Keyring(pickles=False)
    call = seal_call("fib@3", "pickle", (20,), {}, keyring)
    with pytest.raises(WrongKey, match="decodes none"):
        wire.open_outcome("fib@3", outcome_of(call, keyring), call.digest, keyring)
    with pytest.raises(WrongKey, match="decodes none"):
        open_call("fib@3", call.data, keyring)


OTHER_MINOR = f"3.{sys.version_info.minor + 1}"


def test_a_call_with_code_of_another_python_is_refused_before_it_is_decoded() -> None:
    body = wire.encode_arguments("pickle", (lambda: 1,))
    assert wire.python_of(body) == f"3.{sys.version_info.minor}"
    assert wire.python_of(wire.encode_arguments("pickle", (1, "text", ValueError))) == ""
    mine, theirs = (
        wire.seal_call("f", "pickle", body, KEY, nonce=NONCE, sealed_at_ms=NOW_MS, python=python)
        for python in (wire.python_of(body), OTHER_MINOR)
    )
    assert open_call("f", mine.data, KEY).digest == mine.digest == theirs.digest
    with pytest.raises(Undecodable, match=f"code of Python {OTHER_MINOR}, which Python 3"):
        open_call("f", theirs.data, KEY)
    with pytest.raises(WrongKey):
        open_call("f", theirs.data, OTHER)


def test_a_batch_holds_code_where_one_of_its_calls_does() -> None:
    calls: list[tuple[Any, ...]] = [(1,), ("text" * 10,), (b"c\x03\x0bno code",)]
    assert wire.python_of_calls("pickle", wire.encode_calls("pickle", calls)) == ""
    several = [*calls, ([1],)]  # which are not encoded together
    assert wire.python_of_calls("pickle", wire.encode_calls("pickle", several)) == ""
    several.append((lambda: 1,))
    assert wire.python_of_calls("pickle", wire.encode_calls("pickle", several)) == f"3.{sys.version_info.minor}"
    assert wire.python_of_calls("json", wire.encode_calls("json", calls[:2])) == ""


@pytest.mark.parametrize("address", [None, b"sixteen bytes it"])
def test_a_call_older_than_a_day_is_refused_and_one_from_the_future_is_not(address: bytes | None) -> None:
    call = seal_call("fib@3", "pickle", (20,), {}, KEY, address=address)
    for now_ms in (0, NOW_MS - DAY_MS, NOW_MS, NOW_MS + DAY_MS):
        assert open_call("fib@3", call.data, KEY, now_ms).digest == call.digest
    with pytest.raises(BadEnvelope, match="24 hours"):
        open_call("fib@3", call.data, KEY, NOW_MS + DAY_MS + 1)


def test_an_outcome_that_others_may_have_is_accepted_from_a_time_on() -> None:
    address = b"sixteen bytes it"
    call = seal_call("fib@3", "pickle", (20,), {}, KEY, address=address)
    assert call.digest[:16] == open_call("fib@3", call.data, KEY).digest[:16] == address
    outcome = outcome_of(call)
    for not_before_ms in (0, NOW_MS - 1, NOW_MS):
        assert wire.open_outcome("fib@3", outcome, call.digest, KEY, not_before_ms).kind == "value"
    with pytest.raises(StaleOutcome):
        wire.open_outcome("fib@3", outcome, call.digest, KEY, NOW_MS + 1)


@pytest.mark.parametrize(
    "other",
    [
        seal_call("fib", "pickle", (20,), {"k": "v"}, KEY),
        seal_call("fib@4", "pickle", (20,), {"k": "v"}, KEY),
        seal_call("fib@3", "json", (20,), {"k": "v"}, KEY),
        seal_call("fib@3", "pickle", (21,), {"k": "v"}, KEY),
        seal_call("fib@3", "pickle", (20,), {"k": "w"}, KEY),
    ],
)
@KEYRINGS
def test_the_outcome_of_another_call_is_refused_with_and_without_a_key(
    other: wire.SealedCall, keyring: Keyring
) -> None:
    mine = sealed(keyring=keyring)
    assert other.digest != mine.digest
    with pytest.raises(BadEnvelope, match="another call"):
        wire.open_outcome("fib@3", outcome_of(other, keyring), mine.digest, keyring)


def test_a_call_under_another_name_is_refused_with_a_key_and_its_outcome_without_one() -> None:
    with pytest.raises(WrongKey):
        open_call("fib@4", sealed().data, KEY)
    call = sealed(keyring=NONE)
    elsewhere = open_call("fib@4", call.data, NONE)
    answer = outcome_of(call._replace(digest=elsewhere.digest), NONE, "fib@4")
    with pytest.raises(BadEnvelope, match="another call"):
        wire.open_outcome("fib@4", answer, call.digest, NONE)


def test_an_outcome_is_refused_under_another_name() -> None:
    call = sealed()
    with pytest.raises(WrongKey):
        wire.open_outcome("fib@4", outcome_of(call), call.digest, KEY)


@KEYRINGS
def test_a_call_is_no_outcome_and_an_outcome_no_call(keyring: Keyring) -> None:
    call = sealed(keyring=keyring)
    with pytest.raises(BadEnvelope):
        wire.open_outcome("fib@3", call.data, call.digest, keyring)
    with pytest.raises(BadEnvelope):
        open_call("fib@3", outcome_of(call, keyring), keyring)


def test_a_process_with_a_key_refuses_what_is_unsigned() -> None:
    call = sealed(keyring=NONE)
    with pytest.raises(WrongKey, match="not signed"):
        open_call("fib@3", call.data, KEY)
    with pytest.raises(WrongKey, match="not signed"):
        wire.open_outcome("fib@3", outcome_of(call, NONE), call.digest, KEY)


def test_a_process_with_a_key_refuses_the_keys_of_others() -> None:
    call = sealed(keyring=OTHER)
    with pytest.raises(WrongKey, match="not ours"):
        open_call("fib@3", call.data, KEY)
    with pytest.raises(WrongKey, match="not ours"):
        wire.open_outcome("fib@3", outcome_of(call, OTHER), call.digest, KEY)


def test_a_process_without_a_key_refuses_what_is_signed() -> None:
    call = sealed()
    with pytest.raises(WrongKey, match="no key"):
        open_call("fib@3", call.data, NONE)
    with pytest.raises(WrongKey, match="no key"):
        wire.open_outcome("fib@3", outcome_of(call), call.digest, NONE)


def test_while_keys_rotate_both_sides_understand_each_other() -> None:
    both = Keyring([b"2" * 32, b"1" * 32])
    call = sealed(keyring=KEY)
    opened = open_call("fib@3", call.data, both)
    answer = outcome_of(call, both)
    assert wire.open_outcome("fib@3", answer, opened.digest, both)
    with pytest.raises(WrongKey):
        wire.open_outcome("fib@3", answer, call.digest, KEY)


@KEYRINGS
def test_a_call_says_how_long_it_may_run_and_any_attempt_fits_it_all_the_same(keyring: Keyring) -> None:
    body = wire.encode_arguments("pickle", (20,))
    for code, packages in (("", ""), ("-", ""), ("0d9c1a7e55b20d9c", ""), ("0d9c1a7e55b20d9c", "a:b")):
        with_end, without = (
            wire.seal_call(
                "fib", "pickle", body, keyring, code, nonce=NONCE, sealed_at_ms=NOW_MS, packages=packages, hard_ms=ms
            )
            for ms in (1500, 0)
        )
        opened = open_call("fib", with_end.data, keyring)
        assert (opened.hard_ms, opened.code, opened.packages) == (1500, code, packages)
        assert opened._replace(hard_ms=0) == open_call("fib", without.data, keyring)
        assert wire.open_outcome("fib", outcome_of(with_end, keyring, "fib"), without.digest, keyring).kind == "value"
    ended = wire.open_outcome(
        "fib", seal_outcome("fib", "pickle", "timed_out", b"", with_end.digest, keyring), with_end.digest, keyring
    )
    assert ended.kind == "timed_out"
    with pytest.raises(Undecodable):
        wire.decode_outcome(ended)
