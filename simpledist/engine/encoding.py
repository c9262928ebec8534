"""The arguments of a call become bytes, and the call a record. What cannot be encoded, or is too big, stays."""

from __future__ import annotations

import time
from typing import Any

from simpledist import wire
from simpledist.buffers import Data
from simpledist.engine import snapshot
from simpledist.engine.call import Call
from simpledist.engine.pending import Pending
from simpledist.engine.routing import Later, Travel, Way
from simpledist.engine.spec import FunctionSpec
from simpledist.errors import Unserialisable
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
) -> tuple[Call, Way]:
    """Return the record of one call, and its way. `sent`: its arguments as they were encoded when they came."""
    now = time.monotonic()
    codec = spec.codec
    body: Data = b""
    address = None
    # A future that waits for its local slot goes out when Redis is back; a plain call runs here at once.
    if isinstance(way, Travel) or (not caller_runs and way.why in TRANSIENT):
        try:
            body = sent or wire.encode_arguments(codec, args, kwargs, lend=caller_runs)
            if len(body) > most_bytes:
                way = Later("too_big")
            elif spec.sharing is not None:
                given = (args, kwargs) if caller_runs else snapshot.given(codec, body, spec.local, args, kwargs)
                address = spec.sharing.address(spec.function, codec, *given)
        except Unserialisable:
            way = Later("unserialisable")
    if not isinstance(way, Travel) and not caller_runs and not len(body) and not snapshot.unchanging(args, kwargs):
        codec, body = (codec, sent) if sent else snapshot.encoded(codec, args, kwargs)  # it runs here, and later
    deadline = None if spec.timeout is None else now + spec.timeout
    # By position: names take twice as long.
    call = Call(id, spec, args, kwargs, codec, body, now, deadline, caller_runs, pending, crashes)
    if address:
        call.sharing, call.address = spec.sharing, address
    call.python = wire.python_of(body)
    return call, way


def encoded_batch(
    spec: FunctionSpec, calls: list[tuple[Any, ...]], sent: list[Data | None], *, id: str, most_bytes: int
) -> Call | None:
    """Return the record of many calls as one job; None where one of them cannot travel so."""
    try:
        body = wire.encode_calls(spec.codec, calls, sent)
    except Unserialisable:
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
