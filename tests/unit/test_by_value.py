"""What travels with its code: the same values as a plain pickle gives, whatever is big in them."""

# numpy's and scipy's types say little about what is done here.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import array
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import cloudpickle
import numpy
import pytest
from scipy import sparse

from simpledist.buffers import BIG_BYTES, Data, Pieces
from simpledist.errors import Undecodable, Unserialisable
from simpledist.wire import serializers

COUNT = BIG_BYTES  # of doubles: well over BIG_BYTES in bytes
WAYS = ("bytes", "view", "pieces")


def read_only(values: Any) -> Any:
    values.flags.writeable = False
    return values


def mapped(folder: Path) -> Any:
    file = numpy.memmap(folder / "numbers", dtype="f8", mode="w+", shape=(COUNT,))
    file[:] = numpy.arange(COUNT)
    return file


BIG: dict[str, Callable[[Path], Any]] = {
    "C order": lambda _: numpy.arange(COUNT, dtype="f8").reshape(-1, 64),
    "Fortran order": lambda _: numpy.asfortranarray(numpy.arange(COUNT, dtype="f8").reshape(-1, 64)),
    "neither order": lambda _: numpy.arange(2 * COUNT, dtype="f8").reshape(-1, 64)[::2, ::2],
    "backwards": lambda _: numpy.arange(COUNT, dtype="f8")[::-1],
    "just big enough": lambda _: numpy.arange(BIG_BYTES // 8, dtype="f8"),
    "just too small": lambda _: numpy.arange(BIG_BYTES // 8 - 1, dtype="f8"),
    "read only": lambda _: read_only(numpy.arange(COUNT, dtype="f8")),
    "a view of bytes": lambda _: numpy.frombuffer(b"x" * COUNT, dtype="u1"),
    "memory mapped": mapped,
    "objects": lambda _: numpy.array([None, "x", 1] * COUNT, dtype=object),
    "a structure": lambda _: numpy.zeros(COUNT, dtype=[("a", "f8"), ("b", "i2"), ("c", "U3")]),
    "times": lambda _: numpy.arange(COUNT).astype("datetime64[s]"),
    "masked": lambda _: numpy.ma.masked_less(numpy.arange(COUNT), 5),
    "a sparse matrix": lambda _: sparse.random(400, 400, 0.5, format="csr"),
    "a sparse array": lambda _: sparse.coo_array(sparse.random(400, 400, 0.5)),
    "bytes": lambda _: b"xy" * COUNT,
    "a bytearray": lambda _: bytearray(b"xy" * COUNT),
    "a memoryview": lambda _: memoryview(bytearray(b"xy" * COUNT)),
    "a read-only memoryview": lambda _: memoryview(b"xy" * COUNT),
    "a memoryview of doubles": lambda _: memoryview(array.array("d", range(COUNT))),
    "a memoryview in two dimensions": lambda _: memoryview(bytes(COUNT)).cast("i", (2, COUNT // 8)),
    "an array.array": lambda _: array.array("d", range(COUNT)),
    "text": lambda _: "é" * COUNT,
    "a number": lambda _: 7 ** (COUNT * 2),
    "several": lambda _: [numpy.arange(COUNT), {"a": numpy.ones(COUNT)}, bytearray(COUNT), b"x" * COUNT],
}


class Box:
    """Its class is made by value where it is local (below); bound methods carry their self."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def get(self) -> Any:
        return self.value


def closure(value: Any) -> Any:
    return lambda: value


def default(value: Any) -> Any:
    return lambda held=value: held


def keyword_default(value: Any) -> Any:
    def held(*, kept: Any = value) -> Any:
        return kept

    return held


def bound(value: Any) -> Any:
    class Local(Box):
        pass

    return Local(value).get


def beside(value: Any) -> Any:
    """As an argument of a call whose function, or another argument, has code by value."""
    return [lambda: 0, value]


def attribute(value: Any) -> Any:
    class Local:
        held = value

        def get(self) -> Any:
            return self.held

    return Local().get


PLACES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "closure": (closure, lambda back: back()),
    "default": (default, lambda back: back()),
    "keyword default": (keyword_default, lambda back: back()),
    "bound self": (bound, lambda back: back()),
    "argument": (beside, lambda back: back[1]),
    "class attribute": (attribute, lambda back: back()),
}


def loaded(data: Data, way: str) -> Any:
    if way == "pieces":
        return serializers.loads("pickle", data if isinstance(data, Pieces) else Pieces([data]))
    whole = bytes(data)
    return serializers.loads("pickle", whole if way == "bytes" else memoryview(b"x" + whole)[1:])


def assert_same(back: Any, value: Any) -> None:
    assert type(back) is type(value)
    if isinstance(value, numpy.ndarray):
        assert (back.dtype, back.shape) == (value.dtype, value.shape)
        assert (back == value).all()
        if value.flags.contiguous and not value.dtype.hasobject:
            assert back.flags.f_contiguous == value.flags.f_contiguous
        if value.base is None:
            assert back.flags.writeable == value.flags.writeable
    elif sparse.issparse(value):
        assert (back != value).nnz == 0
    elif isinstance(value, memoryview):
        assert (back.format, back.shape, back.readonly) == (value.format, value.shape, value.readonly)
        assert back.tolist() == value.tolist()
    elif isinstance(value, (list, tuple)):
        for one, other in zip(back, value, strict=True):
            assert_same(one, other)
    elif isinstance(value, dict):
        assert_same(list(back.items()), list(value.items()))
    else:
        assert back == value


@pytest.mark.parametrize("lend", [False, True], ids=["copied", "lent"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", BIG)
def test_whatever_is_big_travels_with_code_as_it_does_without(
    kind: str, place: str, lend: bool, tmp_path: Path
) -> None:
    value = BIG[kind](tmp_path)
    put, take = PLACES[place]
    for way in WAYS:
        data = serializers.dump("pickle", put(value), lend=lend)
        assert serializers.holds_code(data)
        assert_same(take(loaded(data, way)), value)


def test_big_buffers_are_not_copied_into_the_pickle() -> None:
    value = numpy.arange(COUNT, dtype="f8")
    data = serializers.dump("pickle", closure(value), lend=True)
    assert isinstance(data, Pieces)
    assert any(
        isinstance(part, memoryview) and numpy.shares_memory(numpy.frombuffer(part, "u1"), value) for part in data.parts
    )


def test_what_is_not_lent_may_change_at_once() -> None:
    value = numpy.zeros(COUNT)
    data = serializers.dump("pickle", closure(value))
    value[:] = 1
    assert (loaded(data, "pieces")() == 0).all()


@pytest.mark.parametrize("way", WAYS)
def test_what_is_cut_short_is_undecodable(way: str) -> None:
    data = bytes(serializers.dump("pickle", closure(numpy.arange(COUNT))))
    for length in (1, 2, 3, 4, 8, 20, 40, 200, 1000, len(data) // 2, len(data) - 1):
        with pytest.raises(Undecodable):
            loaded(data[:length], way)


def test_code_of_another_python_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(serializers.dump("pickle", closure(1)))
    minor = sys.version_info[1]
    other = data[:1] + bytes((3, minor + 1)) + data[3:]
    for way in WAYS:
        with pytest.raises(Undecodable, match=rf"holds code of Python 3\.{minor + 1}, which Python 3\.{minor} cannot"):
            loaded(other, way)


def test_what_holds_no_code_is_bound_to_no_python() -> None:
    for value in (1, "__main__", [memoryview(b"x")], {"a": sys}, {1: 2}.keys(), numpy.arange(COUNT)):
        assert not serializers.holds_code(serializers.dump("pickle", value))
    for value in (lambda: 1, closure, Box):
        assert serializers.holds_code(serializers.dump("pickle", value)) == (value not in (closure, Box))


def test_a_local_class_keeps_its_full_name() -> None:
    held = bound(1)
    back = serializers.loads("pickle", serializers.dumps("pickle", held))
    program = (
        "import sys\nfrom simpledist.wire import serializers\n"
        "held = serializers.loads('pickle', sys.stdin.buffer.read())\n"
        "print(type(held.__self__).__qualname__)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        input=serializers.dumps("pickle", held),
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert ran.stdout.decode().strip() == type(back.__self__).__qualname__ == "bound.<locals>.Local"


def test_an_open_file_is_not_taken_for_its_text(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("x")
    with (tmp_path / "text").open() as file, pytest.raises(Unserialisable, match="open file"):
        serializers.dumps("pickle", [lambda: 1, file])


@pytest.mark.parametrize("view", [memoryview(b"abcd")[::2], memoryview(bytes(12)).cast("B", (4, 3))[::2]])
def test_a_memoryview_with_gaps_does_not_travel(view: memoryview) -> None:
    with pytest.raises(Unserialisable, match="gaps"):
        serializers.dumps("pickle", view)


# --- modules whose code travels by value, because the program says so -------------------------------------------------


MODULE = """
LIMIT = 3

def limit():
    return LIMIT

class Kept:
    limit = 3
    def get(self):
        return self.limit

    def nested(self):
        return limit()
"""

READER = """
import sys
from simpledist.wire import serializers

held = serializers.loads("pickle", sys.stdin.buffer.read())
sys.stdout.buffer.write(serializers.dumps("pickle", [one() for one in held]))
assert not any(name.startswith("travelling") for name in sys.modules), "it was imported"
"""


@pytest.fixture(params=["travelling", "travelling.inner"])
def travelling(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module that only this process can import, alone or in a package that is registered for it."""
    folder = tmp_path / "travelling"
    folder.mkdir()
    (folder / "__init__.py").write_text(MODULE)
    (folder / "inner.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    module = import_module(request.param)
    registered = import_module("travelling")
    cloudpickle.register_pickle_by_value(registered)
    yield module
    cloudpickle.unregister_pickle_by_value(registered)
    for name in ("travelling", "travelling.inner"):
        sys.modules.pop(name, None)


def read_elsewhere(held: list[Any], folder: Path) -> Any:
    data = serializers.dumps("pickle", held)
    assert serializers.holds_code(data)
    command = [sys.executable, "-c", READER]
    back = subprocess.run(
        command, input=data, stdout=subprocess.PIPE, check=True, timeout=60, cwd=Path(__file__).parents[2]
    )
    return serializers.loads("pickle", back.stdout)


def test_a_registered_module_travels_by_value(travelling: types.ModuleType, tmp_path: Path) -> None:
    kept: Any = travelling.Kept()
    assert read_elsewhere([travelling.limit, kept.get, kept.nested], tmp_path) == [3, 3, 3]


def test_it_does_so_however_deep_and_beside_whatever_is_big(travelling: types.ModuleType, tmp_path: Path) -> None:
    one = {"a": [(travelling.Kept(), numpy.arange(COUNT), "x" * COUNT)]}
    data = serializers.dump("pickle", one)
    assert serializers.holds_code(data)
    back = loaded(data, "pieces")["a"][0]
    assert type(back[0]) is travelling.Kept
    assert (back[1] == numpy.arange(COUNT)).all()


def test_an_instance_comes_back_as_one_of_the_very_same_class(travelling: types.ModuleType, tmp_path: Path) -> None:
    kept: Any = travelling.Kept
    (back,) = read_elsewhere([kept], tmp_path)
    assert type(back) is kept
    assert kept.limit == 3


def test_what_is_registered_no_more_travels_by_name(travelling: types.ModuleType) -> None:
    registered = sys.modules["travelling"]
    cloudpickle.unregister_pickle_by_value(registered)
    try:
        assert not serializers.holds_code(serializers.dump("pickle", [travelling.limit]))
    finally:
        cloudpickle.register_pickle_by_value(registered)


SPAWNED = """
import multiprocessing, sys

class Point:
    def __init__(self, x):
        self.x = x
    def twice(self):
        return FACTOR * self.x

FACTOR = 2

def make():
    return Point(21)

def send(queue):
    from simpledist.wire import serializers
    queue.put([serializers.dumps("pickle", one) for one in (make().twice, [make])])

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    child = context.Process(target=send, args=(queue,))
    child.start()
    for one in queue.get():
        sys.stdout.buffer.write(len(one).to_bytes(4, "big") + one)
    child.join()
"""


def test_the_script_of_a_spawned_process_travels_by_value(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SPAWNED)
    command = [sys.executable, str(tmp_path / "script.py")]
    sent = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60).stdout
    size = int.from_bytes(sent[:4], "big")
    assert serializers.loads("pickle", sent[4 : 4 + size])() == 42
    (make,) = serializers.loads("pickle", sent[4 + size + 4 :])
    assert make().twice() == 42
