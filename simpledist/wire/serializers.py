"""Objects to bytes and back: `pickle` (by value, with cloudpickle, where pickle cannot) and `json`.

Owns when a value travels by value; how is in by_value.py, and no other file imports pickle. A shared object stands
outside the values that contain it, as a blob: `dump_blob` makes it and `load_blob` reads it. The caller of `loads` has
verified the bytes first (wire/envelope.py) or made them itself. Whatever goes wrong, in code of ours or of the values,
is Unserialisable or Undecodable, a KeyboardInterrupt or SystemExit too, unless a signal brought it.
"""

from __future__ import annotations

import functools
import io
import json
import pickle
import struct
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from types import FunctionType, SimpleNamespace
from typing import Any, Literal, NamedTuple, cast

from simpledist.buffers import BIG_BYTES, NAMES_BYTES, Blob, Data, Part, Pieces, Reader, kept
from simpledist.errors import Undecodable, Unserialisable
from simpledist.interruption import by_signal
from simpledist.wire import blobs, buffer_blobs, expected_code
from simpledist.wire.blobs import AtHand, Shared
from simpledist.wire.buffer_blobs import taken_out
from simpledist.wire.json_values import to_json

Codec = Literal["pickle", "json"]
CODECS: tuple[Codec, ...] = ("pickle", "json")
_BLOB = "blob"  # of no call: a shared object by itself

LINE_CHARACTERS = 300

_PLAIN = b"\x80"  # a pickle begins so
# In front of what is not a plain pickle. First, where it went by value, one of:
_VALUES = b"v"  # cloudpickle made it, and there is no code in it
_CODE = b"c"  # the same with code in it; the Python that made it, two bytes: no other minor can run that
# Then, where big buffers stand outside the pickle: how many, the length of each and whether it is read-only, then the
# pickle's length, the pickle, and the buffers.
_BUFFERS = b"b"
_ALIGNED = b"a"  # the same in a blob, where each buffer begins at a multiple of 64 bytes: it is used in place
_ALIGNMENT = 64
_PYTHON = bytes(sys.version_info[:2])
_AT_ODDS = frozenset((_CODE, expected_code.MARK))  # what begins so may hold code of one Python
BEGINS = frozenset((_PLAIN, _VALUES, _CODE, _BUFFERS))  # what `dumps` makes of an object begins with one of these
CODE_MARK = _CODE + _PYTHON  # in front of whatever holds code of this Python
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_COUNT, _BUFFER, _LENGTH = struct.Struct(">I"), struct.Struct(">Q?"), struct.Struct(">Q")
_NUMBERS = (int, float, bool, type(None))
_SMALL_BYTES, _SMALL_ITEMS = 1024, 8


def dumps(codec: str, value: Any) -> bytes:
    """`value` as bytes; Unserialisable, with the reason, where it cannot be."""
    return bytes(dump(codec, value))


def dump(codec: str, value: Any, *, lend: bool = False, shared: Shared | None = None) -> Data:
    """`dumps` for what may be big: the bytes in it are not copied.

    Nor are arrays and other buffers that can change, with `lend`: they must not, until what is made of them has left.
    Objects that are `shared` stand outside a pickle, as the blobs of what is returned.
    """
    try:
        if codec == "pickle":
            return _to_pickle(value, lend, shared)
        if codec == "json":
            return to_json(value)
        if codec == _BLOB:
            return _to_pickle(value, True, None, _ALIGNED)
    except Unserialisable:
        raise
    except BaseException as error:
        if by_signal(error):
            raise
        raise Unserialisable(one_line(error)) from error
    raise Unserialisable(f"unknown codec {codec!r}")


def dump_blob(value: Any) -> Data:
    """Return an object as a blob: what `load_blob` reads. Its buffers are not copied. Raises Unserialisable."""
    return dump(_BLOB, value)


def loads(codec: str, data: Data | memoryview) -> Any:
    """Decode an object; raise Undecodable, with the reason, if it cannot be decoded here. Uses up Pieces."""
    try:
        if codec == "pickle":
            return _from_pieces(data) if isinstance(data, Pieces) else _from_pickle(data)
        if codec == "json":
            return json.loads(str(bytes(data), "utf-8", "surrogatepass"))
        if codec == _BLOB and isinstance(data, memoryview):
            return _from_blob(data)
    except Undecodable:
        raise
    except BaseException as error:
        if by_signal(error):
            raise
        raise Undecodable(one_line(error)) from error
    raise Undecodable(f"unknown codec {codec!r}")


def load_blob(data: bytes | memoryview) -> Any:
    """Return the object of a blob. Its arrays are read-only and use the memory of `data`. Raises Undecodable."""
    return loads(_BLOB, memoryview(data).toreadonly())


def one_line(error: BaseException) -> str:
    """Type and text of an exception of anybody's, fit for a log and for Redis; raises only what a signal brings."""
    try:
        text = str(error)[: LINE_CHARACTERS * 4]
    except BaseException as broken:  # a user's __str__ may raise anything
        if by_signal(broken):
            raise
        text = f"(its text is not readable: {type(broken).__name__})"
    line = " ".join(f"{type(error).__name__}: {text}".split())[:LINE_CHARACTERS]
    # Half a surrogate cannot be sent, an escape sequence should not reach a terminal.
    return "".join(character if character.isprintable() else "?" for character in line)


def blobs_before(body: memoryview) -> tuple[list[Blob], memoryview]:
    """Return the blobs that a batch carries in front of its body, and the rest of it. Raises Undecodable."""
    carried: list[Blob] = []
    if bytes(body[:1]) == blobs.CARRIED:
        reader = Reader(Pieces([body[1:]]))
        carried = blobs.read_carried(reader, load_blob)
        body = memoryview(reader.read())
    return carried, body[blobs.behind_names(body) :]


# --- pickle ----------------------------------------------------------------------------------------------------------


def holds_code(data: Data | memoryview) -> bool:
    """Return whether what `dump("pickle", ...)` made has code in it, so that only the same Python minor can load it."""
    return _cut(data, 0, 1) == _CODE


def python_of(data: Data | memoryview) -> str:
    """Return the Python minor that alone can load what `dump` made, as "3.11"; "" where any can."""
    if type(data) is bytes and data[:1] not in _AT_ODDS:  # most of them
        return ""
    at = expected_code.behind_lines(data, blobs.behind_names(data))
    own = _text(_cut(data, at + 1, at + 3)) if _cut(data, at, at + 1) == _CODE else ""
    return own or (max((blob.python for blob in data.blobs), default="") if isinstance(data, Pieces) else "")


def _to_pickle(value: Any, lend: bool, shared: Shared | None, layout: bytes = _BUFFERS) -> Data:
    if type(value) in _NUMBERS:  # most of what short calls return
        return pickle.dumps(value, protocol=5)
    try:
        if not shared and _is_small(value):
            data = pickle.dumps(value, protocol=5)
            # In two steps: a short call of a program without cloudpickle pays for none but the first.
            stays = b"main__" not in data and ("cloudpickle" not in sys.modules or not _must_go_by_value(data))
            return data if stays else _by_value(value, lend, None, layout)
        made = _pickled(pickle.Pickler, value, shared)
    except Exception as error:
        if by_signal(error):
            raise
        # Lambdas, closures, local classes: cloudpickle says what is really wrong, if it cannot either.
        return _by_value(value, lend, shared, layout)
    if any(_must_go_by_value(part) for part in made.parts if type(part) is bytes and len(part) <= NAMES_BYTES):
        del made
        return _by_value(value, lend, shared, layout)
    return _finished(b"", made, lend, shared, layout)


def _by_value(value: Any, lend: bool, shared: Shared | None, layout: bytes) -> Data:
    made = _pickled(_cloudpickle().Pickler, value, shared)
    return _finished(CODE_MARK if made.pickler.holds_code else _VALUES, made, lend, shared, layout)


def _finished(mark: bytes, made: _Pickled, lend: bool, shared: Shared | None, layout: bytes) -> Data:
    """Return what a pickler has made, with the names of the blobs in it in front."""
    used = [blob for _, blob in made.pickler.used.values()] if shared else []
    if shared is not None and (made.big or made.buffers):
        ask = functools.partial(shared.repeated, lend=lend)
        parts, rows, repeated = taken_out(made.parts, made.big, made.buffers, ask, blobs.MOST - len(used))
        if repeated:
            whole = buffer_blobs.joined(mark, parts, rows, repeated, len(used))
            return blobs.naming(kept(whole, lend), used + repeated)
    else:
        parts, rows = made.parts, [(buffer_blobs.kind_of(buffer), buffer) for buffer in made.buffers]
    data = _joined(mark, parts, cast("list[tuple[int, Part]]", rows), lend, layout)
    return blobs.naming(data, used) if used else data


def _must_go_by_value(pickled: bytes) -> bool:
    """Return whether a pickle names code that no other program has, or that is not to be taken from its files.

    That is the code of `__main__` (or `__mp_main__`), and of modules given to cloudpickle.register_pickle_by_value.
    """
    if b"main__" in pickled:
        return True
    registered = _registered()
    return bool(registered) and any(name.encode() in pickled for name in registered)


def _registered() -> set[str]:
    cloudpickle: Any = sys.modules.get("cloudpickle")
    return set() if cloudpickle is None else getattr(cloudpickle, "list_registry_pickle_by_value", set)()


def goes_by_value(module: str) -> bool:
    """Return whether the program has asked for the code of this module, or of a package around it, to go by value."""
    return any(name == module or module.startswith(f"{name}.") for name in _registered())


def _is_small(value: Any, depth: int = 3) -> bool:
    """Return whether the surface of a value shows that it holds nothing big: creating a pickler takes 5 us."""
    kind: Any = type(value)  # pyright: ignore[reportUnknownVariableType] - `cast` would be a call
    if kind in _NUMBERS:
        return True
    if kind is str or kind is bytes:
        return len(value) < _SMALL_BYTES
    if kind is dict:
        value = value.values()
    elif kind is not tuple and kind is not list:
        return kind is FunctionType  # plain pickle writes its name, or fails at once
    if not depth or len(value) > _SMALL_ITEMS:
        return False
    for item in value:  # noqa: SIM110
        # A generator, or a call a number, would take longer than the pickle.
        if type(item) not in _NUMBERS and not _is_small(item, depth - 1):
            return False
    return True


class _Pickled(NamedTuple):
    """Pickle in pieces, and the big buffers outside it. All that is big is still the value's own memory.

    `big`: the places of big bytes among its parts, and how many buffers come before each.
    """

    pickler: Any
    parts: list[Part]
    buffers: list[memoryview]
    big: list[tuple[int, int]]


def _pickled(make: type[Any], value: Any, shared: Shared | None) -> _Pickled:
    """Pickle a value. A pickler that writes to a file hands over big bytes as they are."""
    parts: list[Part] = []
    buffers: list[memoryview] = []
    big: list[tuple[int, int]] = []

    def write(part: bytes | bytearray | pickle.PickleBuffer) -> None:
        if len(parts) and type(part) in (bytes, bytearray) and len(cast("bytes", part)) >= buffer_blobs.LEAST_BYTES:
            big.append((len(parts), len(buffers)))
        parts.append(part if type(part) is bytes else memoryview(part))

    def in_band(buffer: pickle.PickleBuffer) -> bool:
        view = memoryview(buffer)
        if view.nbytes < BIG_BYTES or not view.contiguous:
            return True
        buffers.append(buffer.raw())
        return False

    kind = blobs.with_part(blobs.Names, make) if shared else make
    pickler = kind(SimpleNamespace(write=write), 5, buffer_callback=in_band)
    if shared:
        pickler.shared, pickler.used = shared, {}
    pickler.dump(value)
    return _Pickled(pickler, parts, buffers, big)


def _joined(mark: bytes, parts: list[Part], rows: list[tuple[int, Part]], lend: bool, layout: bytes) -> Data:
    whole: list[Part] = [mark, *parts]
    if rows:
        table = b"".join(_BUFFER.pack(len(buffer), buffer_blobs.is_fixed(kind)) for kind, buffer in rows)
        length = sum(len(part) for part in parts)
        whole[0] = mark + layout + _COUNT.pack(len(rows)) + table + _LENGTH.pack(length)
        end = len(whole[0]) + length
        for _, buffer in rows:
            gap = -end % _ALIGNMENT if layout == _ALIGNED else 0
            whole += (bytes(gap), buffer)
            end += gap + len(buffer)
    return kept(whole, lend)


def _cloudpickle() -> Any:
    # Loaded only when plain pickle does not do: most programs and children never need it.
    return import_module("simpledist.code.by_value")


def _from_pickle(data: bytes | memoryview) -> Any:
    if data[:1] == _PLAIN:
        return pickle.loads(data)  # noqa: S301 - verified by wire/envelope.py before it comes here
    begin = _head(data)
    if begin and data[begin : begin + 1] == _PLAIN:
        return _cloudpickle().Unpickler(io.BytesIO(memoryview(data)[begin:])).load()
    return _from_pieces(Pieces([data]))


def _head(data: Data | memoryview) -> int:
    """Return how long the mark in front is. Raises Undecodable for code of another Python."""
    kind = _cut(data, 0, 1)
    if kind != _CODE:
        return int(kind == _VALUES)
    python = _cut(data, 1, 3)
    if python != _PYTHON:
        raise other_python(_text(python))
    return 3


def other_python(theirs: str) -> Undecodable:
    """Return the error of a value that holds the code of another Python minor."""
    return Undecodable(f"it holds code of Python {theirs}, which Python {PYTHON} cannot run")


def _text(python: bytes) -> str:
    return ".".join(map(str, python))


def _cut(data: Data | memoryview, start: int, stop: int) -> bytes:
    return bytes(data.cut(start, stop) if isinstance(data, Pieces) else data[start:stop])


def _from_pieces(data: Pieces) -> Any:
    """Decode pieces; each is freed once it is read, so that they never take the memory of the object once more."""
    its = data.blobs
    reader = Reader(data)
    mark = reader.read(1)
    if mark == blobs.CARRIED:
        its = blobs.read_carried(reader, load_blob)
        mark = reader.read(1)
    names: tuple[str, ...] | None = None
    if mark == blobs.NAMED:
        names = blobs.read_names(reader)
        mark = reader.read(1)
    if mark == expected_code.MARK:
        expected_code.compare(reader)
        mark = reader.read(1)
    by_value, at_hand = mark in (_VALUES, _CODE), AtHand(names, its)
    make = _unpickler(by_value, None if names is None else at_hand)
    if by_value:
        _head(mark + reader.read(2) if mark == _CODE else mark)
        mark = reader.read(1)
    if mark == buffer_blobs.MARK:
        rows, text = buffer_blobs.read_head(reader)
        found = (
            at_hand.buffer(place - 1, kind) if place else reader.read_buffer(size, readonly=buffer_blobs.is_fixed(kind))
            for size, kind, place in rows
        )
        return make(io.BytesIO(text), buffers=found).load()
    if mark != _BUFFERS:
        reader.put_back(mark)
        return make(reader).load()
    (count,) = _COUNT.unpack(reader.read(_COUNT.size))
    table = [_BUFFER.unpack(reader.read(_BUFFER.size)) for _ in range(count)]
    (length,) = _LENGTH.unpack(reader.read(_LENGTH.size))
    pickled = io.BytesIO(reader.read(length))
    buffers = (reader.read_buffer(size, readonly=readonly) for size, readonly in table)
    return make(pickled, buffers=buffers).load()


def _unpickler(by_value: bool, at_hand: AtHand | None) -> Callable[..., Any]:
    """Return what makes an unpickler that finds these blobs."""
    base: type[Any] = _cloudpickle().Unpickler if by_value else pickle.Unpickler
    if at_hand is None:
        return base

    def make(file: Any, buffers: Iterable[Any] | None = None) -> Any:
        unpickler = blobs.with_part(blobs.Finds, base)(file, buffers=buffers)
        unpickler.find = at_hand.find
        return unpickler

    return make


def _from_blob(view: memoryview) -> Any:
    at = _head(view)
    if bytes(view[at : at + 1]) != _ALIGNED:
        return _from_pickle(view)
    unpickler: Any = _cloudpickle().Unpickler if at else pickle.Unpickler
    (count,) = _COUNT.unpack_from(view, at + 1)
    at += 1 + _COUNT.size
    sizes = [_BUFFER.unpack_from(view, at + number * _BUFFER.size)[0] for number in range(count)]
    at += count * _BUFFER.size
    (length,) = _LENGTH.unpack_from(view, at)
    at += _LENGTH.size
    pickled = io.BytesIO(view[at : at + length])
    at += length
    buffers: list[memoryview] = []
    for size in sizes:
        at += -at % _ALIGNMENT
        buffers.append(view[at : at + size])
        at += size
    if at > len(view):
        raise Undecodable("not a blob: cut short")
    return unpickler(pickled, buffers=buffers).load()
