"""Calls and outcomes sealed with keys and times that are the same in each test."""

from __future__ import annotations

from typing import Any

import pytest

from simpledist import wire
from simpledist.buffers import Data
from simpledist.wire.keyring import Keyring

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
    code: str = "",
    *,
    lend: bool = False,
    nonce: bytes = NONCE,
    sealed_at_ms: int = NOW_MS,
    address: bytes | None = None,
) -> wire.SealedCall:
    body = wire.encode_arguments(codec, args, kwargs, lend=lend)
    return wire.seal_call(function, codec, body, keyring, code, nonce=nonce, sealed_at_ms=sealed_at_ms, address=address)


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
    return seal_call(function, codec, args or (20,), {"k": "v"}, keyring, "0d9c1a7e55b20d9c")


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
