"""Values as JSON: only what comes back as it went in. Used by serializers.py."""

from __future__ import annotations

import json
from typing import Any, cast

from simpledist import policy
from simpledist.errors import Unserialisable

JSON_DEPTH = 100
JSON_NODES = policy.MAX_VALUE_BYTES // 2  # each takes two bytes at least: more would be too big in any case


def to_json(value: Any) -> bytes:
    """Return a value as JSON. Raises Unserialisable where it would not come back as it is."""
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
