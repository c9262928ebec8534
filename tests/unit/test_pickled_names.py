"""Names are found in the bytes of encoded arguments, whatever they are made of, in a time that follows their length."""

from __future__ import annotations

import time

import pytest

from simpledist import wire
from simpledist.buffers import Blob
from simpledist.code.argument_code import ArgumentCode
from simpledist.code.pickled_names import names_in
from simpledist.code.travelling_modules import Program
from tests.sources import Sources


@pytest.mark.parametrize("module", ["shapes", "größen", "Д", "ДДД_Ĕ", "shapes-2", "03_shapes", "\U00020000"])
def test_a_class_is_found_under_any_name_of_its_module(sources: Sources, module: str) -> None:
    sources.tree({f"{module}.py": "class Д: pass\nclass Shape:\n    class Д: pass\n"})
    loaded = sources.load(module)
    body = wire.encode_arguments("pickle", (loaded.Д(), loaded.Shape.Д(), loaded.Shape))
    assert {module, "Д", "Shape.Д", "Shape"} <= names_in(body)
    places = [line.partition(" ")[0] for line in ArgumentCode().lines(body).splitlines()]
    assert places == sorted(f"{module}:{name}" for name in ("Shape", "Shape.Д", "Д"))
    archive = Program().archive_of(body)
    assert archive is not None


@pytest.mark.parametrize(
    "bytes_", [b"\x8c", b"\x8c!", b"\x8ca", b"\x8c\xff", b"\xc2\x8c", b"\x8c\x94", b"\xf0\x8c\x94\x8c"]
)
def test_an_image_in_one_colour_takes_no_longer(bytes_: bytes) -> None:
    body = wire.encode_arguments("pickle", (bytes_ * (100_000 // len(bytes_)),))
    began = time.process_time()
    ArgumentCode().lines(body)
    assert time.process_time() - began < 2


def test_texts_of_a_shared_object_that_name_nothing_are_not_kept(sources: Sources) -> None:
    sources.tree({"shapes.py": "class Shape:\n    class Inner: pass\n"})
    shapes = sources.load("shapes")
    value = (
        {f"word{number}.{number}": number for number in range(20_000)},
        "Shape",
        shapes.Shape(),
        shapes.Shape.Inner(),
    )
    data = wire.encode_arguments("pickle", value)
    blob = Blob("1" * 64, lambda: value, len(data), "", lambda *, keep=False: data)
    body = wire.naming(wire.encode_arguments("pickle", (1,)), [blob])
    assert names_in(body) == {"shapes", "Shape", "Shape.Inner"}


def test_what_is_no_text_is_no_name() -> None:
    assert names_in(b"\x8c\x02\xc3\x28\x94\x8c\x02ok\x94\x8c\x03a b\x94\x8c\x04abcd") == {"ok"}
