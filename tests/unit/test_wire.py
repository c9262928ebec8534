"""Calls, values and exceptions arrive as they were sent, or are refused before they are sent."""

from __future__ import annotations

import json
import threading
import tracemalloc
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpledist import wire
from simpledist.errors import RemoteTraceback, Undecodable, Unserialisable, WrongKey
from simpledist.wire.keyring import Keyring
from tests.ids import steady
from tests.sealing import (
    CODECS,
    KEY,
    KEYRINGS,
    NONE,
    open_call,
    outcome_of,
    seal_call,
    seal_outcome,
    sealed,
    thrown,
)

# --- the way there and back ------------------------------------------------------------------------------------------


@CODECS
@KEYRINGS
def test_a_call_arrives_as_it_was_made(codec: str, keyring: Keyring) -> None:
    call = sealed(codec, keyring)
    opened = open_call("fib@3", call.data, keyring)
    assert (opened.codec, opened.digest, opened.code) == (codec, call.digest, "0d9c1a7e55b20d9c")
    assert wire.decode_arguments(opened.codec, opened.body) == ((20,), {"k": "v"})
    assert wire.decode_arguments(opened.codec, bytes(opened.body)) == ((20,), {"k": "v"})


@CODECS
@KEYRINGS
def test_a_value_arrives_as_it_was_returned(codec: str, keyring: Keyring) -> None:
    call = sealed(codec, keyring)
    opened = wire.open_outcome("fib@3", outcome_of(call, keyring, codec=codec), call.digest, keyring)
    assert (opened.kind, opened.codec) == ("value", codec)
    assert wire.decode_outcome(opened) == wire.Value(6765)


@CODECS
@KEYRINGS
def test_an_exception_arrives_as_it_was_raised(codec: str, keyring: Keyring) -> None:
    call = sealed(codec, keyring)
    body, line = wire.encode_error(codec, thrown(ValueError("no", 3)))
    assert line == "ValueError: ('no', 3)"
    data = seal_outcome("fib@3", codec, "error", body, call.digest, keyring)
    opened = wire.open_outcome("fib@3", data, call.digest, keyring)
    raised = wire.decode_outcome(opened)
    assert isinstance(raised, wire.Raised)
    assert type(raised.exception) is ValueError
    assert raised.exception.args == ("no", 3)
    assert isinstance(raised.exception.__cause__, RemoteTraceback)
    assert "in thrown" in str(raised.exception.__cause__)


@KEYRINGS
@given(
    args=st.lists(st.integers() | st.text() | st.binary() | st.none()),
    kwargs=st.dictionaries(st.text(), st.floats(allow_nan=False)),
)
def test_any_arguments_arrive(keyring: Keyring, args: list[Any], kwargs: dict[str, Any]) -> None:
    call = seal_call("f", "pickle", tuple(args), kwargs, keyring)
    opened = open_call("f", call.data, keyring)
    assert wire.decode_arguments(opened.codec, opened.body) == (tuple(args), kwargs)


@pytest.mark.parametrize("code", ["", "-", "0d9c1a7e55b20d9c"])
def test_a_call_says_which_code_is_to_run_it(code: str) -> None:
    assert open_call("f", seal_call("f", "pickle", (1,), {}, KEY, code).data, KEY).code == code


# --- arguments and values --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [None, 5, [], [1], [[], [], []], ["ab", {}], [[], []], {"args": [], "kwargs": []}, {"args": []}]
)
@CODECS
def test_what_is_no_call_is_undecodable(codec: str, value: Any) -> None:
    with pytest.raises(Undecodable):
        wire.decode_arguments(codec, wire.encode_value(codec, value))


def test_json_calls_say_what_they_are_to_any_reader() -> None:
    opened = open_call("f", seal_call("f", "json", (1, "zwölf"), {"k": [None]}, NONE).data, NONE)
    assert json.loads(bytes(opened.body)) == {"args": [1, "zwölf"], "kwargs": {"k": [None]}}


@pytest.mark.parametrize(
    ("codec", "args"),
    [("json", ((1, 2),)), ("json", ({1: 2},)), ("json", (b"x",)), ("pickle", (threading.Lock(),)), ("yaml", (1,))],
    ids=steady,
)
def test_arguments_that_cannot_travel_are_unserialisable(codec: str, args: tuple[Any, ...]) -> None:
    with pytest.raises(Unserialisable):
        seal_call("f", codec, args, {}, KEY)


def test_big_values_are_not_copied_when_sealed_nor_when_opened() -> None:
    value = bytes(20_000_000)
    tracemalloc.start()
    try:
        call = seal_call("f", "pickle", (value,), {}, KEY)
        opened = open_call("f", call.data, KEY)
        outcome = seal_outcome("f", "pickle", "value", wire.encode_value("pickle", value), opened.digest, KEY)
        body = wire.open_outcome("f", outcome, call.digest, KEY).body
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(opened.body) > len(value) < len(body)
    assert peak < len(value) * 0.1


@pytest.mark.parametrize("array", [bytearray(1_000_000), numpy.zeros(1_000_000, dtype="uint8")], ids=["bytes", "numpy"])
def test_what_a_caller_may_change_after_submit_is_copied_and_one_who_waits_lends_it(array: Any) -> None:
    array[0] = 1
    kept, lent = (seal_call("f", "pickle", (array,), {}, KEY, lend=lend) for lend in (False, True))
    array[0] = 2
    args, _ = wire.decode_arguments("pickle", open_call("f", kept.data, KEY).body)
    assert args[0][0] == 1
    with pytest.raises(WrongKey):
        open_call("f", lent.data, KEY)
