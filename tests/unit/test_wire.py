"""Calls and outcomes as bytes: what is bound to what, what is refused before decoding, how exceptions travel."""

from __future__ import annotations

import ast
import builtins
import contextlib
import json
import math
import re
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simpledist import wire
from simpledist.buffers import Data
from simpledist.errors import BadEnvelope, RemoteTraceback, StaleOutcome, Undecodable, Unserialisable, WrongKey
from simpledist.wire.signing import Keyring
from tests.ids import steady

KEY, OTHER, NONE = Keyring([b"1" * 32]), Keyring([b"2" * 32]), Keyring()
KEYRINGS = pytest.mark.parametrize("keyring", [KEY, NONE], ids=["key", "no key"])
CODECS = pytest.mark.parametrize("codec", ["pickle", "json"])

HEADER_BYTES = 38  # the smallest envelope: nothing but its header
NONCE = b"a nonce, 16 long"
NOW_MS = 1_800_000_000_000
DAY_MS = 24 * 3600 * 1000


def seal_call(
    function: str,
    codec: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    keyring: Keyring,
    fingerprint: str = "",
    *,
    lend: bool = False,
    nonce: bytes = NONCE,
    sealed_at_ms: int = NOW_MS,
    address: bytes | None = None,
) -> wire.SealedCall:
    body = wire.encode_arguments(codec, args, kwargs, lend=lend)
    return wire.seal_call(
        function, codec, body, keyring, fingerprint, nonce=nonce, sealed_at_ms=sealed_at_ms, address=address
    )


def open_call(function: str, data: Data, keyring: Keyring, now_ms: int = NOW_MS) -> wire.OpenCall:
    return wire.open_call(function, data, keyring, now_ms)


def seal_outcome(
    function: str,
    codec: str,
    kind: wire.Kind,
    body: Data,
    digest: bytes,
    keyring: Keyring,
    made_at_ms: int = NOW_MS,
) -> Data:
    return wire.seal_outcome(function, codec, kind, body, digest, keyring, made_at_ms)


def sealed(codec: str = "pickle", keyring: Keyring = KEY, function: str = "fib@3", *args: Any) -> wire.SealedCall:
    return seal_call(function, codec, args or (20,), {"k": "v"}, keyring, "m:fib/py3.11/aa")


def outcome_of(call: wire.SealedCall, keyring: Keyring = KEY, function: str = "fib@3", codec: str = "pickle") -> bytes:
    return bytes(seal_outcome(function, codec, "value", wire.encode_value(codec, 6765), call.digest, keyring))


def travelled(error: BaseException, codec: str = "pickle") -> BaseException:
    body, _ = wire.encode_error(codec, error)
    raised = wire.decode_outcome(wire.OpenOutcome("error", codec, body))
    assert isinstance(raised, wire.Raised)
    return raised.exception


def thrown(error: BaseException) -> BaseException:
    """`error` with a traceback, as a function gives it."""
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - it is the outcome
        return caught


# --- the way there and back ------------------------------------------------------------------------------------------


@CODECS
@KEYRINGS
def test_a_call_arrives_as_it_was_made(codec: str, keyring: Keyring) -> None:
    call = sealed(codec, keyring)
    opened = open_call("fib@3", call.data, keyring)
    assert (opened.codec, opened.digest, opened.fingerprint) == (codec, call.digest, wire.brief("m:fib/py3.11/aa"))
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


@pytest.mark.parametrize("text", ["", "m:grüße/py3.11/aa", "m:\ud800/py3.11/aa", "é" * 40_000 + "x", "x" * 70_000])
def test_a_strange_fingerprint_never_spoils_a_call(text: str) -> None:
    opened = open_call("f", seal_call("f", "pickle", (1,), {}, KEY, text).data, KEY)
    assert opened.fingerprint == wire.brief(text)
    assert len(opened.fingerprint) in (0, 9)


# --- what is bound to what -------------------------------------------------------------------------------------------


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


def test_a_chunk_holds_code_where_one_of_its_calls_does() -> None:
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


# --- damage ----------------------------------------------------------------------------------------------------------


def opener(is_call: bool, digest: bytes, keyring: Keyring) -> Callable[[bytes], object]:
    """What the receiver does with such bytes."""
    if is_call:
        return lambda data: open_call("fib@3", data, keyring)
    return lambda data: wire.open_outcome("fib@3", data, digest, keyring)


@given(st.data())
@settings(max_examples=300)
def test_no_changed_byte_gets_past_a_key(draw: st.DataObject) -> None:
    call = sealed()
    data, is_call = draw.draw(st.sampled_from([(bytes(call.data), True), (outcome_of(call), False)]))
    changed = bytearray(data)
    changed[draw.draw(st.integers(0, len(data) - 1))] ^= draw.draw(st.integers(1, 255))
    opens = opener(is_call, call.digest, KEY)
    with pytest.raises(BadEnvelope):
        opens(bytes(changed))


def test_nothing_cut_short_gets_past_a_key() -> None:
    call = sealed()
    for length in range(len(call.data)):
        with pytest.raises(BadEnvelope):
            open_call("fib@3", bytes(call.data)[:length], KEY)


def test_without_a_key_the_outcome_of_a_call_that_was_cut_short_is_that_of_another() -> None:
    call = sealed(keyring=NONE)
    for length in range(len(call.data)):
        with contextlib.suppress(BadEnvelope):
            assert open_call("fib@3", bytes(call.data)[:length], NONE).digest != call.digest


def test_no_outcome_cut_short_or_made_longer_gets_past_a_key() -> None:
    call = sealed()
    data = outcome_of(call)
    for length in range(len(data)):
        with pytest.raises(BadEnvelope):
            wire.open_outcome("fib@3", data[:length], call.digest, KEY)
    with pytest.raises(BadEnvelope):
        wire.open_outcome("fib@3", data + b"\0", call.digest, KEY)


@given(st.data())
@settings(max_examples=300)
def test_without_a_key_damage_to_a_call_is_a_bad_envelope_or_makes_its_outcome_one(draw: st.DataObject) -> None:
    call = sealed(keyring=NONE)
    changed = bytearray(bytes(call.data))
    changed[draw.draw(st.integers(0, len(changed) - 1))] ^= draw.draw(st.integers(1, 255))
    try:
        opened = open_call("fib@3", bytes(changed), NONE)
    except (BadEnvelope, Undecodable):
        return
    if opened.digest == call.digest:
        assert wire.decode_arguments(opened.codec, opened.body) == ((20,), {"k": "v"})


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda rest: b"SD\x02" + rest))
@settings(max_examples=300)
@KEYRINGS
def test_foreign_bytes_are_a_bad_envelope(keyring: Keyring, data: bytes) -> None:
    with pytest.raises(BadEnvelope):
        open_call("fib@3", data, keyring)
    with pytest.raises(BadEnvelope):
        wire.open_outcome("fib@3", data, b"0" * 16 + b"p", keyring)


@pytest.mark.parametrize(
    ("at", "byte"),
    [(0, b"X"), (2, b"\x01"), (3, b"\x07"), (8, b"X"), (9, b"x"), (10, b"\x07"), (36, b"\xff")],
    ids=["magic", "version", "algorithm", "direction", "codec", "kind", "length of the note"],
)
def test_each_field_of_a_header_is_checked(at: int, byte: bytes) -> None:
    call = sealed(keyring=NONE)
    for data, opens in (
        (bytes(call.data), opener(True, call.digest, NONE)),
        (outcome_of(call, NONE), opener(False, call.digest, NONE)),
    ):
        opens(data)
        with pytest.raises(BadEnvelope):
            opens(data[:at] + byte + data[at + 1 :])


def test_the_header_has_the_size_that_the_docs_say() -> None:
    assert len(seal_outcome("f", "pickle", "value", b"", b"0" * 17, NONE)) == HEADER_BYTES
    assert len(seal_outcome("f", "pickle", "value", b"", b"0" * 17, KEY)) == HEADER_BYTES + 32


# --- nothing is decoded before it is verified ------------------------------------------------------------------------


class Bomb:
    """Its pickle makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_bomb_goes_off_where_it_is_honestly_signed_so_that_the_next_tests_mean_something(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    opened = open_call("f", seal_call("f", "pickle", (Bomb(canary),), {}, KEY).data, KEY)
    assert not canary.exists(), "opening decodes nothing"
    wire.decode_arguments(opened.codec, opened.body)
    assert canary.exists()


@pytest.mark.parametrize("keyring", [OTHER, NONE], ids=["other key", "no key"])
def test_a_bomb_that_our_keys_did_not_sign_is_never_unpickled(tmp_path: Path, keyring: Keyring) -> None:
    canary = tmp_path / "canary"
    forged = seal_call("f", "pickle", (Bomb(canary),), {}, keyring)
    with pytest.raises(WrongKey):
        open_call("f", forged.data, KEY)
    for kind in ("value", "error"):
        answer = seal_outcome("f", "pickle", kind, wire.encode_value("pickle", Bomb(canary)), forged.digest, keyring)
        with pytest.raises(WrongKey):
            wire.decode_outcome(wire.open_outcome("f", answer, forged.digest, KEY))
    assert not canary.exists()


@KEYRINGS
def test_a_bomb_in_the_outcome_of_another_call_is_never_unpickled(tmp_path: Path, keyring: Keyring) -> None:
    canary = tmp_path / "canary"
    mine, other = seal_call("f", "pickle", (1,), {}, keyring), seal_call("f", "pickle", (2,), {}, keyring)
    answer = seal_outcome("f", "pickle", "value", wire.encode_value("pickle", Bomb(canary)), other.digest, keyring)
    with pytest.raises(BadEnvelope):
        wire.decode_outcome(wire.open_outcome("f", answer, mine.digest, keyring))
    assert not canary.exists()


@KEYRINGS
def test_a_client_that_speaks_json_never_unpickles_an_answer_to_its_own_call(tmp_path: Path, keyring: Keyring) -> None:
    canary = tmp_path / "canary"
    call = seal_call("f", "json", (1,), {}, keyring)
    forged = seal_outcome("f", "pickle", "value", wire.encode_value("pickle", Bomb(canary)), call.digest, keyring)
    with pytest.raises(BadEnvelope):
        wire.decode_outcome(wire.open_outcome("f", forged, call.digest, keyring))
    # The same with the digest as a forger who reads Redis would write it.
    forged = seal_outcome(
        "f", "pickle", "value", wire.encode_value("pickle", Bomb(canary)), call.digest[:-1] + b"p", keyring
    )
    with pytest.raises(BadEnvelope):
        wire.decode_outcome(wire.open_outcome("f", forged, call.digest, keyring))
    assert not canary.exists()


def test_an_honest_peer_may_not_send_json_what_is_a_pickle(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    body = wire.encode_value("pickle", Bomb(canary))
    for outcome in (wire.OpenOutcome("value", "json", body), wire.OpenOutcome("error", "json", body)):
        with pytest.raises(Undecodable):
            wire.decode_outcome(outcome)
    with pytest.raises(Undecodable):
        wire.decode_arguments("json", body)
    assert not canary.exists()


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


# --- exceptions ------------------------------------------------------------------------------------------------------


class Plain(Exception):
    pass


class Trap(Exception):
    """The classic: its __init__ wants other arguments than it passes on."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code, self.reason = code, reason


class Rewriter(Exception):
    """Comes back without an error, and changed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no such {name}")


class Careful(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code, self.reason = code, reason

    def __reduce__(self) -> tuple[Any, ...]:
        return Careful, (self.code, self.reason)


class Disguised(Exception):
    def __reduce__(self) -> tuple[Any, ...]:
        return ValueError, self.args


class NoException(Exception):
    def __reduce__(self) -> tuple[Any, ...]:
        return str, ("not an exception",)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class EvilArgs(Exception):
    @property
    def args(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no args")


class Opaque:
    """Equal to nothing, not even to itself; its text holds its address."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not comparable")

    __hash__ = object.__hash__


def ordinary() -> list[BaseException]:
    return [
        Plain(),
        Plain("text"),
        Plain(math.nan, -0.0, 1j),
        Plain([1, {"a": (2.5, None)}], {3, 4}, b"x"),
        Plain(Opaque(), object()),
        Plain([Opaque()], {"k": Opaque()}),
        KeyError("missing"),
        StopIteration(5),
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        OSError(2, "No such file", "name"),
        FileNotFoundError(2, "No such file", "a", None, "b"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "why"),
        SyntaxError("bad", ("f.py", 1, 2, "text")),
        RecursionError("deep"),
        Careful(5, "why"),
        Plain(ValueError("inner", [1])),
        Plain("\ud800"),
        Plain("x" * 1_000_000),
        Unspeakable("x"),
        Plain(Plain),
    ]


@pytest.mark.parametrize("error", ordinary(), ids=lambda error: type(error).__name__)
def test_ordinary_exceptions_travel(error: BaseException) -> None:
    back = travelled(thrown(error))
    assert type(back) is type(error)
    assert len(back.args) == len(error.args)
    assert [type(arg) for arg in back.args] == [type(arg) for arg in error.args]
    assert isinstance(back.__cause__, RemoteTraceback)


def test_attributes_travel_with_their_exception() -> None:
    error: Any = Plain("x")
    error.code = 7
    assert travelled(error).code == 7  # type: ignore[attr-defined]
    back = travelled(Careful(5, "why"))
    assert (back.code, back.reason) == (5, "why")  # type: ignore[attr-defined]
    assert travelled(OSError(2, "No such file", "name")).filename == "name"  # type: ignore[attr-defined]


class Chained(Exception):
    pass


def with_attribute(value: Any) -> BaseException:
    error: Any = Plain("x")
    error.attribute = value
    return error


@pytest.mark.parametrize(
    "error",
    [
        Trap(5, "why"),
        Rewriter("file"),
        Disguised("x"),
        NoException("x"),
        EvilArgs("x"),
        with_attribute(threading.Lock()),
        Plain(threading.Lock()),
        Plain(x for x in ()),
        Plain(Trap(5, "why")),
        Plain([Rewriter("file")]),
    ],
    ids=steady,
)
def test_an_exception_that_would_come_back_as_another_does_not_travel(error: BaseException) -> None:
    with pytest.raises(Unserialisable):
        wire.encode_error("pickle", thrown(error))


_group: Any = getattr(builtins, "ExceptionGroup", None)


@pytest.mark.skipif(_group is None, reason="groups came with Python 3.11")
def test_groups_travel_and_their_members_are_looked_at_too() -> None:
    group: Any = thrown(_group("many", [ValueError(1), _group("inner", [Plain(2)])]))
    back: Any = travelled(group)
    assert type(back) is type(group)
    assert (back.message, [type(one) for one in back.exceptions]) == ("many", [ValueError, type(group)])
    assert back.exceptions[1].exceptions[0].args == (2,)
    with pytest.raises(Unserialisable):
        wire.encode_error("pickle", _group("many", [Trap(5, "why")]))
    with pytest.raises(Unserialisable):
        wire.encode_error("pickle", _group("many", [Rewriter("file")]))


def test_a_chain_of_five_hundred_causes_travels_whole_with_the_text_below() -> None:
    error: BaseException = ValueError("the first")
    for number in range(500):
        try:
            raise Chained(number) from error
        except Chained as caught:
            error = caught
    back: BaseException | None = travelled(error)
    for number in reversed(range(500)):
        assert isinstance(back, Chained)
        assert back.args == (number,)
        back = back.__cause__
    assert isinstance(back, ValueError)
    assert isinstance(back.__cause__, RemoteTraceback)
    assert "the first" in back.__cause__.text
    assert "499" in back.__cause__.text
    assert back.__cause__.__cause__ is None


@pytest.mark.parametrize("link", ["__cause__", "__context__"])
def test_an_exception_does_not_travel_without_what_led_to_it(link: str) -> None:
    error = Plain("outer")
    setattr(error, link, Trap(5, "inner"))
    with pytest.raises(Unserialisable):
        wire.encode_error("pickle", thrown(error))


def test_an_exception_that_holds_itself_or_nests_without_end_does_not_hang() -> None:
    cyclic = Plain("x")
    cyclic.args = ([cyclic, cyclic], [cyclic, cyclic])
    assert len(travelled(cyclic).args) == 2
    deep: Any = []
    for _ in range(200_000):
        deep = [deep]
    with pytest.raises(Unserialisable):
        wire.encode_error("pickle", Plain(deep))


def test_a_function_that_recurses_without_end_gives_its_recursion_error() -> None:
    def endless(n: int) -> int:
        return endless(n + 1)

    with pytest.raises(RecursionError) as raised:
        endless(0)
    back = travelled(raised.value)
    assert type(back) is RecursionError
    assert "in endless" in str(back.__cause__)


@CODECS
def test_notes_travel(codec: str) -> None:
    error: Any = ValueError("x")
    error.__notes__ = ["first", "second\nline"]
    back: Any = travelled(error, codec)
    assert back.__notes__ == ["first", "second\nline"]


@pytest.mark.parametrize("notes", [5, "text", [1, 2], None, [Opaque()]], ids=steady)
def test_strange_notes_harm_nobody(notes: Any) -> None:
    error: Any = ValueError("x")
    error.__notes__ = notes
    assert travelled(error).args == ("x",)


def test_frames_of_ours_are_not_in_the_text() -> None:
    text = str(travelled(thrown(ValueError("x"))).__cause__)
    assert "in thrown" in text
    body, _ = wire.encode_error("pickle", thrown(ValueError("x")), 1)
    raised = wire.decode_outcome(wire.OpenOutcome("error", "pickle", body))
    assert isinstance(raised, wire.Raised)
    assert "in thrown" not in str(raised.exception.__cause__)
    assert "ValueError: x" in str(raised.exception.__cause__)
    wire.encode_error("pickle", ValueError("never raised"), 5)


@CODECS
def test_long_tracebacks_are_cut_in_their_middle(codec: str) -> None:
    body, line = wire.encode_error(codec, thrown(ValueError("x" * 200_000 + "end")))
    raised = wire.decode_outcome(wire.OpenOutcome("error", codec, body))
    assert isinstance(raised, wire.Raised)
    text = str(raised.exception.__cause__).strip()
    assert 60_000 < len(text) <= 64 * 1024
    assert text.startswith("Traceback")
    assert text.endswith("end")
    assert len(line) <= 300


@pytest.mark.parametrize("text", ["two\nlines", "\ud800 half", "\x1b[31m red \x00", "x" * 10_000, ""])
def test_the_line_for_people_is_one_short_line_that_can_be_sent(text: str) -> None:
    _, line = wire.encode_error("pickle", Plain(text))
    line.encode()
    assert line.isprintable()
    assert len(line) <= 300
    assert line.startswith("Plain:")


def test_a_traceback_that_mentions_main_needs_no_cloudpickle() -> None:
    program = (
        "import sys\nfrom simpledist import wire\n"
        "try: exec(compile('1/0', '__main__', 'exec'))\n"
        "except ZeroDivisionError as error: body, _ = wire.encode_error('pickle', error)\n"
        "assert b'__main__' in body\n"
        "assert 'cloudpickle' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


FOREIGN = """
import sys, types
from simpledist import wire
module = types.ModuleType("only_on_the_worker")
sys.modules[module.__name__] = module
exec("class Special(Exception): pass", module.__dict__)
sys.stdout.buffer.write(wire.encode_error("pickle", module.Special("x"))[0])
"""


def test_an_exception_of_a_module_that_only_the_worker_has_is_undecodable() -> None:
    body = subprocess.check_output([sys.executable, "-c", FOREIGN], timeout=30)
    with pytest.raises(Undecodable, match="only_on_the_worker"):
        wire.decode_outcome(wire.OpenOutcome("error", "pickle", body))


RAISER = """
import sys
from simpledist import wire
function = wire.decode_arguments("pickle", sys.stdin.buffer.read())[0][0]
try: function()
except Exception as error: sys.stdout.buffer.write(wire.encode_error("pickle", error)[0])
"""

CATCHER = """
import subprocess, sys
from simpledist import wire

class Mine(Exception):
    def __init__(self, code): super().__init__(code); self.code = code

def function(): raise Mine(5)

body = wire.encode_arguments("pickle", (function,))
worker = subprocess.run([sys.executable, "-c", sys.argv[1]], input=bytes(body), stdout=subprocess.PIPE, check=True)
try: raise wire.decode_outcome(wire.OpenOutcome("error", "pickle", worker.stdout)).exception
except Mine as error: assert error.code == 5 and "in function" in str(error.__cause__)
"""


def test_an_exception_class_of_main_can_be_caught_where_it_comes_from() -> None:
    subprocess.run([sys.executable, "-c", CATCHER, RAISER], check=True, timeout=60)


# --- exceptions in json ----------------------------------------------------------------------------------------------


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


# --- the package -----------------------------------------------------------------------------------------------------


def test_every_package_is_in_the_wheel() -> None:
    root = Path(__file__).parents[2]
    written = re.search(r"^packages = (\[.*?\])", (root / "pyproject.toml").read_text(), re.DOTALL | re.MULTILINE)
    assert written
    listed: list[str] = ast.literal_eval(written[1])
    folders = {path.parent.relative_to(root) for path in (root / "simpledist").rglob("__init__.py")}
    assert {".".join(folder.parts) for folder in folders} <= set(listed)
