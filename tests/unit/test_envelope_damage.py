"""Damaged and forged envelopes are refused, and nothing in them is decoded before."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simpledist import wire
from simpledist.errors import BadEnvelope, Undecodable, WrongKey
from simpledist.wire.keyring import Keyring
from tests.sealing import (
    HEADER_BYTES,
    KEY,
    KEYRINGS,
    NONE,
    OTHER,
    open_call,
    outcome_of,
    seal_call,
    seal_outcome,
    sealed,
)

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
