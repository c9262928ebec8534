"""What code an argument brings along is read from its pickle, and has digests."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from simpledist.code.argument_code import digests_of, names_in
from simpledist.code.digest import Digests
from tests.sources import Sources


@pytest.fixture
def shapes(sources: Sources) -> Any:
    sources.write(
        "geo/shapes.py",
        """
        class Shape:
            class Inner: pass
            def __init__(self, n): self.n = n
            def area(self): return self.n * 2
        class Other: pass
        def double(x): return 2 * x
        """,
    )
    sources.write("geo/__init__.py", "")
    return sources.load("geo.shapes")


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_classes_and_functions_are_found_wherever_they_stand(shapes: Any, protocol: int) -> None:
    value = [shapes.Shape(1), {"a": (shapes.Shape(2), shapes.double)}, shapes.Shape.Inner(), "geo.shapes", {1, 2}, 3.5]
    names = names_in(pickle.dumps(value, protocol), ["geo"])
    # Until protocol 3 a nested class is an attribute that is asked for by `getattr`.
    assert {("geo.shapes", "Shape"), ("geo.shapes", "double")} <= names
    assert ("geo.shapes", "Other") not in names
    assert protocol < 4 or ("geo.shapes", "Shape.Inner") in names


def test_what_belongs_to_other_packages_is_left_out(shapes: Any) -> None:
    assert names_in(pickle.dumps([shapes.Shape(1), Digests]), ["simpledist"]) == {("simpledist.code.digest", "Digests")}
    assert names_in(pickle.dumps([1, "text"]), ["geo"]) == set()


def test_each_has_the_digest_that_its_code_has(shapes: Any) -> None:
    names = names_in(pickle.dumps([shapes.Shape(1), shapes.double]), ["geo"])
    digests = Digests()
    assert digests_of(names, digests) == {
        "geo.shapes:Shape": digests.of(shapes.Shape).text,
        "geo.shapes:double": digests.of(shapes.double).text,
    }


def test_a_name_that_leads_nowhere_has_none(shapes: Any) -> None:
    assert digests_of({("geo.shapes", "gone"), ("geo.missing", "f"), ("geo.shapes", "__doc__")}, Digests()) == {}


def test_what_is_no_pickle_is_refused(shapes: Any) -> None:
    with pytest.raises(ValueError, match="opcode"):
        names_in(b"\xffgeo", ["geo"])
