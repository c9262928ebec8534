"""Objects to bytes and back: `pickle` (by cloudpickle where pickle cannot) and `json`.

The only file that imports pickle. Whoever calls `loads` has verified the bytes first (wire/envelope.py) or made
them itself. Whatever goes wrong, in code of ours or of the values, is Unserialisable or Undecodable; only what is
no Exception (KeyboardInterrupt, SystemExit) passes through.
"""

from __future__ import annotations

import io
import json
import pickle
import struct
from collections.abc import Callable, Mapping
from importlib import import_module
from types import SimpleNamespace
from typing import Any, Literal, cast
from weakref import WeakSet

from simpledist import policy
from simpledist.errors import Undecodable, Unserialisable
from simpledist.pieces import BIG_BYTES, Data, Part, Pieces, Reader

Codec = Literal["pickle", "json"]
CODECS: tuple[Codec, ...] = ("pickle", "json")

JSON_DEPTH = 100
JSON_NODES = policy.MAX_VALUE_BYTES // 2  # each takes two bytes at least: more would be too big in any case
LINE_CHARACTERS = 300

# In front of what is not a plain pickle, which begins with b"\x80".
_BY_VALUE = b"c"  # what cloudpickle made
_BUFFERS = b"b"  # how many buffers, the length of each and whether it is read-only, then the pickle's; then all of them
_COUNT, _BUFFER, _LENGTH = struct.Struct(">I"), struct.Struct(">Q?"), struct.Struct(">Q")
_NUMBERS = (int, float, bool, type(None))
_SMALL_BYTES, _SMALL_ITEMS = 1024, 8
_NAMES_BYTES = 2 * BIG_BYTES  # names stand in frames, which are shorter; a longer piece is a value


def dumps(codec: str, value: Any) -> bytes:
    """`value` as bytes; Unserialisable, with the reason, where it cannot be."""
    return bytes(dump(codec, value))


def dump(codec: str, value: Any, *, lend: bool = False) -> Data:
    """`dumps` for what may be big: the bytes in it are not copied.

    Nor are arrays and other buffers that can change, with `lend`: they must not, until what is made of them has left.
    """
    try:
        if codec == "pickle":
            return _to_pickle(value, lend)
        if codec == "json":
            return _to_json(value)
    except Unserialisable:
        raise
    except Exception as error:
        raise Unserialisable(one_line(error)) from error
    raise Unserialisable(f"unknown codec {codec!r}")


def loads(codec: str, data: Data | memoryview) -> Any:
    """The object that `data` stands for; Undecodable, with the reason, where it cannot be made here. Uses up Pieces."""
    try:
        if codec == "pickle":
            return _from_pieces(data) if isinstance(data, Pieces) else _from_pickle(data)
        if codec == "json":
            return json.loads(str(bytes(data), "utf-8", "surrogatepass"))
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


def _to_pickle(value: Any, lend: bool) -> Data:
    if type(value) in _NUMBERS:  # most of what short calls return
        return pickle.dumps(value, protocol=5)
    try:
        if _is_small(value):
            data = pickle.dumps(value, protocol=5)
            return data if b"__main__" not in data else _by_value(value)
        parts, buffers = _pickled(value, lend)
    except Exception:  # noqa: BLE001 - whatever it is, there is a second way
        # Lambdas, closures, local classes: cloudpickle says what is really wrong, if it cannot either.
        return _by_value(value)
    # What names __main__ would be looked for in the __main__ of another program.
    if any(b"__main__" in part for part in parts if len(part) <= _NAMES_BYTES):
        return _by_value(value)
    return _with_buffers(parts, buffers) if buffers else _data(parts)


def _is_small(value: Any, depth: int = 3) -> bool:
    """Whether a look at the surface shows that a value holds nothing big: a pickler of its own takes 5 us to make."""
    kind = cast("type[object]", type(value))
    if kind in _NUMBERS:
        return True
    if kind is str or kind is bytes:
        return len(value) < _SMALL_BYTES
    if kind is dict:
        value = value.values()
    elif kind is not tuple and kind is not list:
        return False
    if not depth or len(value) > _SMALL_ITEMS:
        return False
    for item in value:  # noqa: SIM110
        # A generator, or a call a number, would take longer than the pickle.
        if type(item) not in _NUMBERS and not _is_small(item, depth - 1):
            return False
    return True


def _pickled(value: Any, lend: bool) -> tuple[list[Part], list[tuple[Part, bool]]]:
    """A pickle in pieces, and the big buffers that lie beside it; the big bytes in it are those of the value itself."""
    parts: list[Part] = []
    buffers: list[tuple[Part, bool]] = []

    def write(part: bytes | bytearray) -> None:
        parts.append(part if type(part) is bytes else memoryview(part) if lend else bytes(part))

    def in_band(buffer: pickle.PickleBuffer) -> bool:
        view = memoryview(buffer)
        if view.nbytes < BIG_BYTES or not view.contiguous:
            return True
        raw = buffer.raw()
        buffers.append((raw if lend else bytes(raw), raw.readonly))
        return False

    # A pickler that writes to a file hands over big bytes objects as they are.
    pickle.Pickler(cast(Any, SimpleNamespace(write=write)), 5, buffer_callback=in_band).dump(value)
    return parts, buffers


def _data(parts: list[Part]) -> Data:
    pieces = Pieces(parts)
    return pieces if len(pieces) > BIG_BYTES else bytes(pieces)


def _with_buffers(parts: list[Part], buffers: list[tuple[Part, bool]]) -> Data:
    table = b"".join(_BUFFER.pack(len(buffer), readonly) for buffer, readonly in buffers)
    head = _BUFFERS + _COUNT.pack(len(buffers)) + table + _LENGTH.pack(sum(len(part) for part in parts))
    return Pieces([head, *parts, *(buffer for buffer, _ in buffers)])


def _by_value(value: Any) -> Data:
    parts: list[Part] = [_BY_VALUE]
    # Loaded only when plain pickle does not do: most programs and children never need it.
    import_module("cloudpickle").dump(value, SimpleNamespace(write=parts.append), protocol=5)
    return _data(parts)


def _from_pickle(data: bytes | memoryview) -> Any:
    kind = data[:1]
    if kind == _BY_VALUE:
        return _ByValueUnpickler(io.BytesIO(memoryview(data)[1:])).load()
    if kind == _BUFFERS:
        return _from_pieces(Pieces([data]))
    return pickle.loads(data)  # noqa: S301 - verified by wire/envelope.py before it comes here


def _from_pieces(data: Pieces) -> Any:
    """What the pieces stand for; each goes once it is read, so that it never lies whole beside what is made of it."""
    kind = bytes(data.cut(0, 1))
    reader = Reader(data)
    if kind not in (_BY_VALUE, _BUFFERS):
        return pickle.Unpickler(cast(Any, reader)).load()  # noqa: S301 - as above
    reader.read(1)
    if kind == _BY_VALUE:
        return _ByValueUnpickler(cast(Any, reader)).load()
    (count,) = _COUNT.unpack(reader.read(_COUNT.size))
    table = [_BUFFER.unpack(reader.read(_BUFFER.size)) for _ in range(count)]
    (length,) = _LENGTH.unpack(reader.read(_LENGTH.size))
    pickled = reader.read(length)
    buffers = (_buffer(reader, size, readonly) for size, readonly in table)
    return pickle.loads(pickled, buffers=buffers)  # noqa: S301 - as above


def _buffer(reader: Reader, size: int, readonly: bool) -> bytes | bytearray:
    if not readonly:
        buffer = bytearray(size)
        if reader.readinto(buffer) < size:
            raise EOFError("cut short")
        return buffer
    # The bytes that a BytesIO holds can be filled in place.
    file = io.BytesIO()
    file.seek(size - 1)
    file.write(b"\0")
    with file.getbuffer() as room:
        if reader.readinto(room) < size:
            raise EOFError("cut short")
    return file.getvalue()


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
