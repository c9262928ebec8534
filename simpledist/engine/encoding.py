"""The arguments of a call become bytes, and the call a record. What cannot be encoded, or is too big, stays."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from simpledist import wire
from simpledist.buffers import Data, whole_size
from simpledist.engine import argument_lines, argument_snapshot
from simpledist.engine.call import Call
from simpledist.engine.pending import Pending
from simpledist.engine.routing import Later, Travel, Way
from simpledist.engine.spec import FunctionSpec
from simpledist.errors import Unkeyable, Unserialisable
from simpledist.reasons import TRANSIENT


def encoded(
    spec: FunctionSpec,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    way: Way,
    id: str,
    most_bytes: int,
    caller_runs: bool = False,
    pending: Pending[Any] | None = None,
    crashes: int = 0,
    sent: Data | None = None,
    shared: wire.Shared | None = None,
    unkeyed: Callable[[str, Unkeyable], None],
) -> tuple[Call, Way]:
    """Return the record of one call, and its way. `sent`: its arguments as they were encoded when they came.

    `shared`: what of them travels as blobs.

    `unkeyed` is called with a function that shares its outcomes, where an argument has no canonical form.
    """
    now = time.monotonic()
    codec = spec.codec
    body: Data = b""
    address, expected = None, ""
    if spec.limited is not None:
        spec.limited.demand_function()
    # A future that waits for its local slot goes out when Redis is back; a plain call runs here at once.
    if isinstance(way, Travel) or (not caller_runs and way.why in TRANSIENT):
        try:
            body = sent or wire.encode_arguments(codec, args, kwargs, lend=caller_runs, shared=shared)
            if type(body) is not bytes or argument_lines.NAMES in body:
                body, expected = _expecting(spec, body)
            size = len(body) if type(body) is bytes else whole_size(body)
            if size > most_bytes:
                way = Later("too_big", f"its arguments take {size:,} bytes, at most {most_bytes:,} travel")
            elif spec.sharing is not None:
                given = (
                    (args, kwargs) if caller_runs else argument_snapshot.given(codec, body, spec.local, args, kwargs)
                )
                address = spec.sharing.address(spec.function, codec, _identity(spec, expected), *given)
        except Unkeyable as error:
            unkeyed(spec.function, error)
        except Unserialisable as error:
            way = Later("unserialisable", str(error))
        except argument_lines.NotCompared as error:
            way = Later(error.why, str(error))
    if spec.limited is not None and not (len(body) and codec == "pickle"):
        spec.limited.demand_arguments(args, kwargs)
    runs_later = not len(body) and not caller_runs and not isinstance(way, Travel)  # here
    if runs_later and not argument_snapshot.unchanging(args, kwargs):
        codec, body = (codec, sent) if sent else argument_snapshot.encoded(codec, args, kwargs, shared)
    deadline = None if spec.timeout is None else now + spec.timeout
    # By position: names take twice as long.
    call = Call(id, spec, args, kwargs, codec, body, now, deadline, caller_runs, pending, crashes)
    if address:
        call.sharing, call.address = spec.sharing, address
    call.python = wire.python_of(body)
    return call, way


def _expecting(spec: FunctionSpec, body: Data) -> tuple[Data, str]:
    """Return a body with the lines of the code that it names, and these. Raises NotCompared."""
    expected = argument_lines.of(spec, body)
    return (wire.expecting(body, expected) if expected else body), expected


def _identity(spec: FunctionSpec, expected: str) -> str:
    """Return what makes two callers' code the same; calls that are ended after a time share no outcome with others.

    `expected`: the code that arguments bring along.
    """
    identity = spec.code.identity
    identity = f"{identity} {expected}" if identity and expected else identity
    return identity if spec.hard_timeout is None or not identity else f"{identity} hard_timeout={spec.hard_timeout}"


def encoded_batch(
    spec: FunctionSpec,
    calls: list[tuple[Any, ...]],
    sent: list[Data | None],
    *,
    id: str,
    most_bytes: int,
    shared: wire.Shared | None = None,
) -> Call | None:
    """Return the record of many calls as one job; None where one of them cannot travel so."""
    try:
        body = wire.encode_calls(spec.codec, calls, sent, shared=shared, most_bytes=most_bytes)
        if type(body) is not bytes or argument_lines.NAMES in body:
            body, _ = _expecting(spec, body)
    except (Unserialisable, argument_lines.NotCompared):
        return None
    if len(body) > most_bytes:
        return None
    now = time.monotonic()
    return Call(
        id=id,
        spec=spec,
        args=tuple(calls),
        kwargs={},
        codec=spec.codec,
        body=body,
        began=now,
        deadline=None if spec.timeout is None else now + spec.timeout,
        calls=len(calls),
        python=wire.python_of_calls(spec.codec, body),
    )
