"""Many short calls in one job: a body that holds their arguments, and one that holds what became of each.

The calls of a batch share an envelope, a digest and a trip; each keeps its own arguments (encoded apart, so that no
call sees what another did to an object of both), its own outcome, and its number. An outcome may hold only some of
them: the others come back to the client, which sends them again.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

from simpledist.buffers import Data, Pieces, blobs_of
from simpledist.errors import Undecodable, Unserialisable
from simpledist.wire import blobs, expected_code, serializers
from simpledist.wire.blobs import Shared
from simpledist.wire.bodies import Raised, Value
from simpledist.wire.envelope import OpenOutcome, encode_arguments
from simpledist.wire.raised import decode_error

_LENGTH = struct.Struct(">I")
_PART = struct.Struct(">IBIQ")  # number, length of its kind, run time in microseconds, length of its body
_VALUE = b"value"
_UNCHANGING = frozenset((int, float, bool, type(None), str, bytes))
# Makes a Value: its own way, that of any named tuple, takes twice as long.
_made: Any = tuple.__new__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
_TOGETHER = serializers.BEGINS  # as the first byte of a length each of them means 1.6 GB and more
_MOST_US = 2**32 - 1  # 71 minutes: a part that took longer says so

# A str: what kept the call from an outcome, a word of reasons.Why and perhaps more words behind it, or `SLOW`.
Part = Value | Raised | str
SLOW = "slow"  # this call runs, and what stands behind it goes back


def encode_calls(
    codec: str,
    calls: Sequence[tuple[Any, ...]],
    sent: Sequence[Data | None] = (),
    *,
    shared: Shared | None = None,
    most_bytes: int = sys.maxsize,
) -> Data:
    """Encode the body of a batch. Raises Unserialisable, also for one of more than `most_bytes`.

    `sent`: the arguments of each call as they were encoded when they came, or None. What cannot change may be encoded
    together: no call sees what another one did to it. `shared`: as of `encode_arguments`.
    """
    if codec == "pickle" and not shared and _UNCHANGING.issuperset(map(type, chain.from_iterable(calls))):
        return encode_together(calls)
    bodies = sent or [None] * len(calls)
    encoded: list[Data] = []
    for args, body in zip(calls, bodies, strict=True):
        encoded.append(body or encode_arguments(codec, args, shared=shared))
        most_bytes -= len(encoded[-1])
        if most_bytes < 0:  # before all of it is copied
            raise Unserialisable("they are too big for one batch")
    return join_calls(encoded)


def encode_together(calls: Sequence[tuple[Any, ...]]) -> bytes:
    """Encode the body of a batch whose calls may share what is in them, functions above all. Raises Unserialisable."""
    return serializers.dumps("pickle", list(calls))


def join_calls(calls: Sequence[Data]) -> Data:
    """Return the body of a batch: encoded arguments, each after its length; in front the blobs that they name.

    Raises Unserialisable for too many blobs.
    """
    named = {blob.name: blob for call in calls if type(call) is not bytes for blob in blobs_of(call)}
    joined = b"".join(piece for call in calls for piece in (_LENGTH.pack(len(call)), bytes(call)))
    if len(named) > blobs.MOST:
        raise Unserialisable(f"they have more than {blobs.MOST} shared objects in them")
    return blobs.naming(joined, list(named.values())) if named else joined


def python_of_calls(codec: str, body: Data) -> str:
    """Return the Python minor that alone can load a call in the body of a batch; "" where any can load them all."""
    if isinstance(body, Pieces):
        pythons = [blob.python for blob in body.blobs]
        body = bytes(body.cut(blobs.behind_names(body), len(body)))
        return python_of_calls(codec, body) or max(pythons, default="")
    if codec != "pickle" or serializers.CODE_MARK not in body:
        return ""
    if body[:1] in _TOGETHER:
        return serializers.python_of(body)
    calls = split_calls(codec, body)
    return next((python for call in calls if (python := serializers.python_of(cast("memoryview", call)))), "")


def split_calls(codec: str, body: Data | memoryview) -> Sequence[memoryview | Pieces | tuple[Any, ...]]:
    """Return the calls in the body of a verified batch: encoded arguments, or arguments. Raises Undecodable."""
    view = memoryview(bytes(body) if isinstance(body, Pieces) else body)
    if codec == "pickle" and bytes(view[:1]) in (blobs.NAMED, blobs.CARRIED):
        named, rest = serializers.blobs_before(view)
        its = named or (body.blobs if isinstance(body, Pieces) else ())
        inside = split_calls(codec, rest)
        return (
            inside if not its else [one if isinstance(one, (tuple, Pieces)) else Pieces([one], its) for one in inside]
        )
    if codec == "pickle" and bytes(view[:1]) == expected_code.MARK:
        return split_calls(codec, expected_code.compare_lines_of(view))
    if codec == "pickle" and bytes(view[:1]) in _TOGETHER:
        return _checked(serializers.loads(codec, view))
    calls: list[memoryview] = []
    at = 0
    while at < len(view):
        begin = at + _LENGTH.size
        end = begin + (_LENGTH.unpack_from(view, at)[0] if begin <= len(view) else 0)
        if end > len(view) or begin > len(view):
            raise Undecodable("not the calls of a batch: cut short")
        calls.append(view[begin:end])
        at = end
    return calls


def _checked(calls: Any) -> list[tuple[Any, ...]]:
    if type(calls) is not list or not all(type(args) is tuple for args in cast("list[Any]", calls)):
        raise Undecodable("not the calls of a batch")
    return cast("list[tuple[Any, ...]]", calls)


def encode_part(number: int, kind: str, body: Data | memoryview, run_us: int = 0) -> bytes:
    """Encode the outcome of the call with this number; `kind` as of `run_call`."""
    head = _PART.pack(number, len(kind), run_us if run_us < _MOST_US else _MOST_US, len(body))
    return head + (_VALUE if kind == "value" else kind.encode()) + bytes(body)


@dataclass(frozen=True, slots=True)
class Row:
    """Encoded parts with numbers in a row, and what they add up to."""

    body: bytes
    count: int
    returned: int
    raised: int
    run_us: int


def row_from(body: bytes, first: int) -> Row:
    """Those of encoded parts whose numbers begin with `first`. Raises Undecodable where they are not in a row."""
    begin = at = count = returned = raised = us = 0
    for number, kind, run_us, answer in _each(body):
        at += _PART.size + len(kind) + len(answer)
        if number < first:
            begin = at
            continue
        if number != first + count:
            raise Undecodable("not the outcomes of a batch: one is missing")
        count, returned, raised, us = count + 1, returned + (kind == b"value"), raised + (kind == b"error"), us + run_us
    return Row(body[begin:at], count, returned, raised, us)


def decode_parts(outcome: OpenOutcome) -> dict[int, Part]:
    """Return the outcomes that a batch's verified outcome holds. Raises Undecodable."""
    if outcome.kind != "batch":
        raise Undecodable("a single outcome where a batch's is due")
    parts: dict[int, Part] = {}
    codec, loads, made = outcome.codec, serializers.loads, _made
    for number, kind, run_us, body in _each(outcome.body):
        try:
            if kind == _VALUE:
                parts[number] = made(Value, (loads(codec, body), run_us / 1e6))
            elif kind == b"error":
                parts[number] = Raised(decode_error(outcome.codec, body), run_us / 1e6)
            else:
                parts[number] = f"{str(kind, 'ascii', 'replace')} {str(body, 'utf-8', 'replace')}".strip()
        except Undecodable as error:
            parts[number] = f"undecodable {error}"
    return parts


def _each(body: Data | memoryview) -> Iterator[tuple[int, bytes, int, bytes]]:
    whole = bytes(body)  # short pieces of bytes are quicker made than views of them
    at, end, size, unpack = 0, len(whole), _PART.size, _PART.unpack_from
    while at < end:
        begin = at + size
        if begin > end:
            raise Undecodable("not the outcomes of a batch: cut short")
        number, kind_length, run_us, length = unpack(whole, at)
        middle = begin + kind_length
        at = middle + length
        if at > end:
            raise Undecodable("not the outcomes of a batch: cut short")
        yield number, whole[begin:middle], run_us, whole[middle:at]
