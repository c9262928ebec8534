"""An exception that a function raised, as bytes and back: the half of the wire that outcomes of kind "error" need.

An exception travels only if it comes back as what it is: same type, same arguments. Everything else about it (frames,
causes, contexts) travels as the text of its traceback. Knows nothing of envelopes.
"""

from __future__ import annotations

import builtins
import os
import struct
import traceback
from typing import Any, cast

from simpledist import serializers
from simpledist.errors import RemoteTraceback, Undecodable, Unserialisable
from simpledist.serializers import one_line

TRACEBACK_CHARACTERS = 64 * 1024
TOLD_CHARACTERS = 2000  # of the text that people see
_CUT = "\n  [...]\n"
_COMPARED_DEPTH = 8
_LENGTH = struct.Struct(">I")


def encode_error(codec: str, error: BaseException, frames_of_ours: int = 0) -> tuple[bytes, str]:
    """What the function raised, with its traceback, and one line of it for people.

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
    """Where it was raised, `file:line in function`, and on the lines below the end of its traceback: for people."""
    text = _traceback_text(error, frames_of_ours)
    trace, place = error.__traceback__, ""
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f"{os.path.basename(code.co_filename)}:{trace.tb_lineno} in {code.co_name}"
        trace = trace.tb_next
    lines = "\n".join(_printable(line) for line in (place, *text[-TOLD_CHARACTERS:].splitlines()))
    return lines.encode("utf-8", "replace").decode()


def _printable(line: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in line)


def decode_error(codec: str, body: bytes | memoryview) -> BaseException:
    """The exception, with the text of its traceback as `__cause__`. Raises Undecodable."""
    try:
        error, notes, text = _from_json(body) if codec == "json" else _from_pickle(body)
        if notes and not getattr(error, "__notes__", None):
            cast(Any, error).__notes__ = notes
        error.__cause__ = RemoteTraceback(text)
    except Undecodable:
        raise
    except Exception as broken:
        raise Undecodable(f"not an exception: {one_line(broken)}") from broken
    return error


def _traceback_text(error: BaseException, frames_of_ours: int) -> str:
    trace = error.__traceback__
    for _ in range(frames_of_ours):
        trace = trace.tb_next if trace is not None else None
    try:
        text = "".join(traceback.format_exception(type(error), error, trace))
    except Exception as broken:  # noqa: BLE001 - notes, causes and attributes of a user's exception may be anything
        text = f"{one_line(error)}\n(its traceback cannot be told: {type(broken).__name__})\n"
    if len(text) > TRACEBACK_CHARACTERS:
        # Where it began, and where it ended: the middle says least.
        head = TRACEBACK_CHARACTERS // 4
        text = text[:head] + _CUT + text[head + len(_CUT) - TRACEBACK_CHARACTERS :]
    return text


def _notes(error: BaseException) -> list[str]:
    notes: Any = getattr(error, "__notes__", None)
    if not isinstance(notes, list):
        return []
    return [note for note in cast("list[Any]", notes) if type(note) is str]


def _check_return(error: BaseException, back: BaseException) -> None:
    name = type(error).__name__
    if type(back) is not type(error):
        raise Unserialisable(f"{name} comes back as {type(back).__name__}")
    if not _same(error.args, back.args, 0):
        raise Unserialisable(f"{name} comes back with other arguments")


def _same(left: Any, right: Any, depth: int) -> bool:
    """Whether two arguments are equal, as far as that can be told without running code of theirs."""
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


# --- pickle: the text, length first, then the exception and its notes ------------------------------------------------


def _to_pickle(error: BaseException, text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    # Beside the pickle, not in it: a traceback that mentions __main__ is no reason for cloudpickle.
    body = b"".join((_LENGTH.pack(len(data)), data, serializers.dumps("pickle", (error, _notes(error)))))
    _check_return(error, _from_pickle(body)[0])
    return body


def _from_pickle(body: bytes | memoryview) -> tuple[BaseException, list[str], str]:
    view = memoryview(body)
    if len(view) < _LENGTH.size or len(view) < (end := _LENGTH.size + _LENGTH.unpack_from(view)[0]):
        raise Undecodable("not an exception: cut short")
    text = str(view[_LENGTH.size : end], "utf-8", "surrogatepass")
    error, notes = serializers.loads("pickle", view[end:])
    if not isinstance(error, BaseException) or not isinstance(notes, list):
        raise Undecodable(f"not an exception, but a {type(error).__name__}")
    return error, cast("list[str]", notes), text


# --- json: exceptions of Python itself -------------------------------------------------------------------------------


def _to_json(error: BaseException, text: str) -> bytes:
    kind = type(error)
    if not issubclass(kind, Exception) or vars(builtins).get(kind.__name__) is not kind:
        raise Unserialisable(f"JSON: {kind.__qualname__} is not an exception of Python itself")
    if vars(error).keys() - {"__notes__"}:
        raise Unserialisable(f"JSON: {kind.__name__} has attributes beside its arguments")
    body: dict[str, Any] = {"type": f"builtins.{kind.__name__}", "args": list(error.args), "traceback": text}
    if notes := _notes(error):
        body["notes"] = notes
    data = serializers.dumps("json", body)
    back = _from_json(data)[0]
    _check_return(error, back)
    if str(back) != str(error):
        # OSError keeps its file name elsewhere than in its arguments.
        raise Unserialisable(f"JSON: {kind.__name__} is more than its arguments")
    return data


def _from_json(body: bytes | memoryview) -> tuple[BaseException, list[str], str]:
    decoded = serializers.loads("json", body)
    name, args, text, notes = decoded["type"], decoded["args"], decoded["traceback"], decoded.get("notes", [])
    if not (isinstance(name, str) and isinstance(args, list) and isinstance(text, str) and isinstance(notes, list)):
        raise Undecodable("not an exception")
    module, _, plain_name = name.rpartition(".")
    kind: Any = vars(builtins).get(plain_name)
    if module != "builtins" or not (isinstance(kind, type) and issubclass(kind, Exception)):
        raise Undecodable(f"{name!r} is not an exception of Python itself")
    return kind(*cast("list[Any]", args)), [str(note) for note in cast("list[Any]", notes)], text
