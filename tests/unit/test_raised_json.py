"""Exceptions as JSON: those of Python itself and no others; damaged ones are undecodable."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpledist import wire
from simpledist.errors import Undecodable, Unserialisable
from tests.ids import steady
from tests.sealing import (
    CODECS,
    thrown,
    travelled,
)
from tests.unit.odd_exceptions import (
    Plain,
    with_attribute,
)


@pytest.mark.parametrize(
    "error", [ValueError("x", 1, None, [1.5]), KeyError(), ZeroDivisionError("by zero"), UserWarning("x")]
)
def test_exceptions_of_python_itself_travel_in_json(error: Exception) -> None:
    back = travelled(error, "json")
    assert type(back) is type(error)
    assert back.args == error.args


def test_json_exceptions_say_what_they_are_to_any_reader() -> None:
    body = json.loads(wire.encode_error("json", thrown(ValueError("x", 1)))[0])
    assert body.pop("traceback").startswith("Traceback")
    assert body == {"type": "builtins.ValueError", "args": ["x", 1]}


class Impostor(Exception):
    __module__ = "builtins"
    __qualname__ = "ValueError"


@pytest.mark.parametrize(
    "error",
    [
        Plain("x"),
        Impostor("x"),
        ValueError((1, 2)),
        ValueError(b"x"),
        SystemExit(3),
        KeyboardInterrupt(),
        FileNotFoundError(2, "No such file", "name"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "why"),
        with_attribute(1),
    ],
    ids=steady,
)
def test_json_refuses_exceptions_that_it_would_change(error: BaseException) -> None:
    with pytest.raises(Unserialisable):
        wire.encode_error("json", error)


@pytest.mark.parametrize(
    "body",
    [
        {"type": "builtins.SystemExit", "args": [], "traceback": ""},
        {"type": "builtins.KeyboardInterrupt", "args": [], "traceback": ""},
        {"type": "builtins.eval", "args": ["1"], "traceback": ""},
        {"type": "builtins.object", "args": [], "traceback": ""},
        {"type": "builtins.NoSuchError", "args": [], "traceback": ""},
        {"type": "ValueError", "args": [], "traceback": ""},
        {"type": "os.error", "args": [], "traceback": ""},
        {"type": "subprocess.CalledProcessError", "args": [1, "x"], "traceback": ""},
        {"type": "builtins.UnicodeDecodeError", "args": [], "traceback": ""},
        {"type": ["builtins.ValueError"], "args": [], "traceback": ""},
        {"type": "builtins.ValueError", "args": "text", "traceback": ""},
        {"type": "builtins.ValueError", "args": [], "traceback": 5},
        {"type": "builtins.ValueError", "args": [], "traceback": "", "notes": 5},
        {"type": "builtins.ValueError", "args": []},
        [],
        None,
        5,
    ],
    ids=lambda body: json.dumps(body)[:60],
)
def test_json_makes_nothing_but_exceptions_of_python_itself(body: Any) -> None:
    with pytest.raises(Undecodable):
        wire.decode_outcome(wire.OpenOutcome("error", "json", json.dumps(body).encode()))


@given(st.binary(max_size=60))
@CODECS
def test_damaged_exceptions_are_undecodable(codec: str, body: bytes) -> None:
    with pytest.raises(Undecodable):
        wire.decode_outcome(wire.OpenOutcome("error", codec, body))


@pytest.mark.parametrize("value", [5, (ValueError("x"),), ("text", []), (ValueError("x"), 5), (ValueError, [])])
def test_a_pickle_of_something_else_is_no_exception(value: Any) -> None:
    with pytest.raises(Undecodable):
        wire.decode_outcome(
            wire.OpenOutcome("error", "pickle", b"\0\0\0\0" + bytes(wire.encode_value("pickle", value)))
        )
