"""Sources that are not as they should be: the digest is of what was loaded, or there is none and a reason says why."""

from __future__ import annotations

import importlib
import os
import py_compile
import types
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from simpledist.code.digest import CodeDigest, Digests
from tests.sources import Sources


def of(function: Any) -> CodeDigest:
    return Digests().of(function)


HELPED = """
from pk.helper import twice
STEP = 3
def f(x):
    return twice(x) + STEP
"""
HELPER = """
def twice(x):
    return 2 * x
"""


@pytest.fixture
def pk(sources: Sources) -> Sources:
    sources.tree({"pk/__init__.py": "", "pk/first.py": HELPED, "pk/helper.py": HELPER})
    return sources


# --- a file that was edited after its import ---------------------------------------------------------------------


def test_a_function_whose_file_was_edited_has_no_digest_and_the_reason_names_the_file(pk: Sources) -> None:
    f = pk.get("pk.first:f")
    pk.write("pk/first.py", HELPED.replace("twice(x) +", "twice(x) -"))
    found = of(f)
    assert (found.text, found.changed, found.reason) == ("", True, "first.py changed since it was imported")


def test_an_edited_helper_counts_as_well(pk: Sources) -> None:
    f = pk.get("pk.first:f")
    pk.write("pk/helper.py", HELPER.replace("2 * x", "3 * x"))
    assert of(f).reason == "helper.py changed since it was imported"


def test_an_edited_constant_counts_as_well(pk: Sources) -> None:
    f = pk.get("pk.first:f")
    pk.write("pk/first.py", HELPED.replace("STEP = 3", "STEP = 4"))
    assert of(f).reason == "first.py changed since it was imported"


@pytest.mark.parametrize("edit", ["# why\n" + HELPED, HELPED.replace("(x):", '(x):\n    """Say."""')])
def test_an_edited_comment_or_docstring_changes_nothing(pk: Sources, edit: str) -> None:
    f = pk.get("pk.first:f")
    was = of(f).text
    pk.write("pk/first.py", edit)
    assert of(f).text == was != ""


def test_what_was_read_once_stays_the_source_of_that_module(pk: Sources) -> None:
    digests = Digests()
    first = pk.load("pk.first")
    was = digests.of(first.f).text
    pk.write("pk/helper.py", HELPER.replace("2 * x", "3 * x"))
    assert digests.of(first.f).text == was


def test_a_reload_is_another_module(pk: Sources) -> None:
    digests = Digests()
    first = pk.load("pk.first")
    was = digests.of(first.f).text
    pk.write("pk/first.py", HELPED.replace("STEP = 3", "STEP = 4"))
    importlib.reload(first)
    assert digests.of(first.f).text not in ("", was)


def test_a_constant_that_somebody_set_is_no_edit(pk: Sources) -> None:
    path = pk.write("pk/first.py", HELPED)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    first = pk.load("pk.first")
    vars(first)["STEP"] = 5
    assert of(first.f).text


def test_a_module_that_a_rewriting_loader_made_is_not_compared(pk: Sources) -> None:
    first = pk.load("pk.first")
    was = of(first.f).text

    class Rewriting(type(first.__loader__)):  # type: ignore[misc]
        pass

    first.__loader__ = Rewriting("pk.first", first.__file__)
    code: types.CodeType = first.f.__code__
    first.f.__code__ = code.replace(co_names=code.co_names)
    pk.write("pk/first.py", "import sys\n" + HELPED)
    assert of(first.f).text == was


# --- names -------------------------------------------------------------------------------------------------------


def test_functions_that_call_each_other_come_to_an_end(sources: Sources) -> None:
    text = "def even(n): return n == 0 or odd(n - 1)\ndef odd(n): return n != 0 and even(n - 1)\n"
    sources.write("loops.py", text)
    was = of(sources.get("loops:even")).text
    sources.write("loops.py", text.replace("n != 0", "n > 0"))
    assert of(sources.get("loops:even")).text not in ("", was)


def test_modules_that_import_each_other_come_to_an_end(sources: Sources) -> None:
    sources.tree(
        {
            "pk/__init__.py": "",
            "pk/a.py": "from pk import b\ndef f(x): return b.g(x)\nN = 1\n",
            "pk/b.py": "from pk import a\ndef g(x): return x and a.f(x - 1) + a.N\n",
        }
    )
    was = of(sources.get("pk.a:f")).text
    sources.write("pk/b.py", "from pk import a\ndef g(x): return x and a.f(x - 2) + a.N\n")
    assert of(sources.get("pk.a:f")).text not in ("", was)


def test_functions_that_hold_each_other_come_to_an_end(sources: Sources) -> None:
    sources.write(
        "held.py",
        """
        def pair():
            def a(n): return n and b(n - 1)
            def b(n): return n and a(n - 1)
            return a
        """,
    )
    assert of(sources.get("held:pair")()).text == of(sources.get("held:pair")()).text != ""


def test_both_ways_of_a_conditional_import_and_definition_count(sources: Sources) -> None:
    sources.write("pk/__init__.py", "")
    sources.write("pk/slow.py", "def g(x): return x\n")
    sources.write("pk/fast.py", "def g(x): return x + 0\n")
    text = """
    import sys
    try:
        from pk.missing import g
    except ImportError:
        from pk.slow import g
    if sys.platform == "none":
        def h(x): return 1
    else:
        def h(x): return 2
    def f(x): return g(x) + h(x)
    """
    sources.write("pk/main.py", text)
    was = {of(sources.get("pk.main:f")).text}
    sources.write("pk/main.py", text.replace("return 1", "return 7"))
    was.add(of(sources.get("pk.main:f")).text)
    sources.write("pk/slow.py", "def g(x): return -x\n")
    was.add(of(sources.get("pk.main:f")).text)
    assert "" not in was
    assert len(was) == 3


def test_a_star_that_hands_on_another_star_is_followed(sources: Sources) -> None:
    sources.tree(
        {
            "pk/__init__.py": "",
            "pk/low.py": "def g(x): return x\n",
            "pk/middle.py": "from pk.low import *\n",
            "pk/top.py": "from pk.middle import *\ndef f(x): return g(x)\n",
        }
    )
    was = of(sources.get("pk.top:f")).text
    sources.write("pk/low.py", "def g(x): return -x\n")
    assert of(sources.get("pk.top:f")).text not in ("", was)


def test_a_name_that_is_replaced_at_run_time_is_not_seen(pk: Sources) -> None:
    first = pk.load("pk.first")
    was = of(first.f).text
    vars(first)["twice"] = abs
    assert of(first.f).text == was, "docs/code-digest.md says so"


@pytest.mark.parametrize("decorator", ["functools.lru_cache(None)", "plain", "wrapped", "functools.singledispatch"])
def test_a_decorated_function_counts_with_its_decorator(sources: Sources, decorator: str) -> None:
    text = f"""
    import functools
    def plain(f):
        def inner(*args): return f(*args)
        return inner
    def wrapped(f):
        @functools.wraps(f)
        def inner(*args): return f(*args)
        return inner
    @{decorator}
    def f(x): return x + 1
    """
    sources.write("deco.py", text)
    was = of(sources.get("deco:f")).text
    sources.write("deco.py", text.replace("x + 1", "x + 2"))
    changed = of(sources.get("deco:f")).text
    sources.write("deco.py", text.replace("f(*args)", "-f(*args)"))
    other = of(sources.get("deco:f")).text
    assert "" not in (was, changed, other)
    assert changed != was
    assert (other != was) == (decorator in ("plain", "wrapped"))


def test_two_modules_of_one_name_are_distinguished(sources: Sources) -> None:
    digests = Digests()
    path = sources.write("twin.py", "def f(x): return x\n")
    first = sources.get("twin:f")
    was = digests.of(first)
    path.write_text("def f(x): return x + 1\n")
    second = sources.get("twin:f")
    assert was.text not in ("", digests.of(second).text)
    assert "twin that is loaded now is not the one that it came from" in digests.of(first).reason


# --- sources that are not there ----------------------------------------------------------------------------------


def test_a_source_that_cannot_be_parsed_gives_no_digest(pk: Sources) -> None:
    f = pk.get("pk.first:f")
    pk.write("pk/first.py", "def f(x:\n")
    assert "the source of pk.first does not have it, or cannot be read" in of(f).reason


def test_a_helper_that_cannot_be_parsed_counts_by_its_name(pk: Sources) -> None:
    f = pk.get("pk.first:f")
    pk.write("pk/helper.py", "def twice(x:\n")
    assert of(f).text


@pytest.mark.parametrize("data", [b"# coding: none\ndef f(x): return x\n", b"\xff\xfe", b"def f(x):\n\x00"])
def test_a_file_that_is_no_text_gives_no_digest(sources: Sources, data: bytes) -> None:
    path = sources.write("raw.py", "def f(x): return x\n")
    f = sources.get("raw:f")
    path.write_bytes(data)
    assert of(f).text == ""


def test_other_encodings_and_line_ends_are_the_same_code(sources: Sources) -> None:
    path = sources.write("raw.py", "def f(x): return 'ä' + '''a\nb'''\n")
    was = of(sources.get("raw:f")).text
    path.write_bytes("# coding: latin-1\r\ndef f(x): return 'ä' + '''a\r\nb'''\r\n".encode("latin-1"))
    assert of(sources.get("raw:f")).text == was != ""


def test_byte_code_without_source_gives_no_digest(sources: Sources) -> None:
    path = sources.write("bare.py", "def f(x): return x\n")
    py_compile.compile(str(path), str(path.with_suffix(".pyc")))
    path.unlink()
    assert "the source of bare does not have it, or cannot be read" in of(sources.get("bare:f")).reason


def test_a_zipped_package_has_the_digest_of_its_files(pk: Sources) -> None:
    was = of(pk.get("pk.first:f")).text
    archive = pk.folder / "pk.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for path in (pk.folder / "pk").glob("*.py"):
            zipped.write(path, f"pk/{path.name}")
    pk.lead_to(archive)
    f = pk.get("pk.first:f")
    assert ".zip" in f.__code__.co_filename
    assert of(f).text == was != ""


def test_what_was_typed_in_or_made_by_exec_has_none() -> None:
    scope: dict[str, Any] = {"__name__": "made.by.hand"}
    exec("def f(x): return x", scope)
    assert "the source of made.by.hand" in of(scope["f"]).reason


class _Answers:
    """A stand-in that answers to every name, as mocks do."""

    def __getattr__(self, name: str) -> Any:
        return lambda: name

    def __call__(self) -> int:
        return 1


class _Raises:
    @property
    def __wrapped__(self) -> Callable[[], int]:
        raise RuntimeError("not now")

    def __call__(self) -> int:
        return 1


@pytest.mark.parametrize("value", [_Answers(), _Raises()])
def test_an_object_with_attributes_of_its_own_kind_raises_nothing(value: Any) -> None:
    found = of(value)
    assert found.text == ""
    assert found.reason
