"""Whether a result comes back as what it is: a child tries each class of results once, before a client has to.

Pickle can return something else than it was given (`__reduce__`), raise, or end the process that loads it. What a class
does on the way back it does here first: then the call runs at its client, or it is this child that dies and not the
client. Only what stands at the surface of a result is looked at; deeper, a class is trusted. Called by running.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, cast

from simpledist.buffers import BIG_BYTES, Data
from simpledist.errors import Undecodable
from simpledist.wire import serializers

_PLAIN = frozenset((int, float, bool, type(None), str, bytes, bytearray, complex))
_CONTAINERS = (list, tuple, set, frozenset)
_NAMES = b"\x93"  # pickle's opcode in front of each class or function; a pickle without one has plain values only
_ITEMS, _DEPTH = 8, 3
_MOST_CLASSES = 1000

_proved: set[type] = set(_PLAIN)


def comes_back(codec: str, value: Any, encoded: Data) -> bool:
    """Return whether `encoded` holds a value of the same type, as far as a look at its surface can tell."""
    if codec != "pickle" or type(value) in _PLAIN:
        return True
    if len(encoded) > BIG_BYTES or not isinstance(encoded, bytes):
        return True  # to load what is big would double its cost; its class is tried when it is small
    if encoded[:1] == b"\x80" and _NAMES not in encoded:
        return True
    new = set(_classes(value)) - _proved
    if not new:
        return True
    try:
        back = serializers.loads(codec, encoded)
    except Undecodable:
        return False
    if list(_classes(value)) != list(_classes(back)):
        return False
    if len(_proved) > _MOST_CLASSES:
        _proved.intersection_update(_PLAIN)
    _proved.update(new)
    return True


def _classes(value: Any, depth: int = _DEPTH) -> Iterator[type]:
    kind = cast("type[Any]", type(value))
    if kind is dict:
        if depth:
            for key, item in islice(value.items(), _ITEMS):
                yield from _classes(key, depth - 1)
                yield from _classes(item, depth - 1)
    elif kind in _CONTAINERS:
        if depth:
            for item in islice(value, _ITEMS):
                yield from _classes(item, depth - 1)
    else:
        yield kind
