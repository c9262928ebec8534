"""Contents of an envelope: arguments, values and exceptions, as bytes and back.

The children of a worker decode calls and encode outcomes; the client decodes outcomes. Whatever comes here has been
verified (envelope.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from simpledist.buffers import Data, Pieces
from simpledist.errors import Undecodable
from simpledist.wire import serializers
from simpledist.wire.chain import Returned
from simpledist.wire.envelope import OpenOutcome
from simpledist.wire.raised import decode_error


class Value(NamedTuple):  # made by the thousand: a frozen dataclass takes twice as long
    """The function returned this; of a call in a batch with its own run time."""

    value: Any
    run_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Raised:
    """The function raised this; its `__cause__` is the remote traceback."""

    exception: BaseException
    run_seconds: float = 0.0


def decode_arguments(codec: str, body: Data | memoryview) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a verified call. Raises Undecodable."""
    decoded = serializers.loads(codec, body)
    try:
        args, kwargs = (decoded["args"], decoded["kwargs"]) if codec == "json" else decoded
    except (TypeError, ValueError, KeyError):
        raise Undecodable("not the arguments of a call") from None
    if not isinstance(args, (tuple, list)) or not isinstance(kwargs, dict):
        raise Undecodable("not the arguments of a call")
    return tuple(cast("list[Any]", args)), cast("dict[str, Any]", kwargs)


def encode_value(codec: str, value: Any) -> Data:
    """Encode what the function returned; nothing may change it until it has left. Raises Unserialisable."""
    if isinstance(value, BaseException) and codec == "pickle":
        value = Returned(value)
    return serializers.dump(codec, value, lend=True)


def decode_outcome(outcome: OpenOutcome) -> Value | Raised:
    """Return the outcome in a verified envelope. Raises Undecodable."""
    if outcome.kind in ("batch", "timed_out"):
        raise Undecodable("a batch's outcome, or none in time, where a single one is due")
    if outcome.kind == "error":
        body = outcome.body
        return Raised(decode_error(outcome.codec, bytes(body) if isinstance(body, Pieces) else body))
    return Value(serializers.loads(outcome.codec, outcome.body))
