"""Values and exceptions of every kind: `value(name)` returns one, `raising(name)` raises one. Python 3.10 and later."""

# Each case is one expression, and many are wrong on purpose.
# pyright: basic, reportConstantRedefinition=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

import array
import collections
import contextlib
import datetime
import decimal
import errno
import fractions
import functools
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
import sys
import threading
import types
import typing
import uuid
import weakref
import zoneinfo
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.values.functions.kinds import (
    Becomes,
    Callable_,
    Colour,
    Data,
    Flags,
    Frozen,
    Level,
    Meta,
    MyBytes,
    MyDict,
    MyFloat,
    MyInt,
    MyList,
    MySet,
    MyStr,
    MyTuple,
    Pair,
    Plain,
    RaisesBack,
    RaisesOut,
    Slotted,
    SlottedChild,
    WithMeta,
    bytes_io,
    caught,
    closure,
    generator,
    half_read,
    local_class,
    local_enum,
    nan,
    recursive_dict,
    recursive_list,
    recursive_object,
    shared,
    string_io,
    with_attributes,
)
from tests.values.functions.raises import RAISES

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


def value(name: str) -> Any:
    return VALUES[name]()


def raising(name: str) -> Any:
    return RAISES[name]()
