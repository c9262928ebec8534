"""The envelope: what is signed, what is checked, and in which order.

    "SD" | version 1 | algorithm | key id 4 | direction | codec | kind | digest 16 | length 2, note | body | MAC 32

The MAC (keyed blake2b) covers every byte before it and the function's qualified name. A call's digest is that of its
function, codec and body; its result carries the same digest, so a result cannot be passed off as another call's, while
every attempt at the same call gives an interchangeable one. The client compares it with the digest that it made itself,
with or without a key. What callers hold as a digest ends with the call's codec, so that nobody can answer a client that
speaks JSON with a pickle. Bodies are opaque here, but for that of a new call.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

from simpledist import serializers
from simpledist.errors import BadEnvelope, WrongKey
from simpledist.signing import MAC_BYTES, Keyring

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
_NOTE_BYTES = 1024


@dataclass(frozen=True, slots=True)
class SealedCall:
    """A call ready to travel, and what its result must carry (opaque to callers)."""

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


def seal_call(
    function: str, codec: str, args: tuple[Any, ...], kwargs: dict[str, Any], keyring: Keyring, fingerprint: str = ""
) -> SealedCall:
    """A call's envelope; `fingerprint` is that of the client's function. Raises Unserialisable."""
    arguments: Any = {"args": list(args), "kwargs": kwargs} if codec == "json" else (args, kwargs)
    body = serializers.dumps(codec, arguments)
    digest = _digest(function, codec, body)
    note = fingerprint.encode("utf-8", "replace")
    # Advisory: better none than half of one.
    note = note if len(note) <= _NOTE_BYTES else b""
    return SealedCall(_seal(_CALL, function, codec, 0, digest, note, body, keyring), digest + _CODEC_IDS[codec])


def open_call(function: str, data: bytes, keyring: Keyring) -> OpenCall:
    """Verify a call of `function`; WrongKey or BadEnvelope before anything is decoded."""
    codec, kind, digest, note, body = _open(_CALL, function, data, keyring)
    if kind != 0:
        raise BadEnvelope("a call of an unknown kind")
    if _digest(function, codec, body) != digest:
        raise BadEnvelope("the call's digest does not fit its body")
    return OpenCall(codec, body, digest + _CODEC_IDS[codec], note)


def seal_outcome(function: str, codec: str, kind: Kind, body: bytes, digest: bytes, keyring: Keyring) -> bytes:
    """The envelope of an outcome of the call with this digest."""
    return _seal(_RESULT, function, codec, _KINDS.index(kind), digest[:_DIGEST_BYTES], b"", body, keyring)


def open_outcome(function: str, data: bytes, digest: bytes, keyring: Keyring) -> OpenOutcome:
    """Verify an outcome of the call with this digest; WrongKey or BadEnvelope before anything is decoded."""
    codec, kind, carried, note, body = _open(_RESULT, function, data, keyring)
    if note:
        raise BadEnvelope("a result with a note")
    if carried + _CODEC_IDS[codec] != digest:
        raise BadEnvelope("the result is that of another call")
    if kind >= len(_KINDS):
        raise BadEnvelope("neither a value nor an error")
    return OpenOutcome(_KINDS[kind], codec, body)


def _digest(function: str, codec: str, body: bytes | memoryview) -> bytes:
    digest = blake2b(digest_size=_DIGEST_BYTES, person=b"sd1-digest")
    digest.update(_length_first(function) + _length_first(codec))
    digest.update(body)
    return digest.digest()


def _length_first(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">I", len(data)) + data


def _seal(
    direction: bytes, function: str, codec: str, kind: int, digest: bytes, note: bytes, body: bytes, keyring: Keyring
) -> bytes:
    algorithm = _BLAKE2B if keyring else _UNSIGNED
    header = _HEADER.pack(
        _MAGIC, _VERSION, algorithm, keyring.signing_id, direction, _CODEC_IDS[codec], kind, digest, len(note)
    )
    if not keyring:
        return b"".join((header, note, body))
    mac = keyring.mac(_PERSON[direction], keyring.signing_id, _length_first(function), header, note, body)
    return b"".join((header, note, body, mac))


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
