"""One call from its encoded arguments to its encoded outcome: what is the function's, and what is the cluster's fault.

Used by the children of a worker, and by a client whose URL is memory://. Knows nothing of envelopes and processes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simpledist import policy
from simpledist.errors import Undecodable, Unserialisable
from simpledist.pieces import Data
from simpledist.wire.bodies import decode_arguments, encode_value
from simpledist.wire.raised import encode_error, place_and_trace

# A worker may be short of memory or lack a module: that is not what the function would do at home.
NOT_THE_FUNCTION = (MemoryError, ImportError)

_NONE: dict[str, Any] = {}


def run_call(
    function: Callable[..., Any], codec: str, body: Data | memoryview | tuple[Any, ...]
) -> tuple[str, Data, str]:
    """Of encoded arguments, or of arguments: (kind, encoded outcome, what to tell people: a line, of an error also
    its place and traceback on lines below).

    `kind` is "value", "error", or a word of job.Why.

    KeyboardInterrupt passes through: who was interrupted, the function or its process, is known to the caller.
    """
    try:
        args, kwargs = (body, _NONE) if isinstance(body, tuple) else decode_arguments(codec, body)
    except Undecodable as error:
        return "undecodable", b"", str(error)
    try:
        value = function(*args, **kwargs)
    except NOT_THE_FUNCTION as error:
        return "worker_error", b"", f"{type(error).__name__}: {error}"
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it raises is its outcome
        return _raised(codec, error)
    try:
        answer = encode_value(codec, value)
    except Unserialisable as error:
        return "unserialisable", b"", str(error)
    if len(answer) > policy.MAX_VALUE_BYTES:
        return "too_big", b"", f"the result is {len(answer)} bytes"
    return "value", answer, ""


def _raised(codec: str, error: BaseException) -> tuple[str, bytes, str]:
    try:
        answer, line = encode_error(codec, error, frames_of_ours=1)
    except Unserialisable as broken:
        return "unserialisable", b"", str(broken)
    except (MemoryError, RecursionError) as broken:
        return "worker_error", b"", type(broken).__name__
    return "error", answer, f"{line}\n{place_and_trace(error, frames_of_ours=1)}"
