"""Objects to bytes and back: `pickle` (by cloudpickle where pickle cannot) and `json`.

The only file that imports pickle. Whoever calls `loads` has verified the bytes first (wire.py) or made them itself.
"""

from __future__ import annotations

import json
import pickle
from importlib import import_module
from typing import Any, Literal, cast

from simpledist.errors import Undecodable, Unserialisable

Codec = Literal["pickle", "json"]
CODECS: tuple[Codec, ...] = ("pickle", "json")

JSON_DEPTH = 100


def dumps(codec: str, value: Any) -> bytes:
    """`value` as bytes; Unserialisable, with the reason, where it cannot be."""
    try:
        return _to_pickle(value) if codec == "pickle" else _to_json(value)
    except Unserialisable:
        raise
    except Exception as error:
        raise Unserialisable(f"{type(error).__name__}: {error}") from error


def loads(codec: str, data: bytes | memoryview) -> Any:
    """The object that `data` stands for; Undecodable, with the reason, where it cannot be made here."""
    try:
        if codec == "pickle":
            return pickle.loads(data)  # noqa: S301 - verified by wire.py before it comes here
        return json.loads(bytes(data))
    except Exception as error:
        raise Undecodable(f"{type(error).__name__}: {error}") from error


def _to_pickle(value: Any) -> bytes:
    try:
        data = pickle.dumps(value, protocol=5)
    except Exception:
        # Lambdas, closures, local classes: cloudpickle says what is really wrong, if it cannot either.
        return _by_value(value)
    # What names __main__ would be looked for in the __main__ of another program.
    return _by_value(value) if b"__main__" in data else data


def _by_value(value: Any) -> bytes:
    # Loaded only when plain pickle does not do: most programs and children never need it.
    return cast(bytes, import_module("cloudpickle").dumps(value, protocol=5))


def _to_json(value: Any) -> bytes:
    _check_json(value, 0)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def _check_json(value: Any, depth: int) -> None:
    """JSON must give back what went in: no tuples, no keys but text, no subclasses, no endless depth."""
    if depth > JSON_DEPTH:
        raise Unserialisable(f"JSON: nested more than {JSON_DEPTH} levels deep")
    kind = type(value)
    if value is None or kind in (bool, int, float):
        return
    if kind is str:
        value.encode("utf-8")
    elif kind is list:
        for item in value:
            _check_json(item, depth + 1)
    elif kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise Unserialisable(f"JSON: a key of type {type(key).__name__} would come back as text")
            _check_json(item, depth + 1)
    else:
        raise Unserialisable(f"JSON: a {kind.__name__} would not come back as one")
