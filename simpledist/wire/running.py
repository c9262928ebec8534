"""One call from its encoded arguments to its encoded outcome: what is the function's, and what is the cluster's fault.

Used by the children of a worker, and by a client whose URL is memory://. Knows nothing of envelopes and processes, but
that a function may fork: a copy of this process is no place for its outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simpledist import policy
from simpledist.buffers import Data
from simpledist.errors import MissingBlob, ModuleMissing, OtherCode, Undecodable, Unserialisable
from simpledist.forked_copies import Original
from simpledist.wire.bodies import decode_arguments, encode_value
from simpledist.wire.machine_errors import limit_of_the_machine
from simpledist.wire.raised import encode_error, place_and_trace
from simpledist.wire.round_trip import PLAIN, survives_round_trip
from simpledist.wire.serializers import one_line

_NONE: dict[str, Any] = {}


class ForkedCopy(BaseException):
    """The function forked, and raised `error` in the copy."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


def _unread(error: BaseException) -> str:
    """Return what it is that arguments cannot be decoded: what would end its process is as good as a crash.

    So the client does not load such arguments in its own process either.
    """
    return "undecodable" if isinstance(error, Exception) else "crashed"


def run_call(
    function: Callable[..., Any],
    codec: str,
    body: Data | memoryview | tuple[Any, ...],
    original: Original | None = None,
) -> tuple[str, Data, str]:
    """Return, of encoded arguments or of arguments: (kind, encoded outcome, what to tell people).

    `kind` is "value", "error", or a word of reasons.Why. People read one line, of an error also place and traceback,
    on lines below. `original`: raise ForkedCopy where the function raises in its copies. KeyboardInterrupt of the
    function passes through: who was interrupted, the function or its process, is known to the caller.
    """
    try:
        args, kwargs = (body, _NONE) if isinstance(body, tuple) else decode_arguments(codec, body)
    except OtherCode as error:
        return "other_code", b"", str(error)
    except Undecodable as error:
        return _unread(error.__cause__ or error), b"", str(error)
    except BaseException as error:  # noqa: BLE001 - an argument's own code runs here, and may raise anything
        return _unread(error), b"", one_line(error)
    try:
        value = function(*args, **kwargs)
    except BaseException as error:
        if original is not None and original.is_copied():
            raise ForkedCopy(error) from None
        if isinstance(error, KeyboardInterrupt):
            raise
        if isinstance(error, (ModuleMissing, MissingBlob)):
            return "undecodable", b"", str(error)
        return _raised(codec, error)
    try:
        answer = encode_value(codec, value)
        if type(value) not in PLAIN and not survives_round_trip(codec, value, answer):
            return "unserialisable", b"", f"a {type(value).__name__} would not come back as one"
    except Unserialisable as error:
        return "unserialisable", b"", str(error)
    except BaseException as error:  # noqa: BLE001 - a value's own code runs here, and may raise anything
        return "unserialisable", b"", one_line(error)
    if len(answer) > policy.MAX_VALUE_BYTES:
        return "too_big", b"", f"the result is {len(answer)} bytes"
    return "value", answer, ""


def _raised(codec: str, error: BaseException) -> tuple[str, bytes, str]:
    limit = limit_of_the_machine(error)
    if limit is not None:
        return "memory" if isinstance(limit, MemoryError) else "worker_error", b"", one_line(limit)
    try:
        answer, line = encode_error(codec, error, frames_of_ours=1)
        error_text = f"{line}\n{place_and_trace(error, frames_of_ours=1)}"
    except Unserialisable as broken:
        return "unserialisable", b"", str(broken)
    except BaseException as broken:  # noqa: BLE001 - an exception's own code runs here, and may raise anything
        return "worker_error", b"", one_line(broken)
    return "error", answer, error_text
