"""What code an argument brings along is read from its pickle, and compared by digest."""

from __future__ import annotations

import pickle
import tracemalloc
from typing import Any

import pytest

from simpledist import wire
from simpledist.buffers import Blob
from simpledist.code.argument_code import ArgumentCode, difference
from simpledist.code.digest import Digests
from simpledist.engine import argument_lines
from simpledist.engine.spec import FunctionSpec
from simpledist.errors import OtherCode
from simpledist.shipped import FUNCTION
from simpledist.worker.argument_check import ArgumentCheck
from tests.sources import Sources

SHAPES = """
PI = 3
class Shape:
    class Inner: pass
    def __init__(self, n): self.n = n
    def area(self): return self.n * PI
class Größe(Shape): pass
class Other: pass
def double(x): return 2 * x
"""


@pytest.fixture
def shapes(sources: Sources) -> Any:
    sources.tree({"geo/shapes.py": SHAPES, "geo/__init__.py": ""})
    return sources.load("geo.shapes")


def lines(*args: Any, package: str = "") -> list[str]:
    return ArgumentCode().lines(wire.encode_arguments("pickle", args), package).splitlines()


def places(*args: Any, package: str = "") -> list[str]:
    return [line.partition(" ")[0] for line in lines(*args, package=package)]


def test_classes_and_functions_are_found_wherever_they_stand(shapes: Any) -> None:
    value = [shapes.Shape(1), {"a": (shapes.Shape(2), shapes.double)}, shapes.Shape.Inner(), {1, 2}, 3.5]
    assert places(value, 7) == ["geo.shapes:Shape", "geo.shapes:Shape.Inner", "geo.shapes:double"]
    assert places({shapes.Größe(1): 5}) == ["geo.shapes:Größe"]
    assert places(b"x" * 1_000_000, bytes(range(256)) * 1000, shapes.double) == ["geo.shapes:double"]
    assert places([147, 1.5, "text"], "geo.shapes") == [], "a name alone brings no code"


def test_a_class_in_a_shared_object_is_found_as_well(shapes: Any) -> None:
    blob = Blob("0" * 64, lambda: None, 0, "", lambda *, keep=False: pickle.dumps(shapes.Shape(1), 5))
    code = ArgumentCode()
    body = wire.naming(wire.encode_arguments("pickle", (1,)), [blob])
    assert [code.lines(body).partition(" ")[0] for _ in range(2)] == ["geo.shapes:Shape"] * 2


def test_packages_from_elsewhere_count_only_if_they_are_the_functions_own(shapes: Any) -> None:
    import redis  # noqa: PLC0415

    assert places(redis.RedisError(), Digests, pickle.PickleError) == []
    assert "redis.exceptions:RedisError" in places(redis.RedisError(), Digests, package="redis")


def test_a_line_has_the_digest_that_a_function_would_have(shapes: Any) -> None:
    (line,) = lines(shapes.Shape(1))
    assert line.split(" ")[1] == Digests().of(shapes.Shape).text


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("self.n * PI", "self.n + PI", ", which is other code there"),
        ("PI = 3", "PI = 4", ", whose geo.shapes:PI is other code there"),
        ("def __init__(self, n)", "def __init__(self, n=1)", ", which is other code there"),
        ("class Other: pass", "class Other: more = 1", None),
        ("PI = 3", "PI = 3  # about", None),
    ],
)
def test_what_differs_is_named(shapes: Any, sources: Sources, old: str, new: str, said: str | None) -> None:
    text = "\n".join(lines(shapes.Shape(1), shapes.double))
    sources.write("geo/shapes.py", SHAPES.replace(old, new))
    sources.load("geo.shapes")
    check = ArgumentCheck()
    if said is None:
        check.compare(text)
        check.compare(text)
        return
    for _ in range(2):
        with pytest.raises(OtherCode) as error:
            check.compare(text)
        assert str(error.value) == f"an argument brings geo.shapes:Shape{said}"


def test_other_packages_that_a_class_reaches_are_compared(sources: Sources) -> None:
    sources.tree(
        {"metric.py": "def step(x): return x\n", "fields.py": "import metric\nclass F:\n    f = metric.step\n"}
    )
    (line,) = lines(sources.get("fields:F")())
    assert line.split(" ")[3:] == [f"metric:{Digests().hash_of('metric')}"]
    sources.write("metric.py", "def step(x): return -x\n")
    found = Digests().of(sources.get("fields:F"))
    assert difference(line, found) == "an argument brings fields:F, whose package metric is other code there"


def test_a_file_that_was_edited_after_its_import_is_other_code_on_both_sides(shapes: Any, sources: Sources) -> None:
    text = "\n".join(lines(shapes.Shape(1)))
    shapes = sources.load("geo.shapes")  # nothing of this one was read yet
    sources.write("geo/shapes.py", SHAPES.replace("n * PI", "n + PI"))
    changed = "geo.shapes:Shape, and{} shapes.py changed since it was imported"
    with pytest.raises(OtherCode, match=changed.format("")):
        lines(shapes.Shape(1))
    found = Digests().of(shapes.Shape)
    assert difference(text, found) == f"an argument brings {changed.format(' there')}"


def test_what_has_no_source_goes_by_its_name(shapes: Any) -> None:
    (line,) = lines(shapes.Shape(1))
    names: Any = shapes.__dict__
    exec(compile("class Typed: pass", "<typed>", "exec"), names)
    assert lines(shapes.Typed()) == []
    assert not difference(line, Digests().of(shapes.Typed))


def test_a_reload_is_another_class(shapes: Any, sources: Sources) -> None:
    code = ArgumentCode()
    body = wire.encode_arguments("pickle", (shapes.Shape(1),))
    before = code.lines(body)
    sources.write("geo/shapes.py", SHAPES.replace("n * PI", "n + PI"))
    sources.load("geo.shapes")
    assert before != code.lines(body) != ""


def test_what_is_missing_on_a_worker_is_left_to_decoding(shapes: Any, sources: Sources) -> None:
    sources.tree({"odd.py": "raise SystemExit\n", "odder.py": "raise ValueError\n"})
    for place in ("geo.gone:Shape", "geo.shapes:Gone", "odd:Shape", "odder:Shape"):
        ArgumentCheck().compare(f"{place} 0123456789abcdef 0123")


def test_a_child_that_refuses_call_after_call_keeps_few_of_their_lines(shapes: Any) -> None:
    check = ArgumentCheck()
    tracemalloc.start()
    try:
        for number in range(3000):
            with pytest.raises(OtherCode):
                check.compare(f"geo.shapes:Shape {number:016x} {'0' * 20_000}")
        assert tracemalloc.get_traced_memory()[0] < 30_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("error", [RecursionError, MemoryError])
def test_what_there_is_no_room_to_read_is_other_code(
    shapes: Any, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def of(self: object, value: object) -> None:
        raise error

    text = "\n".join(lines(shapes.Shape(1)))
    monkeypatch.setattr(Digests, "of", of)
    with pytest.raises(OtherCode, match=f"geo.shapes:Shape, which cannot be compared there: {error.__name__}"):
        ArgumentCheck().compare(text)
    with pytest.raises(argument_lines.NotCompared, match=f"cannot be read: {error.__name__}"):
        _decide(shapes)


def test_what_code_that_travels_by_value_takes_from_modules_is_found(shapes: Any) -> None:
    names: Any = {"shapes": shapes, "__name__": "__main__"}
    exec("class Local:\n    def area(self): return shapes.double(1)", names)
    assert places(names["Local"]()) == ["geo.shapes:double"]


def _decide(shapes: Any, **options: Any) -> bool:
    body = wire.encode_arguments("pickle", (shapes.Shape(1),))
    spec = FunctionSpec(options.pop("name", "f"), options.pop("local", test_a_reload_is_another_class), **options)
    spec.code.known = spec.code.known or options.get("known", True)
    spec.code.key = spec.code.key._replace(digest="ab")
    return bool(argument_lines.of(spec, body))


def test_which_calls_compare(shapes: Any) -> None:
    assert _decide(shapes)
    assert _decide(shapes, match="code")
    assert not _decide(shapes, match="name")
    assert not _decide(shapes, codec="json")
    assert not _decide(shapes, name="f@2"), "a version is the identity"
    assert _decide(shapes, name="f@2", match="code")
    assert not _decide(shapes, name=FUNCTION), "its modules travel with it"
