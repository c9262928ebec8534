"""The envelope: what is signed, what is checked, and in which order.

    "SD" | version 2 | algorithm | key id 4 | direction | codec | kind | nonce, address or digest 16 | time 8 | python
    | length 2, note | body | MAC 32

The MAC (keyed blake2b) covers the namespace, the function's qualified name and every byte before it. A call carries a
nonce that no other call has. Its result carries the digest of nonce, function, codec and body: so no result passes for
that of another call, not even of an equal one made earlier, while every attempt at the same call gives an
interchangeable one. Where calls are joined or cached (kind 2) the digest is the content address, that of function,
code and canonical arguments: every call like it may have the result, and the time at which it was made says whether it
is fresh enough. The client compares both with what it made itself, with or without a key. What callers hold as a digest
ends with the call's codec, so that no one can answer a client that speaks JSON with a pickle. Times are those of Redis'
clock (clock.py). Bodies are opaque here, but for that of a new call. docs/protocol.md lists the fields.
"""

from __future__ import annotations

import functools
import re
import struct
import sys
from hashlib import sha256
from typing import Any, Literal, NamedTuple

from simpledist import policy
from simpledist.buffers import BIG_BYTES, Data, Pieces, parts_of
from simpledist.errors import BadEnvelope, StaleOutcome, WrongKey
from simpledist.wire import serializers
from simpledist.wire.blobs import Shared
from simpledist.wire.keyring import MAC_BYTES, Keyring

Kind = Literal["value", "error", "batch", "timed_out"]

_HEADER = struct.Struct(">2sBB4sccB16sQBH")
_MAGIC, _VERSION = b"SD", 2
_UNSIGNED, _BLAKE2B = 0, 1
_CALL, _RESULT = b"C", b"R"
_PERSON = {_CALL: b"sd2-call", _RESULT: b"sd2-result"}
_CODEC_IDS: dict[str, bytes] = {"pickle": b"p", "json": b"j"}
CODECS: dict[bytes, str] = {id: codec for codec, id in _CODEC_IDS.items()}
_KINDS: tuple[Kind, ...] = ("value", "error", "batch", "timed_out")
_SINGLE, _BATCH, _SHARED = 0, 1, 2  # kinds of calls
_LIMITED = 8  # added to the kind: the note ends with the hard timeout
_HARD_MS = struct.Struct(">Q")
_DIGEST_BYTES = 16
_CODE_BYTES = 8  # of a code digest
_ARCHIVE = ":"  # no package is called so
_ARCHIVE_NAME = re.compile("[0-9a-f]{64}")
_ANY_MINOR = 0
_JOINED_BYTES = 16 * 1024


class SealedCall(NamedTuple):
    """A call ready to travel, and what its result must carry (opaque to callers)."""

    data: Data
    digest: bytes


class OpenCall(NamedTuple):
    """A call whose envelope holds; `body` is still encoded."""

    codec: str
    body: memoryview | Pieces
    digest: bytes
    code: str  # the digest of the code that is to run it, "-" for one without a digest; "": whatever has the name
    packages: str  # other packages that this code reaches at its client, as in `seal_call`
    batch: bool = False  # many calls in one body (batches.py)
    shared: bool = False  # the digest is a content address: others may have the outcome as well
    archive: str = ""  # the name of the archive with its caller's own modules; only with a digest
    hard_ms: int = 0  # so long it may run; 0: for ever


class OpenOutcome(NamedTuple):
    """An outcome whose envelope holds; `body` is still encoded."""

    kind: Kind
    codec: str
    body: bytes | memoryview | Pieces


def encode_arguments(
    codec: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None = None,
    *,
    lend: bool = False,
    shared: Shared | None = None,
) -> Data:
    """Encode the body of a call. Raises Unserialisable.

    `lend`: the caller waits, so that big buffers among the arguments need not be copied (serializers.dump). `shared`:
    what of them travels as blobs; in JSON nothing does.
    """
    if codec == "json":
        return serializers.dump(codec, {"args": list(args), "kwargs": kwargs or {}})
    return serializers.dump(codec, (args, kwargs or {}), lend=lend, shared=shared)


def seal_call(
    function: str,
    codec: str,
    body: Data,
    keyring: Keyring,
    code: str = "",
    *,
    nonce: bytes,
    sealed_at_ms: int,
    packages: str = "",
    archive: str = "",
    address: bytes | None = None,
    batch: bool = False,
    python: str = "",
    hard_ms: int = 0,
) -> SealedCall:
    """Seal a call. `code`: the digest of the code that is to run it; "" where it goes by name.

    `packages`: other packages that this code reaches, `name:hash name:hash`; only with a digest. `archive`: the name of
    the archive in which the modules lie that the call names; only with a digest, and without packages.

    `nonce`: the call's own, the same each time that it is sealed. `sealed_at_ms`: by Redis' clock. `address`: the
    content address of a call whose outcome may be that of another call like it; takes the place of nonce and digest.
    `batch`: the body is that of many calls (`join_calls`). `python`: the minor that alone can load what it holds.
    `hard_ms`: after so long a run is ended.
    """
    kind = _BATCH if batch else _SHARED if address else _SINGLE
    if isinstance(body, Pieces) and len(body) <= BIG_BYTES:  # it names blobs
        body = bytes(body)
    digest = address or _digest(nonce, function, codec, kind, body)
    note = _note(code, _ARCHIVE + archive if archive else packages)
    if hard_ms:
        kind, note = kind | _LIMITED, note + _HARD_MS.pack(hard_ms)
    sealed = _seal(_CALL, function, codec, kind, address or nonce, sealed_at_ms, note, body, keyring, python)
    return SealedCall(sealed, digest + _CODEC_IDS[codec])


def open_call(function: str, data: Data, keyring: Keyring, now_ms: int) -> OpenCall:
    """Verify a call of `function`; WrongKey or BadEnvelope before anything is decoded.

    Undecodable where it holds code of another Python minor.

    `now_ms`: by Redis' clock. A call that is older than its client would have let it become is a copy of one that is
    over.
    """
    codec, kind, mark, sealed_at_ms, note, body = _open(_CALL, function, data, keyring)
    hard_ms = 0
    if kind & _LIMITED and len(note) >= _HARD_MS.size:
        (hard_ms,) = _HARD_MS.unpack_from(note, len(note) - _HARD_MS.size)
        kind, note = kind & ~_LIMITED, note[: -_HARD_MS.size]
    if kind not in (_SINGLE, _BATCH, _SHARED):
        raise BadEnvelope("a call of an unknown kind")
    if now_ms - sealed_at_ms > policy.CALL_LIFE_SECONDS * 1000:
        hours = policy.CALL_LIFE_SECONDS / 3600
        raise BadEnvelope(f"sealed more than {hours:g} hours ago: a copy of an old call, or Redis' clock has jumped")
    digest = mark if kind == _SHARED else _digest(mark, function, codec, kind, body)
    code = note[:_CODE_BYTES].hex() if len(note) > 1 else note.decode("ascii", "replace")
    packages, archive = note[_CODE_BYTES:].decode("utf-8", "replace") if len(note) > _CODE_BYTES else "", ""
    if packages.startswith(_ARCHIVE):
        packages, archive = "", packages[len(_ARCHIVE) :]
        if not _ARCHIVE_NAME.fullmatch(archive):
            raise BadEnvelope("the name of an archive is none")
    mark = digest + _CODEC_IDS[codec]
    return OpenCall(codec, body, mark, code, packages, kind == _BATCH, kind == _SHARED, archive, hard_ms)


def seal_outcome(
    function: str, codec: str, kind: Kind, body: Data | memoryview, digest: bytes, keyring: Keyring, made_at_ms: int
) -> Data:
    """Seal an outcome of the call with this digest, made at this time of Redis' clock."""
    mark = digest[:_DIGEST_BYTES]
    return _seal(_RESULT, function, codec, _KINDS.index(kind), mark, made_at_ms, b"", body, keyring)


def open_outcome(function: str, data: Data, digest: bytes, keyring: Keyring, not_before_ms: int = 0) -> OpenOutcome:
    """Verify an outcome of the call with this digest; WrongKey or BadEnvelope before anything is decoded.

    StaleOutcome for one that was made before `not_before_ms`, by Redis' clock.
    """
    codec, kind, mark, made_at_ms, note, body = _open(_RESULT, function, data, keyring)
    if note:
        raise BadEnvelope("a result with a note")
    if mark + _CODEC_IDS[codec] != digest:
        raise BadEnvelope("the result is that of another call")
    if kind >= len(_KINDS):
        raise BadEnvelope("no outcome of a kind that we know")
    if made_at_ms < not_before_ms:
        raise StaleOutcome("the result was made earlier than its caller asks for")
    return OpenOutcome(_KINDS[kind], codec, body)


def codec_id(codec: str) -> bytes:
    """Return the byte that means a codec."""
    return _CODEC_IDS[codec]


def _digest(nonce: bytes, function: str, codec: str, kind: int, body: Data | memoryview) -> bytes:
    # A batch's digest is none that a single call could have: neither's result passes for the other's. Processors have
    # instructions for SHA-256: of 10 MB it takes them a third of the time of blake2b.
    about = _about(function, codec, kind == _BATCH) + nonce
    if len(body) <= _JOINED_BYTES and not isinstance(body, Pieces):
        return sha256(about + body).digest()[:_DIGEST_BYTES]
    digest = sha256(about)
    for part in parts_of(body):
        digest.update(part)
    return digest.digest()[:_DIGEST_BYTES]


@functools.lru_cache(maxsize=1024)
def _note(code: str, packages: str) -> bytes:
    return bytes.fromhex(code) + packages.encode() if len(code) > 1 else code.encode()


@functools.lru_cache(maxsize=1024)
def _about(function: str, codec: str, batch: bool) -> bytes:
    return (b"sd2-batch\0" if batch else b"sd2-digest\0") + _length_first(function) + _length_first(codec)


@functools.lru_cache(maxsize=1024)
def _length_first(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">I", len(data)) + data


def _seal(
    direction: bytes,
    function: str,
    codec: str,
    kind: int,
    mark: bytes,
    at_ms: int,
    note: bytes,
    body: Data | memoryview,
    keyring: Keyring,
    python: str = "",
) -> Data:
    signs, key_id = bool(keyring), keyring.signing_id
    algorithm = _BLAKE2B if signs else _UNSIGNED
    minor = int(python.partition(".")[2]) if python else _ANY_MINOR
    header = _HEADER.pack(
        _MAGIC, _VERSION, algorithm, key_id, direction, _CODEC_IDS[codec], kind, mark, at_ms, minor, len(note)
    )
    if isinstance(body, Pieces) or len(body) > _JOINED_BYTES:
        parts = [header, note, *parts_of(body)]
        if signs:
            parts.append(keyring.mac(_PERSON[direction], key_id, _length_first(function), *parts))
        return Pieces(parts) if isinstance(body, Pieces) else b"".join(parts)
    data = b"".join((header, note, body))  # once more is less than another part of the code
    return data + keyring.mac(_PERSON[direction], key_id, _length_first(function), data) if signs else data


def _open(
    direction: bytes, function: str, data: Data, keyring: Keyring
) -> tuple[str, int, bytes, int, bytes, memoryview | Pieces]:
    whole = data if isinstance(data, Pieces) else memoryview(data)
    end = len(whole)
    if end < _HEADER.size:
        raise BadEnvelope("too short to be an envelope of ours")
    header = _HEADER.unpack_from(bytes(whole.cut(0, _HEADER.size)) if isinstance(whole, Pieces) else whole)
    magic, version, algorithm, key_id, towards, codec_id, kind, mark, at_ms, minor, length = header
    if magic != _MAGIC or version != _VERSION:
        raise BadEnvelope("not an envelope of this version of simpledist")
    if algorithm == _BLAKE2B:
        if end < _HEADER.size + length + MAC_BYTES:
            raise BadEnvelope("cut short")
        if not keyring:
            raise WrongKey("signed, and this process has no key: give it the same --secret-file")
        end -= MAC_BYTES
        if isinstance(whole, Pieces):
            mac, signed = bytes(whole.cut(end, end + MAC_BYTES)), whole.cut(0, end).parts
        else:
            mac, signed = bytes(whole[end : end + MAC_BYTES]), (whole[:end],)
        keyring.verify(_PERSON[direction], key_id, mac, _length_first(function), *signed)
    elif algorithm == _UNSIGNED:
        if keyring:
            raise WrongKey("not signed, and this process has a key: give the other side the same --secret-file")
    else:
        raise BadEnvelope("signed by an unknown algorithm")
    if towards != direction:
        raise BadEnvelope("a call where a result is due, or the other way round")
    if codec_id not in CODECS:
        raise BadEnvelope("an unknown codec")
    if not keyring.pickles and CODECS[codec_id] == "pickle":
        raise WrongKey("a pickle, and this process has no key and decodes none: give it a --secret-file")
    begin = _HEADER.size + length
    if end < begin:
        raise BadEnvelope("cut short")
    if minor not in (_ANY_MINOR, sys.version_info.minor):
        raise serializers.other_python(f"{sys.version_info.major}.{minor}")
    note = bytes(_cut(whole, _HEADER.size, begin)) if length else b""
    return CODECS[codec_id], kind, mark, at_ms, note, _cut(whole, begin, end)


def _cut(whole: memoryview | Pieces, start: int, stop: int) -> memoryview | Pieces:
    return whole.cut(start, stop) if isinstance(whole, Pieces) else whole[start:stop]
