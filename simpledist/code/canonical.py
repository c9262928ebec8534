"""The content address of a call: the same for two calls exactly if they are the same call.

Owns which values have one form of bytes, whatever process, dict order or hash seed made them, and which have not:
better no address than one that two different values share. Loaded only where calls are joined or cached.

Equal are: dicts and sets in any order, all NaNs. Different are: 1, 1.0 and True; 0.0 and -0.0; a list and a tuple; a
class and its subclass; numpy arrays that differ in shape, dtype or memory order. Every value is written as a tag, a
length and its content, so that no two sequences of values give the same bytes.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import math
import struct
import sys
import typing
from abc import ABC
from collections.abc import Callable, Sequence
from hashlib import blake2b
from types import EllipsisType, NoneType
from typing import Any, cast

from simpledist.errors import Unkeyable
from simpledist.interruption import by_signal

ADDRESS_BYTES = 16
MOST_NODES = 200_000  # what stands in many places is written at each: this bounds what that grows to
MOST_DEPTH = 100

_Write = Callable[[bytes | memoryview], Any]
_HEAD = struct.Struct(">cQ")
_FLOAT = struct.Struct(">d")
_STATELESS = (object, typing.Generic, typing.Protocol, ABC)


def address(function: str, codec: str, code: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """Return the 16 bytes that name this call; `code` is the fingerprint of the client's function.

    Raises Unkeyable, with the reason, where an argument has no canonical form.
    """
    digest = blake2b(digest_size=ADDRESS_BYTES, person=b"sd1-content")
    writer = _Writer()
    try:
        writer.write(digest.update, (function, codec, code, args, kwargs), 0)
    except Unkeyable:
        raise
    except Exception as error:
        if by_signal(error):
            raise
        raise Unkeyable(f"an argument does not let itself be read: {type(error).__name__}") from error
    return digest.digest()


class _Writer:
    """Writes values, each with its tag and length, and counts how many."""

    def __init__(self) -> None:
        self._nodes = 0

    def write(self, out: _Write, value: Any, depth: int) -> None:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise Unkeyable(f"more than {MOST_NODES} values (a numpy array counts as one)")
        if depth > MOST_DEPTH:
            raise Unkeyable(f"nested more than {MOST_DEPTH} levels deep")
        kind = cast("type[Any]", type(value))
        scalar = _SCALARS.get(kind) or _IMPORTED.get(f"{kind.__module__}.{kind.__qualname__}")
        if scalar is not None:
            tag, encode = scalar
            data = encode(value)
            out(_HEAD.pack(tag, len(data)))
            out(data)
        elif kind is tuple or kind is list:
            self._in_order(out, b"t" if kind is tuple else b"l", value, depth)
        elif kind is dict:
            self._sorted(out, b"d", [*value.items()], depth)
        elif kind is set or kind is frozenset:
            self._sorted(out, b"s" if kind is set else b"z", [*value], depth)
        elif (held := _held(kind, value)) is not None:
            if kind.__module__ in ("__main__", "__mp_main__") or "<locals>" in kind.__qualname__:
                raise Unkeyable(f"{kind.__qualname__} is defined where no other program can tell which class it is")
            self._in_order(out, b"o", (kind.__module__, kind.__qualname__, *held), depth)
        elif (array := _array(kind, value)) is not None:
            facts, data = array
            self._in_order(out, b"n", facts, depth)
            out(_HEAD.pack(b"b", data.nbytes))
            out(data)
        else:
            raise Unkeyable(f"a {kind.__module__}.{kind.__qualname__} has no canonical form")

    def _in_order(self, out: _Write, tag: bytes, values: Sequence[Any], depth: int) -> None:
        out(_HEAD.pack(tag, len(values)))
        for value in values:
            self.write(out, value, depth + 1)

    def _sorted(self, out: _Write, tag: bytes, values: Sequence[Any], depth: int) -> None:
        out(_HEAD.pack(tag, len(values)))
        for data in sorted(self._apart(value, depth) for value in values):
            out(data)

    def _apart(self, value: Any, depth: int) -> bytes:
        parts: list[bytes | memoryview] = []
        self.write(parts.append, value, depth + 1)
        return b"".join(parts)


# --- values of classes that may be anybody's: the class by its name, then what the value holds -----------------------


def _held(kind: type[Any], value: Any) -> tuple[Any, ...] | None:
    """Return what identifies a member of an enum, a dataclass, a named tuple or a time; None for all else."""
    if issubclass(kind, enum.Flag):
        return (value.value,)
    if issubclass(kind, enum.Enum):
        return (value.name,)
    if "__dataclass_fields__" in vars(kind):
        return _fields(kind, value)
    if kind.__bases__ == (tuple,) and hasattr(kind, "_fields"):
        if getattr(value, "__dict__", None):
            raise Unkeyable(f"a {kind.__qualname__} with attributes other than its fields")
        return tuple(value)
    if kind.__module__ == "datetime" and kind.__qualname__ in ("datetime", "time"):
        return (value.replace(tzinfo=None).isoformat(), value.fold, value.tzinfo)
    return None


def _fields(kind: type[Any], value: Any) -> tuple[Any, ...]:
    for base in kind.__mro__:
        if base not in _STATELESS and "__dataclass_fields__" not in vars(base):
            raise Unkeyable(f"a {kind.__qualname__} is more than its fields: it is a {base.__qualname__}")
    names = [field.name for field in dataclasses.fields(kind)]
    for name in set(getattr(value, "__dict__", ())).difference(names):
        # What is computed from the fields when first asked for says nothing new.
        if not isinstance(getattr(kind, name, None), functools.cached_property):
            raise Unkeyable(f"a {kind.__qualname__} has an attribute {name} that is not a field")
    return tuple(part for name in names for part in (name, getattr(value, name)))


def _array(kind: type[Any], value: Any) -> tuple[tuple[Any, ...], memoryview] | None:
    """Return facts and bytes of an array or a scalar of numpy, if the program has imported it; None for all else."""
    numpy: Any = sys.modules.get("numpy")
    if numpy is None or not (kind is numpy.ndarray or issubclass(kind, numpy.generic)):
        return None
    array = numpy.asarray(value)
    if array.dtype.hasobject:
        raise Unkeyable("a numpy array of objects has no canonical form")
    # The last digits of a sum may depend on the order in memory, which a pickle keeps.
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    dtype = repr(array.dtype.descr) if array.dtype.fields else array.dtype.str
    data = numpy.ascontiguousarray(array).reshape(-1).view("u1")
    return (kind.__name__, dtype, order, array.shape), memoryview(data)


# --- values that are one piece of bytes ------------------------------------------------------------------------------


def _int(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _float(value: float) -> bytes:
    return _FLOAT.pack(math.nan if math.isnan(value) else value)


def _text(value: object) -> bytes:
    return str(value).encode("utf-8", "surrogatepass")


def _path(value: Any) -> bytes:
    return _text(f"{type(value).__name__} {value}")


def _zone(value: Any) -> bytes:
    if value.key is None:
        raise Unkeyable("a time zone without a name")
    return _text(value.key)


_SCALARS: dict[type[Any], tuple[bytes, Callable[[Any], bytes]]] = {
    NoneType: (b"N", lambda _: b""),
    EllipsisType: (b"E", lambda _: b""),
    bool: (b"B", lambda value: b"1" if value else b"0"),
    int: (b"i", _int),
    float: (b"f", _float),
    complex: (b"c", lambda value: _float(value.real) + _float(value.imag)),
    str: (b"u", _text),
    bytes: (b"b", bytes),
    bytearray: (b"a", bytes),
    range: (b"r", lambda value: b"%d %d %d" % (value.start, value.stop, value.step)),
}
# By name, so that nothing is imported for them: a value of a class is the sign that its module is there.
_IMPORTED: dict[str, tuple[bytes, Callable[[Any], bytes]]] = {
    "decimal.Decimal": (b"D", lambda value: _text(value.as_tuple())),
    "fractions.Fraction": (b"F", _text),
    "uuid.UUID": (b"U", lambda value: value.bytes),
    "datetime.date": (b"Y", _text),
    "datetime.timedelta": (b"T", lambda value: b"%d %d %d" % (value.days, value.seconds, value.microseconds)),
    "datetime.timezone": (b"Z", lambda value: _text(repr(value))),
    "zoneinfo.ZoneInfo": (b"O", _zone),
    **{
        f"{module}.{name}": (b"p", _path)
        for module in ("pathlib", "pathlib._local")
        for name in ("PurePosixPath", "PureWindowsPath", "PosixPath", "WindowsPath")
    },
}
