"""Fingerprints: the same code gives the same one anywhere, other code another; some code has none."""

from __future__ import annotations

import functools
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from simpledist.code.fingerprint import brief, differs, fingerprint
from tests.ids import steady

SOURCE = """
import functools, re

class Thing:
    pass

def plain(x, y=2):
    '''Adds.'''
    return x + y

def chooses(x, *, way="up", limits=frozenset({"a", "b", "c", "d"}), table={"k": {"e", "f", "g"}}, thing=Thing()):
    if x in {"one", "two", "three", "four", "five", ("six", "seven")}:
        return [n for n in range(10) if n not in {"red", "green", "blue"}]
    return (lambda z: z in {"alpha", "beta", "gamma"})(way)

def careful(x):
    try:
        return 1 / x
    except ZeroDivisionError:
        return None

@functools.lru_cache(maxsize=None)
def cached(x):
    return x * 3
"""
NAMES = ["plain", "chooses", "careful", "cached"]


def module_of(source: str, name: str = "fns") -> types.ModuleType:
    module = types.ModuleType(name)
    exec(compile(source, f"{name}.py", "exec", dont_inherit=True), module.__dict__)
    return module


def of(source: str, name: str) -> str:
    return fingerprint(getattr(module_of(source), name))


def test_it_names_the_function_and_the_python() -> None:
    name, python, digest = of(SOURCE, "plain").split("/")
    assert name == "fns:plain"
    assert python == f"py{sys.version_info.major}.{sys.version_info.minor}"
    assert len(bytes.fromhex(digest)) == 8


def test_it_is_the_same_in_processes_with_other_hash_seeds(tmp_path: Path) -> None:
    (tmp_path / "fns.py").write_text(SOURCE)
    program = f"import fns, simpledist.code.fingerprint as f\nfor n in {NAMES}: print(f.fingerprint(getattr(fns, n)))"
    printed: set[str] = set()
    for seed in range(5):
        environment = {"PYTHONHASHSEED": str(seed), "PYTHONPATH": str(tmp_path)}
        printed.add(subprocess.check_output([sys.executable, "-c", program], env=environment, text=True, timeout=30))
    assert printed == {"".join(of(SOURCE, name) + "\n" for name in NAMES)}


def test_lines_above_and_names_of_files_do_not_change_it() -> None:
    moved = module_of("\n\n# moved down\n" + SOURCE)
    assert [fingerprint(getattr(moved, name)) for name in NAMES] == [of(SOURCE, name) for name in NAMES]


def test_running_a_function_hot_does_not_change_it() -> None:
    module = module_of(SOURCE)
    before = [fingerprint(getattr(module, name)) for name in NAMES]
    for n in range(20_000):
        module.plain(n)
        module.careful(n)
        module.chooses(n)
    assert [fingerprint(getattr(module, name)) for name in NAMES] == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("plain", "x + y", "x - y"),
        ("plain", "y=2", "y=3"),
        ("plain", "y=2", "y=2.0"),
        ("plain", "y=2", "y=True + 1 - 0 * 1j"),
        ("chooses", '"five"', '"5ive"'),
        ("chooses", '"red"', '"pink"'),
        ("chooses", '"alpha"', '"omega"'),
        ("chooses", 'way="up"', 'way="down"'),
        ("chooses", '"d"}', '"z"}'),
        ("chooses", '{"e"', '{"E"'),
        ("chooses", "range(10)", "range(11)"),
        ("chooses", "thing=Thing()", "thing=None"),
        ("careful", "ZeroDivisionError", "ArithmeticError"),
        ("cached", "x * 3", "x * 4"),
    ],
)
def test_other_code_gives_another(name: str, old: str, new: str) -> None:
    assert old in SOURCE
    here, there = of(SOURCE, name), of(SOURCE.replace(old, new), name)
    assert here != there
    assert differs(here, there)


def test_a_decorator_does_not_hide_what_it_wraps() -> None:
    def logged(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            return function(*args)

        return wrapper

    module, changed = module_of(SOURCE), module_of(SOURCE.replace("x + y", "x * y"))
    assert differs(fingerprint(logged(module.plain)), fingerprint(logged(changed.plain)))
    assert fingerprint(logged(module.plain)) == fingerprint(logged(module_of(SOURCE).plain))


class Callable_:
    def __call__(self) -> None: ...


def test_a_wrapper_that_wraps_itself_does_not_hang() -> None:
    function: Any = module_of(SOURCE).plain
    function.__wrapped__ = function
    assert fingerprint(function)


def _of_main() -> None: ...


_of_main.__module__ = "__main__"


def _inner() -> Any:
    def local() -> None: ...

    return local


@pytest.mark.parametrize(
    "function",
    [
        len,
        print,
        int,
        lambda: 1,
        functools.partial(print),
        Callable_(),
        Callable_,
        _of_main,
        _inner(),
        functools.cache(len),
    ],
    ids=steady,
)
def test_what_cannot_be_identified_has_none(function: Any) -> None:
    assert fingerprint(function) == ""


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("m:f/py3.11/aa", "m:f/py3.11/bb", True),
        ("m:f/py3.11/aa", "m:f/py3.11/aa", False),
        ("m:f/py3.11/aa", "m:f/py3.12/bb", False),
        ("m:f/py3.11/aa", "m:g/py3.11/bb", False),
        ("m:f/py3.11/aa", "n:f/py3.11/bb", False),
        ("", "m:f/py3.11/bb", False),
        ("m:f/py3.11/aa", "", False),
        ("", "", False),
        ("garbage", "other garbage", False),
        ("/aa", "/bb", False),
    ],
)
def test_only_the_same_function_under_the_same_python_differs(left: str, right: str, expected: bool) -> None:
    assert differs(left, right) is expected
    assert differs(right, left) is expected
    assert differs(brief(left), brief(right)) is expected, "in brief it says the same"
