"""The envelope: what is signed, what is checked, and in which order.

    "SD" | version 1 | algorithm | key id 4 | direction | codec | kind | digest 16 | length 2, note | body | MAC 32

The MAC (keyed blake2b) covers every byte before it and the function's qualified name. A call's digest is that of its
function, codec and body; its result carries the same digest, so a result cannot be passed off as another call's, while
every attempt at the same call gives an interchangeable one. Where calls are joined or cached (kind 2) the digest is the
content address, that of function, code and canonical arguments: then every call like it gives one. The client compares
it with the digest that it made itself, with or without a key. What callers hold as a digest ends with the call's codec,
so that nobody can answer a client that speaks JSON with a pickle. Bodies are opaque here, but for that of a new call.
"""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import Any, Literal, NamedTuple

from simpledist import serializers
from simpledist.errors import BadEnvelope, WrongKey
from simpledist.fingerprint import brief
from simpledist.pieces import Data, Pieces, parts_of
from simpledist.signing import MAC_BYTES, Keyring

Kind = Literal["value", "error", "chunk"]

_HEADER = struct.Struct(">2sBB4sccB16sH")
_MAGIC, _VERSION = b"SD", 1
_UNSIGNED, _BLAKE2B = 0, 1
_CALL, _RESULT = b"C", b"R"
_PERSON = {_CALL: b"sd1-call", _RESULT: b"sd1-result"}
_CODEC_IDS: dict[str, bytes] = {"pickle": b"p", "json": b"j"}
CODECS: dict[bytes, str] = {id: codec for codec, id in _CODEC_IDS.items()}
_KINDS: tuple[Kind, ...] = ("value", "error", "chunk")
_SINGLE, _CHUNK, _SHARED = 0, 1, 2  # kinds of calls
_DIGEST_BYTES = 16


class SealedCall(NamedTuple):
    """A call ready to travel, and what its result must carry (opaque to callers)."""

    data: Data
    digest: bytes


class OpenCall(NamedTuple):
    """A call whose envelope holds; `body` is still encoded, `fingerprint` is its client's, in brief."""

    codec: str
    body: memoryview | Pieces
    digest: bytes
    fingerprint: str
    chunk: bool = False  # many calls in one body (chunks.py)
    shared: bool = False  # the digest is a content address: others may have the outcome as well


class OpenOutcome(NamedTuple):
    """An outcome whose envelope holds; `body` is still encoded."""

    kind: Kind
    codec: str
    body: bytes | memoryview | Pieces


def encode_arguments(
    codec: str, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None, *, lend: bool = False
) -> Data:
    """The body of a call. Raises Unserialisable.

    `lend`: the caller waits, so that big buffers among the arguments need not be copied (serializers.dump).
    """
    if codec == "json":
        return serializers.dump(codec, {"args": list(args), "kwargs": kwargs or {}})
    return serializers.dump(codec, (args, kwargs or {}), lend=lend)


def seal_call(
    function: str,
    codec: str,
    body: Data,
    keyring: Keyring,
    fingerprint: str = "",
    *,
    address: bytes | None = None,
    chunk: bool = False,
) -> SealedCall:
    """A call's envelope; `fingerprint` is that of the client's function, told in brief: every queued call holds it.

    `address`: the call's content address, where its outcome may be that of another call like it: takes the place of the
    digest of the body. `chunk`: the body is that of many calls (`join_calls`).
    """
    kind = _CHUNK if chunk else _SHARED if address else _SINGLE
    digest = address or _digest(function, codec, kind, body)
    note = brief(fingerprint).encode()
    return SealedCall(_seal(_CALL, function, codec, kind, digest, note, body, keyring), digest + _CODEC_IDS[codec])


def open_call(function: str, data: Data, keyring: Keyring) -> OpenCall:
    """Verify a call of `function`; WrongKey or BadEnvelope before anything is decoded."""
    codec, kind, digest, note, body = _open(_CALL, function, data, keyring)
    if kind not in (_SINGLE, _CHUNK, _SHARED):
        raise BadEnvelope("a call of an unknown kind")
    if kind != _SHARED and _digest(function, codec, kind, body) != digest:
        raise BadEnvelope("the call's digest does not fit its body")
    return OpenCall(codec, body, digest + _CODEC_IDS[codec], note, kind == _CHUNK, kind == _SHARED)


def seal_outcome(
    function: str, codec: str, kind: Kind, body: Data | memoryview, digest: bytes, keyring: Keyring
) -> Data:
    """The envelope of an outcome of the call with this digest."""
    return _seal(_RESULT, function, codec, _KINDS.index(kind), digest[:_DIGEST_BYTES], b"", body, keyring)


def open_outcome(function: str, data: Data, digest: bytes, keyring: Keyring) -> OpenOutcome:
    """Verify an outcome of the call with this digest; WrongKey or BadEnvelope before anything is decoded."""
    codec, kind, carried, note, body = _open(_RESULT, function, data, keyring)
    if note:
        raise BadEnvelope("a result with a note")
    if carried + _CODEC_IDS[codec] != digest:
        raise BadEnvelope("the result is that of another call")
    if kind >= len(_KINDS):
        raise BadEnvelope("neither a value nor an error nor a chunk's outcomes")
    return OpenOutcome(_KINDS[kind], codec, body)


def codec_id(codec: str) -> bytes:
    """The byte that stands for a codec."""
    return _CODEC_IDS[codec]


def _digest(function: str, codec: str, kind: int, body: Data | memoryview) -> bytes:
    # A chunk's digest is none that a single call could have: neither's result passes for the other's. Processors have
    # instructions for SHA-256: of 10 MB it takes them a third of the time of blake2b.
    digest = sha256(b"sd1-chunk\0" if kind == _CHUNK else b"sd1-digest\0")
    digest.update(_length_first(function) + _length_first(codec))
    for part in parts_of(body):
        digest.update(part)
    return digest.digest()[:_DIGEST_BYTES]


def _length_first(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">I", len(data)) + data


def _seal(
    direction: bytes,
    function: str,
    codec: str,
    kind: int,
    digest: bytes,
    note: bytes,
    body: Data | memoryview,
    keyring: Keyring,
) -> Data:
    algorithm = _BLAKE2B if keyring else _UNSIGNED
    header = _HEADER.pack(
        _MAGIC, _VERSION, algorithm, keyring.signing_id, direction, _CODEC_IDS[codec], kind, digest, len(note)
    )
    parts = [header, note, *parts_of(body)]
    if keyring:
        parts.append(keyring.mac(_PERSON[direction], keyring.signing_id, _length_first(function), *parts))
    return Pieces(parts) if isinstance(body, Pieces) else b"".join(parts)


def _open(
    direction: bytes, function: str, data: Data, keyring: Keyring
) -> tuple[str, int, bytes, str, memoryview | Pieces]:
    if len(data) < _HEADER.size:
        raise BadEnvelope("too short to be an envelope of ours")
    header = _cut(data, 0, _HEADER.size)
    magic, version, algorithm, key_id, towards, codec_id, kind, digest, length = _HEADER.unpack(bytes(header))
    if magic != _MAGIC or version != _VERSION:
        raise BadEnvelope("not an envelope of this version of simpledist")
    end = len(data)
    if algorithm == _BLAKE2B:
        if len(data) < _HEADER.size + length + MAC_BYTES:
            raise BadEnvelope("cut short")
        if not keyring:
            raise WrongKey("signed, and this process has no key: give it the same --secret-file")
        end -= MAC_BYTES
        mac = bytes(_cut(data, end, len(data)))
        keyring.verify(_PERSON[direction], key_id, mac, _length_first(function), *parts_of(_cut(data, 0, end)))
    elif algorithm == _UNSIGNED:
        if keyring:
            raise WrongKey("not signed, and this process has a key: give the other side the same --secret-file")
    else:
        raise BadEnvelope("signed by an unknown algorithm")
    if towards != direction:
        raise BadEnvelope("a call where a result is due, or the other way round")
    if codec_id not in CODECS:
        raise BadEnvelope("an unknown codec")
    begin = _HEADER.size + length
    if end < begin:
        raise BadEnvelope("cut short")
    try:
        note = bytes(_cut(data, _HEADER.size, begin)).decode()
    except UnicodeDecodeError:
        raise BadEnvelope("the note is not text") from None
    return CODECS[codec_id], kind, digest, note, _cut(data, begin, end)


def _cut(data: Data, start: int, stop: int) -> memoryview | Pieces:
    return data.cut(start, stop) if isinstance(data, Pieces) else memoryview(data)[start:stop]
