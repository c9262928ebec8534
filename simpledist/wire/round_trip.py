"""Trial of results: a child tries each class of results once, before a client has to.

Pickle can return something else than it was given (`__reduce__`), raise, or end the process that loads it. What a class
does on the way back it does here first: then the call runs at its client, or it is this child that dies and not the
client. A class is tried when its name is first seen in a pickle, wherever it is in the value and however big that is.
That the types are the same is compared at the surface only. Called by running.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, cast

from simpledist.buffers import NAMES_BYTES, Data, Pieces, parts_of
from simpledist.errors import Undecodable
from simpledist.wire import serializers

PLAIN = frozenset((int, float, bool, type(None), str, bytes, bytearray, complex))
_CONTAINERS = (list, tuple, set, frozenset)
_NAME = b"\x93"  # pickle's opcode behind the name of a class or function; without one there are plain values only
_NAME_KEPT = b"\x93\x94"  # so it is written, once for each name
_TEXT = b"\x8c"  # pickle's opcode in front of a short text
_MOST_BYTES = 64 * 1024 * 1024  # what is bigger is not loaded here: a child has the memory for one of it
_ITEMS, _DEPTH = 8, 3
_MOST_CLASSES = 1000

_proved: set[type] = set(PLAIN)
_proved_names: set[bytes] = set()


def survives_round_trip(codec: str, value: Any, encoded: Data) -> bool:
    """Return whether `encoded` holds a value of the same type, as far as a look at its surface can tell."""
    if codec != "pickle" or type(value) in PLAIN:
        return True
    if isinstance(encoded, bytes) and encoded[:1] == b"\x80" and _NAME not in encoded:
        return True
    new, new_names = set(_classes(value)) - _proved, _names(encoded) - _proved_names
    if not (new or new_names) or len(encoded) > _MOST_BYTES:
        return True
    try:
        back = serializers.loads(codec, Pieces(parts_of(encoded)) if isinstance(encoded, Pieces) else encoded)
    except Undecodable:
        return False
    if list(_classes(value)) != list(_classes(back)):
        return False
    if len(_proved) > _MOST_CLASSES:
        _proved.intersection_update(PLAIN)
    if len(_proved_names) > _MOST_CLASSES:
        _proved_names.clear()
    _proved.update(new)
    _proved_names.update(new_names)
    return True


def _names(encoded: Data) -> set[bytes]:
    """Return the names of all classes and functions in a pickle, each as it is written there."""
    found: set[bytes] = set()
    for part in parts_of(encoded):
        if len(part) > NAMES_BYTES:
            continue
        data = bytes(part)
        at = data.find(_NAME_KEPT)
        while at >= 0:
            found.add(data[data.rfind(_TEXT, 0, at) : at])
            at = data.find(_NAME_KEPT, at + 2)
    return found


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
