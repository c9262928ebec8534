"""Objects to bytes and back: nothing lossy, nothing but Unserialisable and Undecodable."""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simpledist.errors import Undecodable, Unserialisable
from simpledist.wire import json_values, serializers
from tests.ids import steady

PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters())
JSON = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)
PYTHON = st.recursive(
    PLAIN | st.binary() | st.complex_numbers(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.integers() | st.text() | st.binary(), inner, max_size=4)
        | st.sets(st.integers())
    ),
    max_leaves=12,
)


def same(left: Any, right: Any) -> bool:
    """Equal and of the same types all the way down; NaN is NaN."""
    if type(left) is not type(right):
        return False
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))  # type: ignore[arg-type]
    if isinstance(left, dict):
        return same(list(left.items()), list(right.items()))  # type: ignore[arg-type]
    if isinstance(left, (float, complex)):
        return repr(left) == repr(right)
    return left == right


@given(JSON)
def test_json_gives_back_what_went_in(value: Any) -> None:
    assert same(serializers.loads("json", serializers.dumps("json", value)), value)


@given(PYTHON)
def test_pickle_gives_back_what_went_in(value: Any) -> None:
    assert same(serializers.loads("pickle", serializers.dumps("pickle", value)), value)


@given(PYTHON)
def test_json_refuses_whatever_it_would_change(value: Any) -> None:
    try:
        data = serializers.dumps("json", value)
    except Unserialisable:
        return
    assert same(serializers.loads("json", data), value)


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, -0.0, "\ud800", {"\udfff": 1}, "\ud83d\ude00", 10**4000]
)
def test_json_keeps_what_other_json_loses(value: Any) -> None:
    assert same(serializers.loads("json", serializers.dumps("json", value)), value)


class Level(IntEnum):
    LOW = 1


class Pair(NamedTuple):
    left: int
    right: int


class Text(str):
    """A str that is more than a str."""


OTHER_AFTERWARDS: list[Any] = [
    (1, 2),
    [(1,)],
    {1: 2},
    {None: 1},
    {"a": {True: 1}},
    {1, 2},
    b"x",
    1j,
    object(),
    Level.LOW,
    Pair(1, 2),
    Text("x"),
    {Text("x"): 1},
    OrderedDict(a=1),
    range(3),
    [lambda: 1],
]


@pytest.mark.parametrize("value", OTHER_AFTERWARDS, ids=steady)
def test_json_refuses_what_would_come_back_as_something_else(value: Any) -> None:
    with pytest.raises(Unserialisable, match="JSON"):
        serializers.dumps("json", value)


def nested(levels: int) -> Any:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def test_json_goes_a_hundred_levels_deep_and_no_deeper() -> None:
    deepest = nested(json_values.JSON_DEPTH)
    assert serializers.loads("json", serializers.dumps("json", deepest)) == deepest
    for too_deep in (nested(json_values.JSON_DEPTH + 1), {"a": nested(json_values.JSON_DEPTH)}):
        with pytest.raises(Unserialisable, match="levels"):
            serializers.dumps("json", too_deep)


def test_json_counts_levels_where_one_list_stands_in_two_places() -> None:
    shared = nested(60)
    below = shared
    for _ in range(60):
        below = [below]
    with pytest.raises(Unserialisable, match="levels"):
        serializers.dumps("json", [shared, below])


def test_json_refuses_a_list_that_holds_itself_twice() -> None:
    value: list[Any] = []
    value.extend([value, value])
    with pytest.raises(Unserialisable):
        serializers.dumps("json", value)


def test_json_refuses_a_small_value_that_would_grow_to_billions() -> None:
    value: list[Any] = []
    for _ in range(60):
        value = [value, value]
    with pytest.raises(Unserialisable, match="too many"):
        serializers.dumps("json", value)


def test_json_from_a_peer_that_nests_without_end_is_undecodable() -> None:
    with pytest.raises(Undecodable):
        serializers.loads("json", b"[" * 1_000_000)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"nope", b"\xef\xbb\xbf1", '"x"'.encode("utf-16")])
def test_damaged_json_is_undecodable(data: bytes) -> None:
    with pytest.raises(Undecodable):
        serializers.loads("json", data)


@given(st.binary(max_size=40))
@settings(max_examples=200)
def test_json_never_raises_anything_but_undecodable(data: bytes) -> None:
    with contextlib.suppress(Undecodable):
        serializers.loads("json", memoryview(data))


@pytest.mark.parametrize("codec", ["pickle", "json"])
def test_a_view_decodes_like_bytes(codec: str) -> None:
    data = serializers.dumps(codec, [1, "two"])
    assert serializers.loads(codec, memoryview(b"xx" + data)[2:]) == [1, "two"]


@pytest.mark.parametrize("codec", ["", "yaml", "Pickle"])
def test_an_unknown_codec_is_neither_of_the_two(codec: str) -> None:
    with pytest.raises(Unserialisable, match="codec"):
        serializers.dumps(codec, 1)
    with pytest.raises(Undecodable, match="codec"):
        serializers.loads(codec, serializers.dumps("pickle", 1))


class Bomb:
    """Its pickle makes a file when it is loaded."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


def test_json_never_unpickles(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    bomb = serializers.dumps("pickle", Bomb(str(canary)))
    with pytest.raises(Undecodable):
        serializers.loads("json", bomb)
    assert not canary.exists()
    serializers.loads("pickle", bomb).close()
    assert canary.exists(), "the canary works"


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class Evil:
    """Raises what it holds, on the way out or on the way in."""

    def __init__(self, out: BaseException | None = None, back: BaseException | None = None) -> None:
        self.out, self.back = out, back

    def __reduce__(self) -> tuple[Any, ...]:
        if self.out is not None:
            raise self.out
        return _raise, (self.back,)


def _raise(error: BaseException) -> None:
    raise error


TROUBLES = [
    ValueError("x"),
    MemoryError(),
    RecursionError(),
    ImportError("x"),
    Unspeakable(),
    ValueError("\ud800\x1b[31m"),
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda error: type(error).__name__)
def test_whatever_goes_wrong_while_pickling_is_unserialisable(trouble: Exception) -> None:
    with pytest.raises(Unserialisable) as raised:
        serializers.dumps("pickle", Evil(out=trouble))
    str(raised.value).encode()
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda error: type(error).__name__)
def test_whatever_goes_wrong_while_unpickling_is_undecodable(trouble: Exception) -> None:
    data = serializers.dumps("pickle", Evil(back=trouble))
    with pytest.raises(Undecodable) as raised:
        serializers.loads("pickle", data)
    str(raised.value).encode()
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_exception_counts_as_a_value_that_cannot_travel(interrupt: type[BaseException]) -> None:
    with pytest.raises(Unserialisable):
        serializers.dumps("pickle", Evil(out=interrupt()))
    with pytest.raises(Undecodable):
        serializers.loads("pickle", serializers.dumps("pickle", Evil(back=interrupt())))


def _generator() -> Generator[int]:
    yield 1


@pytest.mark.parametrize(
    "make", [threading.Lock, _generator, lambda: sys.stdout.buffer], ids=["lock", "generator", "file"]
)
def test_what_cannot_be_pickled_at_all_is_unserialisable(make: Callable[[], Any]) -> None:
    with pytest.raises(Unserialisable):
        serializers.dumps("pickle", make())


def test_a_list_nested_beyond_the_stack_is_unserialisable() -> None:
    with pytest.raises(Unserialisable):
        serializers.dumps("pickle", nested(200_000))


@pytest.mark.parametrize(
    "data", [b"", b"c", b"\x80", b"\x80\x05", b"nonsense", b"cnonsense", b"\x80\x05cno_such\nthing\n."]
)
def test_damaged_pickles_are_undecodable(data: bytes) -> None:
    with pytest.raises(Undecodable):
        serializers.loads("pickle", data)


def test_long_troubles_are_one_short_line() -> None:
    with pytest.raises(Unserialisable) as raised:
        serializers.dumps("pickle", Evil(out=ValueError("a\nb " * 100_000)))
    assert len(str(raised.value)) <= serializers.LINE_CHARACTERS
    assert "\n" not in str(raised.value)


def test_lambdas_closures_and_local_classes_travel() -> None:
    factor = 3

    class Local:
        def triple(self, x: int) -> int:
            return factor * x

    back = serializers.loads("pickle", serializers.dumps("pickle", (lambda x: x + factor, Local())))  # type: ignore[misc]
    assert back[0](1) == 4
    assert back[1].triple(2) == 6
    assert type(back[1]) is Local


def test_a_value_is_pickled_once_and_without_cloudpickle_where_that_does() -> None:
    program = (
        "import sys\nfrom simpledist.wire import serializers\n"
        "class Once:\n"
        "    count = 0\n"
        "    def __reduce__(self):\n"
        "        Once.count += 1\n"
        "        return int, (5,)\n"
        "data = serializers.dumps('pickle', [Once(), {'a': (1, b'x')}])\n"
        "assert serializers.loads('pickle', data) == [5, {'a': (1, b'x')}]\n"
        "assert Once.count == 1, Once.count\n"
        "assert 'cloudpickle' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
