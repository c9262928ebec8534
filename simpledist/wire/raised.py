"""An exception that a function raised, as bytes and back: the half of the wire that outcomes of kind "error" need.

An exception travels only if it comes back as what it is: type, arguments, attributes, notes, and the same of what led
to it (chain.py). Its frames travel as the text of its traceback. Knows nothing of envelopes.
"""

from __future__ import annotations

import builtins
import os
import struct
import traceback
from itertools import zip_longest
from types import TracebackType
from typing import Any, cast

from simpledist.errors import RemoteTraceback, Undecodable, Unserialisable
from simpledist.interruption import by_signal
from simpledist.wire import chain, serializers
from simpledist.wire.serializers import one_line

TRACEBACK_CHARACTERS = 64 * 1024
SHOWN_CHARACTERS = 2000  # of the text that people see
_CUT = "\n  [...]\n"
_COMPARED_DEPTH = 8
_MOST_JSON_CAUSES = 20
_LENGTH = struct.Struct(">I")


def encode_error(codec: str, error: BaseException, frames_of_ours: int = 0) -> tuple[bytes, str]:
    """Encode what the function raised, with its traceback; return it with one line for people.

    Raises Unserialisable for an exception that would not come back as the one that it is.
    """
    try:
        text = _traceback_text(error, frames_of_ours)
        body = _to_json(error, text) if codec == "json" else _to_pickle(error, text)
    except Unserialisable:
        raise
    except Exception as broken:
        raise Unserialisable(f"{type(error).__name__} does not survive the way: {one_line(broken)}") from broken
    return body, one_line(error)


def place_and_trace(error: BaseException, frames_of_ours: int = 0) -> str:
    """Return where it was raised, `file:line in function`, and below it the end of its traceback, for people."""
    text = _traceback_text(error, frames_of_ours)
    trace, place = _trace(error, frames_of_ours), ""
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f"{os.path.basename(code.co_filename)}:{trace.tb_lineno} in {code.co_name}"
        trace = trace.tb_next
    lines = "\n".join(_printable(line) for line in (place, *text[-SHOWN_CHARACTERS:].splitlines()))
    return lines.encode("utf-8", "replace").decode()


def _printable(line: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in line)


def decode_error(codec: str, body: bytes | memoryview) -> BaseException:
    """Return the exception; the text of its traceback is its `__cause__`, or that of the first of its own causes.

    Raises Undecodable.
    """
    try:
        error, text = _from_json(body) if codec == "json" else _from_pickle(body)
        last = chain.lowest_cause(error)
        if last.__cause__ is None:
            suppress = last.__suppress_context__
            last.__cause__ = RemoteTraceback(text)
            last.__suppress_context__ = suppress
    except Undecodable:
        raise
    except BaseException as broken:
        if by_signal(broken):
            raise
        raise Undecodable(f"not an exception: {one_line(broken)}") from broken
    return error


def _trace(error: BaseException, frames_of_ours: int) -> TracebackType | None:
    """Return the traceback without what our code adds on top; None where the call itself failed."""
    trace = error.__traceback__
    for _ in range(frames_of_ours):
        trace = trace.tb_next if trace is not None else None
    return trace


def _traceback_text(error: BaseException, frames_of_ours: int) -> str:
    trace = _trace(error, frames_of_ours)
    try:
        text = "".join(traceback.format_exception(type(error), error, trace))
    except Exception as broken:  # noqa: BLE001 - notes, causes and attributes of a user's exception may be anything
        text = f"{one_line(error)}\n(its traceback is not readable: {type(broken).__name__})\n"
    if len(text) > TRACEBACK_CHARACTERS:
        # Where it began, and where it ended: the middle says least.
        head = TRACEBACK_CHARACTERS // 4
        text = text[:head] + _CUT + text[head + len(_CUT) - TRACEBACK_CHARACTERS :]
    return text


def _check_return(error: BaseException, back: BaseException) -> None:
    """Raise Unserialisable where `back` differs from `error`, or anything does that hangs on it."""
    (found, facts), (found_back, facts_back) = chain.taken_from(error), chain.taken_from(back)
    for left, right in zip_longest(found, found_back):
        if type(left) is not type(right):
            raise Unserialisable(f"{type(left).__name__} comes back as {type(right).__name__}")
        if not _same(left.args, right.args, 0):
            raise Unserialisable(f"{type(left).__name__} comes back with other arguments")
    for one, left, right in zip(found, facts, facts_back, strict=True):
        if left[:-1] != right[:-1] or not _same(_sorted(left.fields), _sorted(right.fields), 0):
            raise Unserialisable(f"{type(one).__name__} comes back with other attributes")


def _sorted(fields: dict[str, Any]) -> list[tuple[str, Any]]:
    return sorted(fields.items(), key=lambda field: field[0])


def _same(left: Any, right: Any, depth: int) -> bool:
    """Return whether two arguments are equal, as far as can be seen without running their own code."""
    kind = cast("type[object]", type(left))
    if kind is not type(right):
        return False
    if left is None or kind in (str, bytes, int, bool):
        return left == right
    if kind in (float, complex):
        return repr(left) == repr(right)  # NaN is NaN, and 0.0 is not -0.0
    if depth >= _COMPARED_DEPTH:
        return True
    if kind in (list, tuple):
        return len(left) == len(right) and all(_same(a, b, depth + 1) for a, b in zip(left, right, strict=True))
    if kind is dict:
        return _same(list(left.items()), list(right.items()), depth + 1)
    if kind in (set, frozenset):
        return len(left) == len(right)
    if isinstance(left, BaseException):
        return _same(left.args, right.args, depth + 1)
    return True


# --- pickle: the text, length first, then the exceptions and their facts ---------------------------------------------


def _to_pickle(error: BaseException, text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    found, facts = chain.taken_from(error)
    # Outside the pickle, not in it: a traceback that mentions __main__ is no reason for cloudpickle.
    pickled = serializers.dumps("pickle", (found, [tuple(one) for one in facts]))
    body = b"".join((_LENGTH.pack(len(data)), data, pickled))
    _check_return(error, _from_pickle(body)[0])
    return body


def _from_pickle(body: bytes | memoryview) -> tuple[BaseException, str]:
    view = memoryview(body)
    if len(view) < _LENGTH.size or len(view) < (end := _LENGTH.size + _LENGTH.unpack_from(view)[0]):
        raise Undecodable("not an exception: cut short")
    text = str(view[_LENGTH.size : end], "utf-8", "surrogatepass")
    error = chain.put_together(serializers.loads("pickle", view[end:]))
    if not isinstance(cast("object", error), BaseException):
        raise Undecodable(f"not an exception, but a {type(error).__name__}")
    return error, text


# --- json: exceptions of Python itself -------------------------------------------------------------------------------


def _to_json(error: BaseException, text: str) -> bytes:
    data = serializers.dumps("json", {**_json_of(error, 0), "traceback": text})
    _check_return(error, _from_json(data)[0])
    return data


def _json_of(error: BaseException, depth: int) -> dict[str, Any]:
    kind = type(error)
    if depth > _MOST_JSON_CAUSES:
        raise Unserialisable(f"JSON: more than {_MOST_JSON_CAUSES} causes")
    if not issubclass(kind, Exception) or vars(builtins).get(kind.__name__) is not kind:
        raise Unserialisable(f"JSON: {kind.__qualname__} is not an exception of Python itself")
    body: dict[str, Any] = {"type": f"builtins.{kind.__name__}", "args": list(error.args)}
    if notes := getattr(error, "__notes__", None):
        body["notes"] = notes
    if error.__cause__ is not None:
        body["cause"] = _json_of(error.__cause__, depth + 1)
    if error.__context__ is not None and error.__context__ is not error.__cause__:
        body["context"] = _json_of(error.__context__, depth + 1)
    if error.__suppress_context__ and error.__cause__ is None:
        body["context_shown"] = False
    return body


def _from_json(body: bytes | memoryview) -> tuple[BaseException, str]:
    decoded = serializers.loads("json", body)
    text = decoded["traceback"]
    if not isinstance(text, str):
        raise Undecodable("not an exception")
    return _of_json(decoded), text


def _of_json(decoded: dict[str, Any]) -> Exception:
    name, args, notes = decoded["type"], decoded["args"], decoded.get("notes", [])
    if not (isinstance(name, str) and isinstance(args, list) and isinstance(notes, list)):
        raise Undecodable("not an exception")
    module, _, plain_name = name.rpartition(".")
    kind: Any = vars(builtins).get(plain_name)
    if module != "builtins" or not (isinstance(kind, type) and issubclass(kind, Exception)):
        raise Undecodable(f"{name!r} is not an exception of Python itself")
    error = kind(*cast("list[Any]", args))
    if notes:
        cast(Any, error).__notes__ = [str(note) for note in cast("list[Any]", notes)]
    if "context" in decoded:
        error.__context__ = _of_json(decoded["context"])
    if "cause" in decoded:
        error.__cause__ = _of_json(decoded["cause"])
        error.__context__ = error.__context__ or error.__cause__
    elif decoded.get("context_shown") is False:
        error.__suppress_context__ = True
    return error
