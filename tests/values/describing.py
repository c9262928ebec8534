"""What a value or exception is, in plain words that can be compared: types, contents, attributes, all the way down."""

# It looks at values of any type.
# pyright: basic

from __future__ import annotations

import io
import pathlib
import struct
import types
from typing import Any, cast

import numpy as np

from simpledist.errors import RemoteTraceback
from simpledist.wire import chain


def described(value: Any, seen: tuple[int, ...] = ()) -> Any:
    kind = cast("type[Any]", type(value))
    name = f"{kind.__module__}.{kind.__qualname__}"
    if id(value) in seen:
        return "again", len(seen) - seen.index(id(value))
    if value is None or kind in (bool, int, str, bytes):
        return name, value
    if kind is float:
        return name, struct.pack(">d", value)
    if kind is complex:
        return name, struct.pack(">dd", value.real, value.imag)
    seen = (*seen, id(value))
    if isinstance(value, (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType)):
        return name, getattr(value, "__module__", None), getattr(value, "__qualname__", value.__name__)
    if isinstance(value, BaseException):
        return described_error(value, seen)
    found: list[Any] = [name]
    if isinstance(value, np.ndarray):
        items = described(value.tolist(), seen) if value.dtype.hasobject else value.tobytes("A")
        return name, str(value.dtype), value.shape, value.flags.writeable, value.flags.fnc, items
    if isinstance(value, dict):
        entries = cast("dict[Any, Any]", value).items()
        found += [(described(key, seen), described(item, seen)) for key, item in entries]
    elif isinstance(value, (set, frozenset)):
        found += sorted(repr(described(item, seen)) for item in cast("set[Any]", value))
    elif isinstance(value, (list, tuple)):
        found += [described(item, seen) for item in cast("list[Any]", value)]
    elif isinstance(value, (io.BytesIO, io.StringIO)):
        return name, value.getvalue(), value.tell()
    elif isinstance(value, io.IOBase):
        value.close()
        return name, getattr(value, "name", None)
    elif isinstance(value, pathlib.PurePath):
        return name, str(value)  # its fields say how it was made: 3.12 pickles the parts
    elif isinstance(value, memoryview):
        return name, value.tobytes(), value.format, value.shape, value.readonly
    elif kind.__module__ in ("builtins", "datetime", "decimal", "_decimal", "fractions", "uuid", "numpy", "re"):
        text = repr(value)
        found.append(text if " at 0x" not in text else "")
    for place, item in (getattr(value, "__dict__", None) or {}).items():
        found.append((place, described(item, seen)))
    for base in kind.__mro__:
        for slot, descriptor in vars(base).items():
            if isinstance(descriptor, types.MemberDescriptorType) and hasattr(value, slot):
                found.append((slot, described(getattr(value, slot), seen)))
    return tuple(found)


def described_error(error: BaseException, seen: tuple[int, ...] = ()) -> Any:
    """The remote traceback is no cause of the function's own."""
    cause = None if isinstance(error.__cause__, RemoteTraceback) else error.__cause__
    try:
        text = str(error)
    except ValueError:
        text = "no text"
    return (
        f"{type(error).__module__}.{type(error).__qualname__}",
        text if " at 0x" not in text else "",
        [described(item, seen) for item in error.args],
        [(name, described(field, seen)) for name, field in sorted(chain.fields_of(error).items())],
        None if cause is None else described(cause, seen),
        "the cause" if error.__context__ is cause else described(error.__context__, seen),
        error.__suppress_context__,
    )
