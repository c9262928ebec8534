"""Objects to bytes and back: `pickle` (by cloudpickle where pickle cannot) and `json`.

The only file that imports pickle. Whoever calls `loads` has verified the bytes first (wire/envelope.py) or made
them itself. Whatever goes wrong, in code of ours or of the values, is Unserialisable or Undecodable; only what is
no Exception (KeyboardInterrupt, SystemExit) passes through.
"""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Literal, cast
from weakref import WeakSet

from simpledist import policy
from simpledist.errors import Undecodable, Unserialisable

Codec = Literal["pickle", "json"]
CODECS: tuple[Codec, ...] = ("pickle", "json")

JSON_DEPTH = 100
JSON_NODES = policy.MAX_VALUE_BYTES // 2  # each takes two bytes at least: more would be too big in any case
LINE_CHARACTERS = 300

_BY_VALUE = b"c"  # in front of what cloudpickle made; a plain pickle begins with b"\x80"


def dumps(codec: str, value: Any) -> bytes:
    """`value` as bytes; Unserialisable, with the reason, where it cannot be."""
    try:
        if codec == "pickle":
            return _to_pickle(value)
        if codec == "json":
            return _to_json(value)
    except Unserialisable:
        raise
    except Exception as error:
        raise Unserialisable(one_line(error)) from error
    raise Unserialisable(f"unknown codec {codec!r}")


def loads(codec: str, data: bytes | memoryview) -> Any:
    """The object that `data` stands for; Undecodable, with the reason, where it cannot be made here."""
    try:
        if codec == "pickle":
            return _from_pickle(data)
        if codec == "json":
            return json.loads(str(data, "utf-8", "surrogatepass"))
    except Exception as error:
        raise Undecodable(one_line(error)) from error
    raise Undecodable(f"unknown codec {codec!r}")


def one_line(error: BaseException) -> str:
    """Type and text of an exception of anybody's, fit for a log and for Redis; never raises an Exception."""
    try:
        text = str(error)[: LINE_CHARACTERS * 4]
    except Exception as broken:  # noqa: BLE001 - a user's __str__ may raise anything
        text = f"(its text cannot be told: {type(broken).__name__})"
    line = " ".join(f"{type(error).__name__}: {text}".split())[:LINE_CHARACTERS]
    # Half a surrogate cannot be sent, an escape sequence should not reach a terminal.
    return "".join(character if character.isprintable() else "?" for character in line)


# --- pickle ----------------------------------------------------------------------------------------------------------


def _to_pickle(value: Any) -> bytes:
    try:
        data = pickle.dumps(value, protocol=5)
    except Exception:  # noqa: BLE001 - whatever it is, there is a second way
        # Lambdas, closures, local classes: cloudpickle says what is really wrong, if it cannot either.
        return _by_value(value)
    # What names __main__ would be looked for in the __main__ of another program.
    return _by_value(value) if b"__main__" in data else data


def _by_value(value: Any) -> bytes:
    file = io.BytesIO()
    file.write(_BY_VALUE)
    # Loaded only when plain pickle does not do: most programs and children never need it.
    import_module("cloudpickle").dump(value, file, protocol=5)
    return file.getvalue()


def _from_pickle(data: bytes | memoryview) -> Any:
    if data[:1] != _BY_VALUE:
        return pickle.loads(data)  # noqa: S301 - verified by wire/envelope.py before it comes here
    return _ByValueUnpickler(io.BytesIO(memoryview(data)[1:])).load()


class _ByValueUnpickler(pickle.Unpickler):
    """Cloudpickle's values, without its assault on classes that are at home here.

    An instance of a class of `__main__` that comes back finds the class that it left. Cloudpickle then sets each
    attribute of that class to the traveller's copy: methods lose the globals of this program, class attributes their
    identity. So only guests, classes that came from elsewhere, are brought up to date.
    """

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        found = super().find_class(module_name, global_name)
        if module_name == "cloudpickle.cloudpickle":
            if global_name in ("_make_skeleton_class", "_make_skeleton_enum"):
                return _class_maker(found)
            if global_name == "_class_setstate":
                return _class_setter(found)
        return found


_guests: WeakSet[type] = WeakSet()


def _class_maker(make: Callable[..., type]) -> Callable[..., type]:
    def make_unless_known(*args: Any) -> type:
        known: Mapping[str, type] = import_module("cloudpickle.cloudpickle")._DYNAMIC_CLASS_TRACKER_BY_ID
        for arg in args:
            # The tracker's id is a uuid: no name is taken for one.
            if isinstance(arg, str) and (found := known.get(arg)) is not None:
                return found
        made = make(*args)
        _guests.add(made)
        return made

    return make_unless_known


def _class_setter(set_state: Callable[[type, Any], type]) -> Callable[[type, Any], type]:
    def set_guest_state(target: type, state: Any) -> type:
        return set_state(target, state) if target in _guests else target

    return set_guest_state


# --- json ------------------------------------------------------------------------------------------------------------


def _to_json(value: Any) -> bytes:
    _check_json(value, 0, {})
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, check_circular=False).encode(
        "utf-8", "surrogatepass"
    )


def _check_json(value: Any, depth: int, seen: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """JSON must give back what went in: no tuples, no keys but text, no subclasses, no endless depth.

    Returns how many nodes and levels `value` has. `seen` holds that of each list and dict, so that one that stands
    in many places is walked once, and the size of what it would grow to is known before it is written.
    """
    kind = cast("type[object]", type(value))
    if value is None or kind in (bool, int, float, str):
        return 1, 0
    if kind is dict:
        for key in value:
            if type(key) is not str:
                raise Unserialisable(f"JSON: a key of type {type(key).__name__} would come back as text")
        items = value.values()
    elif kind is list:
        items = value
    else:
        raise Unserialisable(f"JSON: a {kind.__name__} would not come back as one")
    nodes, levels = seen.get(id(value), (0, 0))
    if not nodes:
        if depth >= JSON_DEPTH:
            raise Unserialisable(f"JSON: nested more than {JSON_DEPTH} levels deep")
        nodes, levels = 1, 1
        for item in items:
            more, below = _check_json(item, depth + 1, seen)
            nodes, levels = nodes + more, max(levels, below + 1)
        seen[id(value)] = nodes, levels
    if depth + levels > JSON_DEPTH:
        raise Unserialisable(f"JSON: nested more than {JSON_DEPTH} levels deep")
    if nodes > JSON_NODES:
        raise Unserialisable("JSON: too many values in it")
    return nodes, levels
