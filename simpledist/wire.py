"""Bytes that travel: a call and its outcome, each in an envelope that is verified before anything in it is decoded.

    magic "SD" | version 1 | algorithm | key id 4 | direction | codec | kind | digest 16 | length 2, note | body | MAC 32

The MAC (keyed blake2b) covers every byte before it and the function's qualified name. A call's digest is that of its
function, codec and body; its result carries the same digest, so a result cannot be passed off as another call's, while
every attempt at the same call gives an interchangeable one. The client compares it with the digest that it made itself,
with or without a key. Knows no Redis and no process. The parent of a worker seals and opens, its children encode and
decode; the client does both.
"""

from __future__ import annotations

import builtins
import struct
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal, cast

from simpledist import serializers
from simpledist.errors import BadEnvelope, RemoteTraceback, Undecodable, Unserialisable, WrongKey
from simpledist.fingerprint import differs, fingerprint
from simpledist.signing import MAC_BYTES, Keyring

__all__ = [
    "OpenCall",
    "OpenOutcome",
    "Raised",
    "SealedCall",
    "Value",
    "decode_arguments",
    "decode_outcome",
    "differs",
    "encode_error",
    "encode_value",
    "fingerprint",
    "open_call",
    "open_outcome",
    "seal_call",
    "seal_outcome",
]

Kind = Literal["value", "error"]

_HEADER = struct.Struct(">2sBB4sccB16sH")
_MAGIC, _VERSION = b"SD", 1
_UNSIGNED, _BLAKE2B = 0, 1
_CALL, _RESULT = b"C", b"R"
_PERSON = {_CALL: b"sd1-call", _RESULT: b"sd1-result"}
_CODEC_IDS: dict[str, bytes] = {"pickle": b"p", "json": b"j"}
_CODECS = {id: codec for codec, id in _CODEC_IDS.items()}
_KINDS: tuple[Kind, Kind] = ("value", "error")
_DIGEST_BYTES = 16
TRACEBACK_CHARACTERS = 64 * 1024
ERROR_LINE_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class SealedCall:
    """A call ready to travel, and the digest that its result must carry."""

    data: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call whose envelope holds; `body` is still encoded, `fingerprint` is its client's."""

    codec: str
    body: memoryview
    digest: bytes
    fingerprint: str


@dataclass(frozen=True, slots=True)
class OpenOutcome:
    """An outcome whose envelope holds; `body` is still encoded."""

    kind: Kind
    codec: str
    body: bytes | memoryview


@dataclass(frozen=True, slots=True)
class Value:
    """The function returned this."""

    value: Any


@dataclass(frozen=True, slots=True)
class Raised:
    """The function raised this; its `__cause__` is the remote traceback."""

    exception: BaseException


# --- envelopes -------------------------------------------------------------------------------------------------------


def seal_call(
    function: str, codec: str, args: tuple[Any, ...], kwargs: dict[str, Any], keyring: Keyring, note: str = ""
) -> SealedCall:
    """A call's envelope; `note` is the fingerprint of the client's function. Raises Unserialisable."""
    arguments: Any = [list(args), kwargs] if codec == "json" else (args, kwargs)
    body = serializers.dumps(codec, arguments)
    digest = _digest(function, codec, body)
    return SealedCall(_seal(_CALL, function, codec, 0, digest, note, body, keyring), digest)


def open_call(function: str, data: bytes, keyring: Keyring) -> OpenCall:
    """Verify a call of `function`; WrongKey or BadEnvelope before anything is decoded."""
    codec, _, digest, note, body = _open(_CALL, function, data, keyring)
    if _digest(function, codec, body) != digest:
        raise BadEnvelope("the call's digest does not fit its body")
    return OpenCall(codec, body, digest, note)


def seal_outcome(function: str, codec: str, kind: Kind, body: bytes, digest: bytes, keyring: Keyring) -> bytes:
    """The envelope of an outcome of the call with this digest."""
    return _seal(_RESULT, function, codec, _KINDS.index(kind), digest, "", body, keyring)


def open_outcome(function: str, data: bytes, digest: bytes, keyring: Keyring) -> OpenOutcome:
    """Verify an outcome of the call with this digest; WrongKey or BadEnvelope before anything is decoded."""
    codec, kind, carried, _, body = _open(_RESULT, function, data, keyring)
    if carried != digest:
        raise BadEnvelope("the result is that of another call")
    if kind >= len(_KINDS):
        raise BadEnvelope("neither a value nor an error")
    return OpenOutcome(_KINDS[kind], codec, body)


def _digest(function: str, codec: str, body: bytes | memoryview) -> bytes:
    digest = blake2b(digest_size=_DIGEST_BYTES, person=b"sd1-digest")
    digest.update(_length_first(f"{function} {codec}"))
    digest.update(body)
    return digest.digest()


def _length_first(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">I", len(data)) + data


def _seal(
    direction: bytes, function: str, codec: str, kind: int, digest: bytes, note: str, body: bytes, keyring: Keyring
) -> bytes:
    algorithm = _BLAKE2B if keyring else _UNSIGNED
    extra = note.encode()[:0xFFFF]
    header = _HEADER.pack(
        _MAGIC, _VERSION, algorithm, keyring.signing_id, direction, _CODEC_IDS[codec], kind, digest, len(extra)
    )
    if not keyring:
        return b"".join((header, extra, body))
    mac = keyring.mac(_PERSON[direction], keyring.signing_id, _length_first(function), header, extra, body)
    return b"".join((header, extra, body, mac))


def _open(direction: bytes, function: str, data: bytes, keyring: Keyring) -> tuple[str, int, bytes, str, memoryview]:
    if len(data) < _HEADER.size:
        raise BadEnvelope("too short to be an envelope of ours")
    magic, version, algorithm, key_id, towards, codec_id, kind, digest, length = _HEADER.unpack_from(data)
    if magic != _MAGIC or version != _VERSION:
        raise BadEnvelope("not an envelope of this version of simpledist")
    view = memoryview(data)
    if algorithm == _BLAKE2B:
        if len(data) < _HEADER.size + length + MAC_BYTES:
            raise BadEnvelope("cut short")
        if not keyring:
            raise WrongKey("signed, and this process has no key: give it the same --secret-file")
        signed, mac = view[:-MAC_BYTES], bytes(view[-MAC_BYTES:])
        keyring.verify(_PERSON[direction], key_id, mac, _length_first(function), signed)
    elif algorithm == _UNSIGNED:
        if keyring:
            raise WrongKey("not signed, and this process has a key: give the other side the same --secret-file")
        signed = view
    else:
        raise BadEnvelope("signed by an unknown algorithm")
    if towards != direction:
        raise BadEnvelope("a call where a result is due, or the other way round")
    if codec_id not in _CODECS:
        raise BadEnvelope("an unknown codec")
    if len(signed) < _HEADER.size + length:
        raise BadEnvelope("cut short")
    try:
        note = bytes(signed[_HEADER.size : _HEADER.size + length]).decode()
    except UnicodeDecodeError:
        raise BadEnvelope("the note is not text") from None
    return _CODECS[codec_id], kind, digest, note, signed[_HEADER.size + length :]


# --- bodies ----------------------------------------------------------------------------------------------------------


def decode_arguments(codec: str, body: bytes | memoryview) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a verified call. Raises Undecodable."""
    arguments = serializers.loads(codec, body)
    try:
        args, kwargs = arguments
        return tuple(args), dict(kwargs)
    except (TypeError, ValueError):
        raise Undecodable("not the arguments of a call") from None


def encode_value(codec: str, value: Any) -> bytes:
    """What the function returned. Raises Unserialisable."""
    return serializers.dumps(codec, value)


def encode_error(codec: str, error: BaseException, frames_of_ours: int = 0) -> tuple[bytes, str]:
    """What the function raised, with its traceback, and one line of it for people.

    Raises Unserialisable for an exception that would not come back as the one that it is.
    """
    text = "".join(traceback.format_exception(type(error), error, _without(error, frames_of_ours)))
    text = text[-TRACEBACK_CHARACTERS:]
    line = " ".join(f"{type(error).__name__}: {_told(error)}".split())[:ERROR_LINE_CHARACTERS]
    body = _error_to_json(error, text) if codec == "json" else _error_to_pickle(error, text)
    return body, line


def decode_outcome(outcome: OpenOutcome) -> Value | Raised:
    """The outcome of a verified envelope. Raises Undecodable."""
    decoded = serializers.loads(outcome.codec, outcome.body)
    if outcome.kind == "value":
        return Value(decoded)
    error, text = _error_from_json(decoded) if outcome.codec == "json" else _error_from_pickle(decoded)
    error.__cause__ = RemoteTraceback(text)
    return Raised(error)


def _without(error: BaseException, frames: int) -> Any:
    trace = error.__traceback__
    for _ in range(frames):
        trace = trace.tb_next if trace is not None else None
    return trace


def _told(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001 - a user's __str__ may raise anything
        return f"(its text cannot be told: {type(broken).__name__})"


def _error_to_pickle(error: BaseException, text: str) -> bytes:
    notes = getattr(error, "__notes__", None)
    body = serializers.dumps("pickle", (error, notes, text))
    try:
        back = serializers.loads("pickle", body)[0]
    except Undecodable as broken:
        raise Unserialisable(f"{type(error).__name__} does not survive pickling: {broken}") from broken
    if type(back).__qualname__ != type(error).__qualname__ or not isinstance(back, BaseException):
        raise Unserialisable(f"{type(error).__name__} comes back as {type(back).__name__}")
    if len(back.args) != len(error.args) or _shape(back) != _shape(error):
        raise Unserialisable(f"{type(error).__name__} comes back with other arguments")
    return body


def _shape(error: BaseException) -> list[Any]:
    """The arguments as far as they can be compared: plain ones by value, others by type."""
    plain = (str, bytes, int, bool, type(None))
    return [arg if isinstance(arg, plain) else type(arg).__qualname__ for arg in error.args]


def _error_from_pickle(decoded: Any) -> tuple[BaseException, str]:
    try:
        error, notes, text = decoded
    except (TypeError, ValueError):
        raise Undecodable("not an exception") from None
    if not isinstance(error, BaseException) or not isinstance(text, str):
        raise Undecodable("not an exception")
    if notes and not getattr(error, "__notes__", None):
        cast(Any, error).__notes__ = list(notes)
    return error, text


def _error_to_json(error: BaseException, text: str) -> bytes:
    kind = type(error)
    if kind.__module__ != "builtins" or not issubclass(kind, Exception):
        raise Unserialisable(f"JSON: {kind.__qualname__} is not an exception of Python itself")
    body = {"type": kind.__name__, "args": list(error.args), "traceback": text}
    data = serializers.dumps("json", body)
    _error_from_json(serializers.loads("json", data))
    return data


def _error_from_json(decoded: Any) -> tuple[BaseException, str]:
    try:
        name, args, text = decoded["type"], decoded["args"], decoded["traceback"]
        kind = cast("Callable[..., BaseException] | None", vars(builtins).get(name))
        if not (isinstance(kind, type) and issubclass(kind, Exception) and isinstance(text, str)):
            raise Undecodable(f"{name!r} is not an exception of Python itself")
        return kind(*args), text
    except (TypeError, KeyError, ValueError) as error:
        raise Undecodable(f"not an exception: {error}") from error
