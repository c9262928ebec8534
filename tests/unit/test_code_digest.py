"""The code digest changes with what a function does, its helpers' included, and with nothing else."""

from __future__ import annotations

import ast
import functools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from simpledist.code.digest import CodeDigest, Digests
from simpledist.code.writer import written
from tests.environments import python
from tests.sources import Sources

ROOT = Path(__file__).parents[2]
PACKAGE = {
    "__init__.py": "from .deep.last import base\n",
    "first.py": '''
"""What it is."""
import math
from . import second
from .second import STEP
registry = {}

def helper(x):
    """Double."""
    return x * 2

class Shape:
    sides: int = 4
    def area(self, x: float) -> float:
        return helper(x) * self.sides

def f(x: int) -> float:
    # a comment
    return helper(x) + second.middle(x) + STEP + math.sqrt(x)

def unused():
    return 0
''',
    "second.py": """
STEP = 3
from .deep.last import last
def middle(x):
    return last(x) + 1
""",
    "deep/__init__.py": "",
    "deep/last.py": """
import os
def last(x):
    def inner(y, *, z=1):
        return f"{y}{z:>{x}}" 'tail'
    return len([inner(i) for i in range(x)])
def base(): return 1
""",
}
Make = Callable[..., CodeDigest]


@pytest.fixture
def make(sources: Sources) -> Make:
    """Return a function that writes the package with changes (file, old, new) and gives the digest of a name in it."""
    count = 0

    def made(*changes: tuple[str, str, str], of: str = "first:f", package: str = "pk") -> CodeDigest:
        nonlocal count
        count += 1
        files = dict(PACKAGE)
        for file, old, new in changes:
            assert old in files[file]
            files[file] = files[file].replace(old, new)
        sources.tree({f"{count}/{package}/{name}": text for name, text in files.items()})
        sources.lead_to(sources.folder / str(count))
        return Digests().of(sources.get(f"{package}.{of}"))

    return made


NOTHING = [
    ("first.py", "# a comment", "# another\n\n"),
    ("first.py", '"""Double."""', '"""Twice."""'),
    ("first.py", '"""What it is."""', ""),
    ("first.py", "x: int) -> float", "x: str) -> bytes"),
    ("first.py", "registry = {}", "registry: dict[str, int] = {}"),
    ("first.py", "return x * 2", "pass\n    return (x *\n        2)"),
    ("first.py", "def unused():\n    return 0", "def unused():\n    return 1"),
    ("second.py", "def middle(x):", "def middle(x: 'int'):"),
    ("deep/last.py", "def base(): return 1", "def base(): return 2"),
    ("__init__.py", "from .deep.last import base\n", ""),
]
SOMETHING = [
    ("first.py", "return x * 2", "return x * 3"),
    ("first.py", "def f(x", "import functools\n@functools.lru_cache(5)\ndef f(x"),
    ("first.py", "def f(x: int)", "def f(x: int = 5)"),
    ("first.py", "registry = {}", "registry = {}\nregistry['a'] = 1"),
    ("second.py", "STEP = 3", "STEP = 4"),
    ("second.py", "last(x) + 1", "last(x) + 2"),
    ("deep/last.py", "z=1", "z=2"),
    ("deep/last.py", "range(x)", "range(x + 1)"),
    ("deep/last.py", "'tail'", "'tale'"),
]


@pytest.mark.parametrize("change", NOTHING, ids=lambda one: f"{one[0]}: {one[2]!r}")
def test_what_does_not_change_what_it_does_does_not_change_its_digest(make: Make, change: tuple[str, str, str]) -> None:
    assert make(change).text == make().text != ""


@pytest.mark.parametrize("change", SOMETHING, ids=lambda one: f"{one[0]}: {one[2]!r}")
def test_a_change_of_the_function_or_of_a_helper_modules_away_changes_its_digest(
    make: Make, change: tuple[str, str, str]
) -> None:
    assert make(change).text not in ("", make().text)


def test_code_that_was_moved_to_another_package_is_the_same_code(make: Make) -> None:
    assert make(package="moved").text == make().text


def test_a_method_is_covered_with_its_class_and_fields_count_by_their_annotation(make: Make) -> None:
    was = make(of="first:Shape.area").text
    assert make(("first.py", "return x * 2", "return x * 3"), of="first:Shape.area").text != was
    assert make(("first.py", "sides: int", "sides: float"), of="first:Shape.area").text != was
    assert make(("first.py", "x: float) -> float", "x: int) -> int"), of="first:Shape.area").text == was


def test_a_name_that_a_function_binds_itself_is_not_the_modules(make: Make) -> None:
    body = ("first.py", "return x * 2", "second = registry = x\n    return [second * STEP for STEP in [2]][0]")
    other = ("second.py", "STEP = 3", "STEP = 4")
    assert make(body, of="first:helper").text == make(body, other, of="first:helper").text


def test_what_a_function_imports_by_itself_is_followed(make: Make) -> None:
    body = ("first.py", "return x * 2", "from .deep import last as module\n    return module.last(x)")
    helper = ("deep/last.py", "range(x)", "range(x + 1)")
    assert make(body, of="first:helper").text != make(body, helper, of="first:helper").text


def test_star_imports_and_names_handed_on_are_followed(make: Make) -> None:
    star = ("second.py", "from .deep.last import last", "from .deep.last import *")
    assert make(star).text != make(star, ("deep/last.py", "range(x)", "range(x + 1)")).text


def _twice(factor: int) -> Callable[[int], int]:
    def inner(x: int) -> int:
        return x * factor

    return inner


class _Callable:
    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, x: int) -> int:
        return x + self.step


def _plain(x: int, y: int = 0) -> int:
    return x + y


def _of(function: Any) -> CodeDigest:
    return Digests().of(function)


def test_what_is_bound_to_a_partial_or_a_closure_counts() -> None:
    assert _of(_twice(2)).text == _of(_twice(2)).text != _of(_twice(3)).text
    assert _of(functools.partial(_plain, 1)).text == _of(functools.partial(_plain, 1)).text
    assert len({_of(functools.partial(_plain, n)).text for n in (1, 2)} | {_of(_plain).text}) == 3


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (len, "the source of builtins does not have it"),
        (eval("lambda x: x", {"__name__": __name__}), "a lambda has no name"),
        (_Callable(1), "_Callable has no canonical form"),
        (functools.partial(cast(Any, _plain), object()), "object has no canonical form"),
    ],
)
def test_where_there_is_no_digest_a_reason_says_why(function: Any, reason: str) -> None:
    found = _of(function)
    assert found.text == ""
    assert reason in found.reason


def test_a_wrapped_function_is_what_it_wraps_with_its_decorator() -> None:
    assert _of(functools.lru_cache(_plain)).text == _of(_plain).text


EVERYWHERE = """
import json, sys, types
package = types.ModuleType("simpledist")
package.__path__ = [sys.argv[1] + "/simpledist"]
sys.modules["simpledist"] = package
from simpledist.code.tree import Package, tree_of
del sys.modules["simpledist"]  # it stood there so that nothing but these modules is imported: other Pythons lack redis
sys.path.insert(0, sys.argv[1])
own, found = Package("simpledist.policy"), {}
for module in sys.argv[2:]:
    source = own.source(module)
    for name in source.index.bindings:
        found[module + ":" + name] = tree_of(own, module, name).digest()
print(json.dumps(found))
"""
MODULES = (
    "policy",
    "code.canonical",
    "code.writer",
    "code.scopes",
    "code.tree",
    "wire.envelope",
    "worker.targets",
    "cli.call",
)


def test_a_sum_of_twice_as_many_terms_is_twice_the_work() -> None:
    """Packages for mathematics hold sums of hundreds of terms, and each is nested in the next one."""
    steps: list[int] = []
    for terms in (100, 200):
        (statement,) = ast.parse("total = " + " + ".join(f"x{n}" for n in range(terms))).body
        events: list[str] = []
        before = sys.getprofile()
        sys.setprofile(lambda _, event, __, events=events: events.append(event))
        try:
            written(statement)
        finally:
            sys.setprofile(before)
        steps.append(len(events))
    assert steps[1] < 2.2 * steps[0]


def test_each_python_gives_the_same_digests() -> None:
    found: dict[str, dict[str, str]] = {}
    for executable in filter(None, [sys.executable, *map(python, ("3.10", "3.11", "3.12", "3.13"))]):
        command = [executable, "-c", EVERYWHERE, str(ROOT), *(f"simpledist.{name}" for name in MODULES)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        found[executable] = json.loads(done.stdout)
    first = found[sys.executable]
    assert len(first) > 150
    assert [(executable, key) for executable, one in found.items() for key in first if one[key] != first[key]] == []
