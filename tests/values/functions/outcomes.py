"""Values and exceptions of every kind: `value(name)` returns one, `raising(name)` raises one. Python 3.10 and later."""

# Each case is one expression, and many are wrong on purpose.
# pyright: basic, reportConstantRedefinition=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

import array
import asyncio
import builtins
import collections
import concurrent.futures
import contextlib
import dataclasses
import datetime
import decimal
import enum
import errno
import fractions
import functools
import io
import ipaddress
import itertools
import json
import math
import operator
import os
import pathlib
import queue
import random
import re
import string
import struct
import sys
import threading
import types
import typing
import uuid
import weakref
import zoneinfo
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import numpy as np


class Plain:
    def __init__(self, x: Any = 1) -> None:
        self.x = x


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self) -> None:
        self.a = 1


class SlottedChild(Slotted):
    __slots__ = ("__dict__", "c")

    def __init__(self) -> None:
        super().__init__()
        self.c, self.more = 3, 4


@dataclasses.dataclass
class Data:
    a: int
    b: list[int] = dataclasses.field(default_factory=list[int])


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    a: int
    b: tuple[int, ...] = (1, 2)


class Pair(NamedTuple):
    left: int
    right: Any = None


class Colour(enum.Enum):
    RED = 1
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


class Flags(enum.Flag):
    A = 1
    B = 2


class MyInt(int): ...


class MyFloat(float): ...


class MyStr(str): ...


class MyBytes(bytes): ...


class MyTuple(tuple[Any, ...]): ...


class MyList(list[Any]): ...


class MyDict(dict[Any, Any]): ...


class MySet(set[Any]): ...


class Becomes:
    """Comes back as something else."""

    def __reduce__(self) -> tuple[Any, ...]:
        return int, (5,)


class RaisesOut:
    def __init__(self, kind: type[BaseException]) -> None:
        self.kind = kind

    def __reduce__(self) -> NoReturn:
        raise self.kind("no way out")


class RaisesBack:
    def __init__(self, kind: type[BaseException]) -> None:
        self.kind = kind

    def __reduce__(self) -> tuple[Any, ...]:
        return _throw, (self.kind,)


def _throw(kind: type[BaseException]) -> NoReturn:
    raise kind("no way back")


class Meta(type): ...


class WithMeta(metaclass=Meta): ...


class Callable_:
    def __call__(self) -> int:
        return 1

    def method(self) -> int:
        return 2

    @classmethod
    def of_class(cls) -> int:
        return 3


def with_attributes(target: Any, **attributes: Any) -> Any:
    for name, value in attributes.items():
        setattr(target, name, value)
    return target


def recursive_list() -> list[Any]:
    one: list[Any] = [1]
    one.append(one)
    return one


def recursive_dict() -> dict[str, Any]:
    one: dict[str, Any] = {}
    one["self"] = one
    return one


def recursive_object() -> Plain:
    one = Plain()
    one.x = [one]
    return one


def shared() -> list[Any]:
    one = [1]
    return [one, one]


def local_class() -> Any:
    class Local:
        def __init__(self) -> None:
            self.x = 1

    return Local()


def local_enum() -> Any:
    return enum.Enum("Made", "ONE TWO").ONE  # type: ignore[attr-defined]


def closure() -> Callable[[int], int]:
    factor = 3
    return lambda n: n * factor


def generator() -> Any:
    yield from (1, 2)


def half_read() -> Any:
    one = iter([1, 2, 3])
    next(one)
    return one


def bytes_io() -> io.BytesIO:
    one = io.BytesIO(b"abcdef")
    one.seek(3)
    return one


def string_io() -> io.StringIO:
    one = io.StringIO("abcdef")
    one.seek(2)
    return one


def caught(kind: type[BaseException] = ValueError) -> BaseException:
    try:
        try:
            raise KeyError("first")
        except KeyError as first:
            raise kind("second") from first
    except kind as second:
        return second


def nan(bits: int) -> float:
    return struct.unpack(">d", bits.to_bytes(8, "big"))[0]


VALUES: dict[str, Callable[[], Any]] = {}


def _add(**cases: Callable[[], Any]) -> None:
    VALUES.update(cases)


for _number in (0, 1, -1, 255, 2**31, -(2**63), 2**64, 10**100, True, False, None, 0.0, -0.0, 1.5, 1e308, 5e-324):
    VALUES[f"number {_number!r}"] = functools.partial(operator.pos if False else (lambda n: n), _number)
for _float in (math.inf, -math.inf):
    VALUES[f"float {_float}"] = functools.partial(lambda n: n, _float)
for _bits in (0x7FF8000000000000, 0x7FF8000000000123, 0xFFF8000000000001):
    VALUES[f"nan {_bits:x}"] = functools.partial(nan, _bits)
for _complex in (1 + 2j, complex(-0.0, 0.0), complex(math.nan, -math.inf)):
    VALUES[f"complex {_complex!r}"] = functools.partial(lambda n: n, _complex)
for _text in ("", "a", "é", "\ud800", "\0", "\U0001f600", "x" * 3000, "line\nline", b"", b"\0\xff", b"y" * 3000):
    VALUES[f"text {ascii(_text)[:20]} {len(_text)}"] = functools.partial(lambda n: n, _text)
for _single in (
    NotImplemented,
    Ellipsis,
    int,
    type,
    object,
    len,
    print,
    math.sin,
    str.join,
    json,
    os.path,
    Plain,
    Meta,
):
    VALUES[f"known {_single!r}"[:60]] = functools.partial(lambda n: n, _single)
_add(
    empty_tuple=lambda: (),
    empty_list=lambda: [],
    empty_dict=lambda: {},
    empty_set=lambda: set[int](),
    empty_frozenset=lambda: frozenset[int](),
    nested=lambda: {"a": [1, (2, {3: b"4"})], ("k", 1): {None: ...}},
    deep=lambda: functools.reduce(lambda inner, _: [inner], range(80), 0),
    mixed_keys=lambda: {1: "a", 1.5: "b", "1": "c", (1,): "d", None: "e", b"1": "f"},
    dict_order=lambda: {"b": 1, "a": 2, "c": 3},
    big_list=lambda: list(range(20_000)),
    big_text=lambda: "z" * 300_000,
    big_bytes=lambda: bytes(300_000),
    number_set=lambda: {3, 1, 2},
    text_set=lambda: {"b", "a"},
    frozen=lambda: frozenset({1, "a", (2,)}),
    a_range=lambda: range(1, 10, 3),
    a_slice=lambda: slice(1, None, 2),
    byte_array=lambda: bytearray(b"abc"),
    big_byte_array=lambda: bytearray(200_000),
    view=lambda: memoryview(b"abc"),
    writeable_view=lambda: memoryview(bytearray(b"abc")),
    view_of_numbers=lambda: memoryview(array.array("d", [1.0, 2.0])),
    view_with_gaps=lambda: memoryview(b"abcdef")[::2],
    nested_view=lambda: {"a": [memoryview(b"abc")]},
    an_array=lambda: array.array("i", [1, 2]),
    plain=lambda: Plain([1, 2]),
    slotted=Slotted,
    slotted_child=SlottedChild,
    data=lambda: Data(1, [2]),
    frozen_data=lambda: Frozen(1),
    pair=lambda: Pair(1, "b"),
    old_namedtuple=lambda: sys.version_info,
    struct_sequence=lambda: os.stat(__file__),
    terminal_size=lambda: os.terminal_size((80, 24)),
    colour=lambda: Colour.BLUE,
    level=lambda: Level.LOW,
    flags=lambda: Flags.A | Flags.B,
    members=lambda: list(Colour),
    my_int=lambda: with_attributes(MyInt(3), x=1),
    my_float=lambda: MyFloat(0.5),
    my_str=lambda: with_attributes(MyStr("a"), x=1),
    my_bytes=lambda: MyBytes(b"a"),
    my_tuple=lambda: with_attributes(MyTuple((1, 2)), x=1),
    my_list=lambda: with_attributes(MyList([1]), x=1),
    my_dict=lambda: with_attributes(MyDict(a=1), x=1),
    my_set=lambda: with_attributes(MySet({1}), x=1),
    keys_of_my_str=lambda: {MyStr("a"): MyInt(1)},
    recursive_list=recursive_list,
    recursive_dict=recursive_dict,
    recursive_object=recursive_object,
    shared=shared,
    ordered=lambda: collections.OrderedDict(b=1, a=2),
    default_dict=lambda: collections.defaultdict(list, a=[1]),
    counter=lambda: collections.Counter("aab"),
    deque=lambda: collections.deque([1, 2], maxlen=3),
    chain_map=lambda: collections.ChainMap({"a": 1}, {"b": 2}),
    user_dict=lambda: collections.UserDict(a=1),
    namespace=lambda: types.SimpleNamespace(a=1),
    proxy=lambda: types.MappingProxyType({"a": 1}),
    dict_keys=lambda: {"a": 1}.keys(),
    dict_values=lambda: {"a": 1}.values(),
    dict_items=lambda: {"a": 1}.items(),
    date=lambda: datetime.date(2026, 2, 28),
    time=lambda: datetime.time(1, 2, 3, 4, fold=1),
    naive=lambda: datetime.datetime.fromisoformat("2026-01-01T01:01:01.000007"),
    aware=lambda: datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
    zoned=lambda: datetime.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
    offset=lambda: datetime.timezone(datetime.timedelta(hours=5, minutes=30), "X"),
    delta=lambda: datetime.timedelta(-1, 2, 3),
    a_decimal=lambda: decimal.Decimal("1.10"),
    decimal_nan=lambda: decimal.Decimal("sNaN123"),
    decimal_zero=lambda: decimal.Decimal("-0E+3"),
    decimal_context=lambda: decimal.Context(prec=7, rounding=decimal.ROUND_UP),
    fraction=lambda: fractions.Fraction(1, 3),
    path=lambda: pathlib.PurePosixPath("/a/b"),
    real_path=lambda: pathlib.Path("a"),
    an_uuid=lambda: uuid.UUID(int=7),
    network=lambda: ipaddress.ip_network("10.0.0.0/8"),
    pattern=lambda: re.compile("a+", re.IGNORECASE),
    match=lambda: re.match("a", "a"),
    template=lambda: string.Template("$a"),
    random_state=lambda: random.Random(5),
    bound=lambda: Callable_().method,
    bound_to_class=lambda: Callable_.of_class,
    bound_builtin=lambda: [1, 2].append,
    partial=lambda: functools.partial(pow, 2),
    item_getter=lambda: operator.itemgetter(1, 2),
    attribute_getter=lambda: operator.attrgetter("a.b"),
    method_caller=lambda: operator.methodcaller("a", 1),
    a_lambda=lambda: lambda: 1,
    closure=closure,
    local_class=local_class,
    local_enum=local_enum,
    cached=lambda: functools.lru_cache(maxsize=2)(closure()),
    generator=generator,
    list_iterator=half_read,
    zipped=lambda: zip([1], [2], strict=False),
    mapped=lambda: map(abs, [-1]),
    counting=lambda: itertools.count(3),
    bytes_io=bytes_io,
    string_io=string_io,
    lock=threading.Lock,
    r_lock=threading.RLock,
    event=threading.Event,
    a_queue=queue.Queue,
    simple_queue=queue.SimpleQueue,
    weak=lambda: weakref.ref(Plain),
    context=lambda: contextlib.nullcontext(1),
    an_union=lambda: int | None,
    alias=lambda: list[int],
    typed=lambda: typing.Optional[int],  # noqa: UP045
    frame=lambda: sys._getframe(),
    module=lambda: math,
    with_meta=WithMeta,
    a_property=lambda: property(len),
    static=lambda: staticmethod(len),
    becomes=Becomes,
    nested_becomes=lambda: [{"a": Becomes()}],
    raises_out=lambda: RaisesOut(ValueError),
    exits_out=lambda: RaisesOut(SystemExit),
    interrupts_out=lambda: RaisesOut(KeyboardInterrupt),
    generator_exits_out=lambda: RaisesOut(GeneratorExit),
    raises_back=lambda: RaisesBack(ValueError),
    exits_back=lambda: RaisesBack(SystemExit),
    interrupts_back=lambda: RaisesBack(KeyboardInterrupt),
    recursion_back=lambda: RaisesBack(RecursionError),
    returned_error=lambda: ValueError("returned"),
    returned_caught=caught,
    returned_os_error=lambda: FileNotFoundError(errno.ENOENT, "none", "name"),
    returned_exit=lambda: SystemExit(3),
    returned_errors=lambda: [ValueError(1), KeyError(2)],
    np_scalar=lambda: np.float32(1.5),
    np_int=lambda: np.int8(-3),
    np_bool=lambda: np.bool_(True),
    np_nan=lambda: np.float64("nan"),
    np_text=lambda: np.str_("a"),
    np_date=lambda: np.datetime64("2026-01-01"),
    np_array=lambda: np.arange(6).reshape(2, 3),
    np_fortran=lambda: np.asfortranarray(np.arange(6).reshape(2, 3)),
    np_empty=lambda: np.empty((0, 3)),
    np_zero_dimensions=lambda: np.array(5),
    np_gaps=lambda: np.arange(10)[::3],
    np_read_only=lambda: np.frombuffer(b"abcdefgh", dtype=np.uint8),
    np_objects=lambda: np.array([None, "a", {1: 2}], dtype=object),
    np_structured=lambda: np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    np_big=lambda: np.arange(40_000.0),
    np_big_endian=lambda: np.array([1, 2], dtype=">i4"),
    np_dtype=lambda: np.dtype("f4"),
    np_matrix=lambda: np.arange(4).reshape(2, 2).view(np.recarray),
)


# --- exceptions ------------------------------------------------------------------------------------------------------


class KeywordOnly(Exception):
    def __init__(self, a: Any, *, b: Any) -> None:
        super().__init__(a)
        self.b = b


class OtherArguments(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Empty(Exception):
    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__()


class SlottedError(Exception):
    __slots__ = ("where",)

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.where = "here"


class ReducedError(Exception):
    """Its own reduce drops what was added."""

    def __reduce__(self) -> tuple[Any, ...]:
        return ReducedError, self.args


class NamedError(Exception):
    @property
    def twice(self) -> Any:
        return self.args * 2


class Both(KeyError, AttributeError): ...


class NoText(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class OwnBase(BaseException): ...


def noted(error: BaseException, *notes: str) -> BaseException:
    cast_error: Any = error
    cast_error.__notes__ = list(notes)
    return error


def _from(cause: BaseException | None) -> NoReturn:
    raise ValueError("outer") from cause


def _during(suppress: bool = False) -> NoReturn:
    try:
        raise KeyError("inner")
    except KeyError:
        if suppress:
            raise ValueError("outer") from None
        raise ValueError("outer")  # noqa: B904 - the context is what is looked at


def _chain(length: int) -> NoReturn:
    try:
        if length:
            _chain(length - 1)
        raise ValueError("first")
    except Exception as error:
        raise RuntimeError(length) from error


def _raised(error: BaseException) -> NoReturn:
    raise error


def _group(*members: Any, text: str = "many") -> BaseException:
    kind: Any = getattr(builtins, "BaseExceptionGroup", None)
    return kind(text, members) if kind is not None else ValueError(text, members)


def _caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def _json(text: str) -> Any:
    return json.loads(text)


def _exit(code: Any) -> NoReturn:
    sys.exit(code)


def _stop(value: Any) -> NoReturn:
    raise StopIteration(value)


RAISES: dict[str, Callable[[], Any]] = {
    f"builtin {name}": functools.partial(lambda kind: _raised(kind("text", 1)), kind)
    for name, kind in sorted(vars(builtins).items())
    if isinstance(kind, type)
    and issubclass(kind, Exception)
    and not issubclass(kind, (UnicodeError, Warning, RecursionError, MemoryError, ImportError))
    and "Group" not in name
    and name not in ("EnvironmentError", "IOError")
}
RAISES |= {
    "zero": lambda: 1 // 0,
    "key": lambda: {}["k"],  # type: ignore[index]
    "index": lambda: [][3],
    "type": lambda: len(3),  # type: ignore[arg-type]
    "arguments": lambda: Pair(),  # type: ignore[call-arg]
    "attribute": lambda: None.missing,  # type: ignore[attr-defined]
    "attribute of object": lambda: Plain(3).missing,  # type: ignore[attr-defined]
    "attribute of module": lambda: math.missing,  # type: ignore[attr-defined]
    "attribute of what is not pickled": lambda: threading.Lock().missing,  # type: ignore[attr-defined]
    "attribute set": lambda: setattr(3, "x", 1),
    "name": lambda: missing_name,  # type: ignore[name-defined] # noqa: F821
    "import": lambda: __import__("no_such_module_at_all"),
    "import from": lambda: exec("from math import nothing_there", {}),
    "syntax": lambda: compile("a b", "file.py", "exec"),
    "indentation": lambda: compile(" a\nb", "file.py", "exec"),
    "os": lambda: open("/nonexistent/x"),  # noqa: SIM115
    "os rename": lambda: os.rename("/nonexistent/x", "/nonexistent/y"),
    "os with number": lambda: _raised(OSError(errno.EPIPE, "pipe")),
    "os alone": lambda: _raised(OSError("only text")),
    "decode": lambda: b"\xff".decode(),
    "encode": lambda: "\ud800".encode(),
    "json": lambda: _json("{"),
    "struct": lambda: struct.unpack("i", b""),
    "regex": lambda: re.compile("("),
    "decimal": lambda: decimal.Decimal("x"),
    "recursion": lambda: functools.reduce(lambda f, _: lambda: f(), range(5000), int)(),
    "memory": lambda: _raised(MemoryError("mine")),
    "stop": lambda: _stop(None),
    "stop with value": lambda: _stop({"a": 1}),
    "exit": lambda: _exit(3),
    "exit text": lambda: _exit("bye"),
    "exit none": lambda: _exit(None),
    "interrupt": lambda: _raised(KeyboardInterrupt("k")),
    "generator exit": lambda: _raised(GeneratorExit("g")),
    "own base": lambda: _raised(OwnBase(1)),
    "cancelled": lambda: _raised(asyncio.CancelledError("c")),
    "future cancelled": lambda: _raised(concurrent.futures.CancelledError()),
    "asyncio timeout": lambda: _raised(asyncio.TimeoutError("mine")),
    "broken pool": lambda: _raised(concurrent.futures.BrokenExecutor("b")),
    "keyword only": lambda: _raised(KeywordOnly(1, b=2)),
    "other arguments": lambda: _raised(OtherArguments(1, "a")),
    "no arguments kept": lambda: _raised(Empty(4)),
    "slotted": lambda: _raised(SlottedError("a")),
    "slotted changed": lambda: _raised(with_attributes(SlottedError("a"), where=[1])),
    "reduced": lambda: _raised(with_attributes(ReducedError("a"), more=5)),
    "attributes": lambda: _raised(with_attributes(ValueError("a"), code=5, inner=Plain(2))),
    "attribute that cannot travel": lambda: _raised(with_attributes(ValueError("a"), lock=threading.Lock())),
    "changed arguments": lambda: _raised(with_attributes(ValueError("a"), args=("b", 2))),
    "changed stop": lambda: _raised(with_attributes(StopIteration(1), value=2)),
    "changed exit": lambda: _raised(with_attributes(SystemExit(1), code=2)),
    "changed file": lambda: _raised(with_attributes(OSError(2, "no", "a"), filename="b")),
    "changed name": lambda: _raised(with_attributes(NameError("n"), name="z")),
    "property": lambda: _raised(NamedError(1)),
    "two bases": lambda: _raised(Both("a")),
    "no text": lambda: _raised(NoText("x")),
    "notes": lambda: _raised(noted(ValueError("a"), "one", "two\nlines")),
    "notes of another kind": lambda: _raised(noted(ValueError("a"), 3)),  # type: ignore[arg-type]
    "cause": lambda: _from(KeyError("cause")),
    "cause none": lambda: _from(None),
    "cause with attributes": lambda: _from(with_attributes(OSError(2, "x"), more=[1])),
    "cause with notes": lambda: _from(noted(KeyError("c"), "n")),
    "cause that cannot travel": lambda: _from(OtherArguments(1, "a")),
    "cause of cause": lambda: _from(_caused(KeyError("c"), TypeError("t"))),
    "context": _during,
    "context suppressed": lambda: _during(True),
    "long chain": lambda: _chain(60),
    "error in arguments": lambda: _raised(ValueError(KeyError("inner"), [TypeError(1)])),
    "caught in arguments": lambda: _raised(ValueError(caught())),
    "group": lambda: _raised(_group(ValueError(1), KeyError("k"))),
    "nested groups": lambda: _raised(_group(_group(ValueError(1), text="in"), noted(TypeError(2), "n"))),
    "group with causes": lambda: _raised(_caused(_group(caught(), caught(TypeError)), KeyError("all"))),
    "group with odd member": lambda: _raised(_group(OtherArguments(1, "a"))),
    "nan argument": lambda: _raised(ValueError(math.nan, -0.0)),
    "object argument": lambda: _raised(ValueError(Plain(3), Frozen(1), Colour.RED)),
    "lock argument": lambda: _raised(ValueError(threading.Lock())),
    "view argument": lambda: _raised(ValueError(memoryview(b"abc"))),
    "becoming argument": lambda: _raised(ValueError(Becomes())),
    "exiting argument": lambda: _raised(ValueError(RaisesBack(SystemExit))),
    "exiting out argument": lambda: _raised(ValueError(RaisesOut(SystemExit))),
    "array argument": lambda: _raised(ValueError(np.arange(3))),
    "huge text": lambda: _raised(ValueError("x" * 200_000)),
    "surrogate": lambda: _raised(ValueError("\ud800")),
    "warning": lambda: _raised(DeprecationWarning("old")),
    "unicode by hand": lambda: _raised(UnicodeDecodeError("utf-8", b"abc", 0, 1, "why")),
}


def value(name: str) -> Any:
    return VALUES[name]()


def raising(name: str) -> Any:
    return RAISES[name]()
