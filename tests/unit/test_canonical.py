"""The content address: equal for equal calls, whatever made them; different for all others; none where it would lie."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import math
import os
import pathlib
import pickle
import random
import subprocess
import sys
import threading
import uuid
import zoneinfo
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simpledist.code import canonical
from simpledist.errors import Unkeyable

T = TypeVar("T")


def of(*args: Any, **kwargs: Any) -> bytes:
    return canonical.address("fib", "pickle", "here:fib/py3.11/1", args, kwargs)


# --- what is equal and what is not, against a slow reference ---------------------------------------------------------


def reference(value: Any) -> Any:
    """A tree that is equal for two values exactly if they are the same, types included."""
    if isinstance(value, float):
        return ("float", "nan" if math.isnan(value) else value.hex())
    if isinstance(value, (list, tuple)):
        items = cast("list[Any]", value)
        return (type(items).__name__, *(reference(item) for item in items))
    if isinstance(value, dict):
        pairs = cast("dict[Any, Any]", value).items()
        return ("dict", frozenset((reference(key), reference(item)) for key, item in pairs))
    if isinstance(value, (set, frozenset)):
        members = cast("set[Any]", value)
        return (type(members).__name__, frozenset(reference(item) for item in members))
    return (type(value).__name__, value)


hashable = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.integers() | st.sampled_from([0.0, -0.0, 1.0, math.nan])
    | st.floats() | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
values = st.recursive(
    hashable,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(hashable, inner, max_size=3)
        | st.sets(hashable, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=200)
@given(left=values, right=values)
def test_two_addresses_are_equal_exactly_if_the_values_are(left: Any, right: Any) -> None:
    assert (of(left) == of(right)) == (reference(left) == reference(right))


@settings(max_examples=200)
@given(value=values)
def test_a_copy_has_the_same_address(value: Any) -> None:
    assert of(pickle.loads(pickle.dumps(value))) == of(value)  # noqa: S301 - our own bytes


@given(pairs=st.dictionaries(hashable, values, min_size=2, max_size=5), seed=st.integers())
def test_the_order_of_a_dict_does_not_matter(pairs: dict[Any, Any], seed: int) -> None:
    shuffled = list(pairs.items())
    random.Random(seed).shuffle(shuffled)
    assert of(dict(shuffled)) == of(pairs)


@given(parts=st.lists(st.lists(st.text(max_size=2), max_size=3), max_size=3))
def test_values_do_not_run_into_each_other(parts: list[list[str]]) -> None:
    flat = [text for part in parts for text in part]
    assert (of(*parts) == of(flat)) == (parts == [flat])
    assert len({of("ab", "c"), of("a", "bc"), of("abc"), of(["ab", "c"]), of("ab", x="c")}) == 5


def test_named_arguments_go_in_any_order_but_are_not_positional_ones() -> None:
    assert of(a=1, b=2) == of(b=2, a=1)
    assert len({of(1, 2), of(a=1, b=2), of(1, b=2), of(a=1), of({"a": 1})}) == 5


def test_a_call_is_also_its_function_version_codec_and_code() -> None:
    calls = [("f", "pickle", "c1"), ("f@2", "pickle", "c1"), ("g", "pickle", "c1"), ("f", "json", "c1")]
    assert len({canonical.address(*call, (1,), {}) for call in [*calls, ("f", "pickle", "c2")]}) == 5


def test_an_address_does_not_depend_on_the_process() -> None:
    code = "from tests.unit.test_canonical import of; print(of({'a', 'b', 'c'}, {'x': 1, 'y': frozenset('pqr')}).hex())"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=pathlib.Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {of({"c", "b", "a"}, {"y": frozenset("rqp"), "x": 1}).hex()}


# --- classes -------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Point:
    x: float
    y: float = 0.0


@dataclasses.dataclass(frozen=True)
class Pixel(Point):
    pass


@dataclasses.dataclass(frozen=True, slots=True)
class Slim(Generic[T]):
    value: T


@dataclasses.dataclass
class Loose:
    name: str

    @functools.cached_property
    def shout(self) -> str:
        return self.name.upper()


@dataclasses.dataclass(init=False)
class Longer(list[int]):
    name: str = ""


class Unlike(dict[str, int]):
    pass


class Pair(NamedTuple):
    a: int
    b: int


class Other(NamedTuple):
    a: int
    b: int


class Colour(enum.Enum):
    RED = object()
    BLUE = object()


class Access(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class Level(enum.IntEnum):
    ONE = 1


UTC = datetime.timezone.utc
NOON = datetime.datetime(2026, 7, 1, 12, tzinfo=UTC)
DISTINCT: list[Any] = [
    1, 1.0, True, "1", b"1", bytearray(b"1"), (1,), [1], {1}, frozenset({1}), {1: 1}, 1 + 0j, None, ..., range(1),
    range(0, 1, 2), 0, 0.0, -0.0, False, "", b"", (), [], {}, set(), -1, 255, 256, 2**64, -(2**64), math.nan, math.inf,
    complex(math.nan, 0), complex(0, math.nan), "\ud800", "nan", Point(1.0), Point(1), Point(1.0, 1.0), Pixel(1.0),
    Slim(1), Slim(1.0), Loose("a"), Pair(1, 2), Other(1, 2), (1, 2), Colour.RED, Colour.BLUE, Access.READ,
    Access.READ | Access.WRITE, Level.ONE, decimal.Decimal("1"), decimal.Decimal("1.0"), decimal.Decimal("NaN"),
    fractions.Fraction(1), uuid.UUID(int=1), datetime.date(2026, 7, 1), NOON, NOON.replace(tzinfo=None),
    NOON.replace(tzinfo=zoneinfo.ZoneInfo("UTC")), NOON.replace(fold=1), datetime.time(12), datetime.timedelta(1), UTC,
    pathlib.PurePosixPath("a"), pathlib.PosixPath("a"), pathlib.PureWindowsPath("a"),
    np.array([1]), np.array([1.0]), np.array([[1]]), np.array(1), np.int64(1), np.int32(1), np.float64(1), np.bool_(1),
    np.array([1, 2]), np.array([[0, 1], [2, 3]]), np.asfortranarray([[0, 1], [2, 3]]),
    np.array(["a"]), np.array([b"a"]), np.array([]), np.array([], dtype=int), np.array(["2026-07-01"], "M8[D]"),
    np.array(["2026-07-01"], "M8[s]"), np.array([(1, 2)], dtype=[("a", "i4"), ("b", "i4")]),
    np.array([(1, 2)], dtype=[("b", "i4"), ("a", "i4")]), np.str_("1"),
]  # fmt: skip


def test_different_values_have_different_addresses() -> None:
    seen: dict[bytes, Any] = {}
    for value in DISTINCT:
        address = of(value)
        assert address not in seen, f"{value!r} and {seen.get(address)!r}"
        seen[address] = value


def test_copies_of_all_these_have_the_same_address() -> None:
    for value in DISTINCT:
        if not isinstance(value, Colour):
            assert of(pickle.loads(pickle.dumps(value))) == of(value), repr(value)  # noqa: S301 - our own bytes


def test_views_of_numpy_arrays_count_by_what_they_show() -> None:
    whole: Any = np.array([[0.0, 1.0, 2.0], [4.0, 5.0, 6.0], [8.0, 9.0, 10.0]])
    assert of(whole[:, 1]) == of(np.array([1.0, 5.0, 9.0]))
    assert of(whole[::2]) == of(whole[::2].copy())
    assert of(np.array([1], dtype=">i8")) != of(np.array([1]))  # a pickle of the first gives the second
    assert of(np.array([math.nan])) == of(np.array([math.nan]))
    assert of(np.broadcast_to(np.array(7), (3,))) == of(np.array([7, 7, 7]))


def test_what_is_computed_from_the_fields_does_not_count() -> None:
    asked = Loose("a")
    assert asked.shout == "A"
    assert of(asked) == of(Loose("a"))


# --- what has no address ---------------------------------------------------------------------------------------------


def _with_more() -> Loose:
    value = Loose("a")
    vars(value)["more"] = 1
    return value


def _local_class() -> Any:
    @dataclasses.dataclass(frozen=True)
    class Local:
        x: int

    return Local(1)


def _of_main() -> Any:
    kind = dataclasses.make_dataclass("Main", ["x"])
    kind.__module__ = "__main__"
    return kind(1)


def _without_field() -> Point:
    value = Point(1.0)
    object.__delattr__(value, "x")
    return value


def _endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def _exploding() -> list[Any]:
    value: list[Any] = [1]
    for _ in range(60):
        value = [value, value]
    return value


class Rude(enum.Enum):
    ONE = 1

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        raise RuntimeError("rude")


class Meter(float):
    pass


def _generator() -> Iterator[int]:
    yield 1


UNKEYABLE: list[Callable[[], Any]] = [
    object, threading.Lock, _generator, _with_more, _local_class, _of_main, _without_field, _endless, _exploding,
    lambda: len, lambda: lambda: 1, lambda: Point, lambda: Longer([1]), lambda: Unlike(a=1),
    lambda: OrderedDict[str, int](a=1),
    lambda: Counter("a"), lambda: np.array([object()]), lambda: np.ma.masked_array([1]), lambda: np.matrix([1]),
    lambda: Rude.ONE, lambda: Meter(1), lambda: {1: [object()]}, lambda: [*range(canonical.MOST_NODES)],
    lambda: functools.partial(len), lambda: ValueError("a"),
]  # fmt: skip


@pytest.mark.parametrize("make", UNKEYABLE)
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_what_could_be_mistaken_for_something_else_has_no_address(make: Callable[[], Any]) -> None:
    with pytest.raises(Unkeyable) as caught:
        of(1, make())
    assert str(caught.value)
