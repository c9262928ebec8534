"""The digest of one tree is the same wherever and however it is loaded, and that of another tree is another."""

from __future__ import annotations

import importlib
import itertools
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simpledist.code.tree import Package, tree_of
from tests import needs
from tests.digests import STAND_IN, VERSIONS
from tests.matrix import python
from tests.trees import ROOT

PROGRAM = (
    STAND_IN
    + """
from pk.first import f, Shape
import functools
digests = Digests()
found = [digests.of(one) for one in (f, Shape.area, functools.partial(f, 2), Shape(3).area, Shape)]
print([one.text or one.reason for one in found], sorted(found[0].packages))
"""
)
FIRST = '''
"""Text, ä."""
from __future__ import annotations
import dataclasses, math
from . import second
from .second import *

@dataclasses.dataclass(frozen=True)
class Shape:
    sides: int
    def area(self, x: float = 2.0) -> float:
        """Return it."""
        assert x, f"{x!r:>{self.sides}} of" "ä"
        return second.middle(x) * self.sides

def f(x: int, *, y=(1, 2.5, "ä", b"x", None, 1j, ...)) -> float:
    match x:
        case [a, *_]: return a
        case {"k": v, **rest}: return v
        case Shape(sides=s) | int(s): pass
    return [(lambda z, q=i: helper(z) + q)(j) for i in range(x) for j in y if (k := i)][0] + math.sqrt(x)
'''
SECOND = """
import aside
__all__ = ["helper"]
def helper(x): return aside.low(x) if __debug__ else aside.low(x)
def middle(x):
    try:
        return helper(x)
    except (KeyError, *(ValueError,)) as error:
        raise TypeError from error
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with a package, a module beside it, and a program that prints digests."""
    return make_tree(tmp_path / "tree")


def make_tree(folder: Path) -> Path:
    (folder / "pk").mkdir(parents=True)
    (folder / "pk/__init__.py").write_text("")
    (folder / "pk/first.py").write_text(FIRST, encoding="utf-8")
    (folder / "pk/second.py").write_text(SECOND)
    (folder / "aside.py").write_text("def low(x): return x\n")
    (folder / "program.py").write_text(PROGRAM)
    return folder


def said(
    tree: Path, *words: str, executable: str = sys.executable, root: Sequence[str] = (str(ROOT),), **more: str
) -> str:
    """Return what the program prints in this tree, with an empty cache."""
    variables = {**os.environ, "XDG_CACHE_HOME": str(tree / "cache"), "PYTHONPATH": str(tree), **more}
    command = [executable, *(words or ("program.py",)), *root]
    done = subprocess.run(command, cwd=tree, env=variables, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return next(line for line in done.stdout.splitlines() if line.startswith("['"))


@pytest.fixture
def usual(tree: Path) -> str:
    found = said(tree)
    assert found.count("'") == 12, found
    return found


@pytest.mark.parametrize("options", [("-O",), ("-OO",), ("-B",), ("-X", "utf8=0")], ids=" ".join)
def test_options_of_the_interpreter_do_not_change_it(tree: Path, usual: str, options: tuple[str, ...]) -> None:
    assert said(tree, *options, "program.py") == usual


@pytest.mark.parametrize("variables", [{"LANG": "C", "LC_ALL": "C"}, {"PYTHONHASHSEED": "7"}, {"TZ": "Asia/Tokyo"}])
def test_the_environment_does_not_change_it(tree: Path, usual: str, variables: dict[str, str]) -> None:
    assert said(tree, **variables) == usual


@pytest.mark.parametrize("version", VERSIONS)
def test_another_python_does_not_change_it(tree: Path, usual: str, version: str) -> None:
    executable = python(version) or needs.missing(f"no Python {version} here: pyenv install it")
    assert said(tree, executable=executable) == usual


def test_another_folder_and_a_cache_that_is_full_of_it_do_not_change_it(tree: Path, usual: str, tmp_path: Path) -> None:
    assert said(make_tree(tmp_path / "elsewhere" / "with space ä")) == usual
    assert said(tree) == usual, "from what was kept"


def test_an_installed_wheel_has_the_digest_of_its_checkout(tree: Path, usual: str, tmp_path: Path) -> None:
    site = tmp_path / "lib" / "site-packages"
    site.mkdir(parents=True)
    (tree / "pk").rename(site / "pk")
    (site / "pk-1.dist-info").mkdir()
    (site / "pk-1.dist-info/RECORD").write_text("pk/__init__.py,,\npk/first.py,,\npk/second.py,,\n")
    assert said(tree, PYTHONPATH=f"{site}:{tree}") == usual


def test_asserts_that_pytest_rewrites_do_not_change_it(tree: Path, usual: str) -> None:
    (tree / "conftest.py").write_text("import pytest\npytest.register_assert_rewrite('pk')\n")
    (tree / "test_it.py").write_text(
        "import runpy, sys\n"
        "def test(capsys):\n"
        f"    sys.argv = ['', {str(ROOT)!r}]\n"
        "    runpy.run_path('program.py')\n"
        "    import pk.first\n"
        "    assert 'pytest' in type(pk.first.__loader__).__module__\n"
    )
    assert said(tree, "-m", "pytest", "-s", "-q", "-p", "no:cacheprovider", "test_it.py", root=()) == usual


def test_tracing_as_coverage_does_it_does_not_change_it(tree: Path, usual: str) -> None:
    (tree / "traced.py").write_text(
        "import sys, threading\n"
        "def trace(frame, event, argument): return trace\n"
        "sys.settrace(trace)\n"
        "exec(compile(open('program.py').read(), 'program.py', 'exec'))\n"
    )
    assert said(tree, "traced.py") == usual


def test_a_script_is_the_module_of_its_file(tree: Path) -> None:
    text = STAND_IN + "def f(x): return g(x)\ndef g(x): return -x\nif __name__ == '__main__':\n"
    (tree / "script.py").write_text(text + "    print([Digests().of(f).text])\n")
    (tree / "importing.py").write_text("import script\nprint([script.Digests().of(script.f).text])\n")
    assert said(tree, "script.py") == said(tree, "-m", "script") == said(tree, "importing.py") != "['']"


# --- any tree ----------------------------------------------------------------------------------------------------

COUNT = 6  # functions, in two modules
BODIES = (
    "    return {uses} + {number}\n",
    "    def inner(y, z={number}):\n        return {uses} + z\n    return inner(x)\n",
    "    return sum([{uses} for i in range({number})])\n",
    "    with open(str({number})) as file:\n        return f'{{ {uses} }} {number:>{number}}'\n",
    "    try:\n        return {uses}\n    except (OSError, *()):\n        return lambda: {number}\n",
    "    match x:\n        case [{number}, *rest]:\n            return {uses}\n    return {number}\n",
)
NEUTRAL = ("# why\n", '"""Say."""\n', "\n\n\n", "pass\n", "...\n")
trees = st.lists(
    st.tuples(
        st.integers(0, 1),  # its module
        st.sampled_from(BODIES),
        st.sets(st.integers(0, COUNT - 1), max_size=2),  # what it uses
        st.integers(1, 9),
        st.booleans(),  # with annotations
    ),
    min_size=COUNT,
    max_size=COUNT,
)
Trees = list[tuple[int, str, set[int], int, bool]]
_numbers = itertools.count()


def texts_of(tree: Trees, *, neutral: bool = False, changed: int | None = None) -> dict[str, str]:
    """Return the files of a package: `a.py` and `b.py`, with the functions f0, f1 ..."""
    texts = {"__init__.py": "", "a.py": "from . import b\n", "b.py": "from . import a\n"}
    for number, (module, body, used, constant, annotated) in enumerate(tree):
        calls = " + ".join([f"{'' if tree[one][0] == module else 'ba'[module] + '.'}f{one}(x)" for one in sorted(used)])
        tail = body.format(uses=calls or "x", number=constant + 10 * (changed == number))
        head = f"def f{number}(x: 'int') -> int:\n" if annotated != neutral else f"def f{number}(x):\n"
        extra = textwrap.indent(NEUTRAL[constant % len(NEUTRAL)], "    ") if neutral else ""
        texts[f"{'ab'[module]}.py"] += NEUTRAL[number % len(NEUTRAL)] * neutral + head + extra + tail
    return texts


def digest_of(folder: Path, tree: Trees, texts: Mapping[str, str]) -> str:
    """Return the digest of f0 of a package that is written again, under a name of its own."""
    name = f"made{next(_numbers)}"
    (folder / name).mkdir()
    for file, text in texts.items():
        (folder / name / file).write_text(text)
    importlib.invalidate_caches()
    module = f"{name}.{'ab'[tree[0][0]]}"
    found = tree_of(Package(module), module, "f0")
    assert found is not None
    return found.digest()


def reached(tree: Trees) -> set[int]:
    found, waiting = set[int](), [0]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += tree[one][2]
    return found


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return tmp_path


@settings(
    max_examples=int(os.environ.get("SIMPLEDIST_EXAMPLES", "40")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(tree=trees, changed=st.integers(0, COUNT - 1))
def test_a_change_counts_exactly_where_the_function_leads_to_it(made: Path, tree: Trees, changed: int) -> None:
    usual = digest_of(made, tree, texts_of(tree))
    assert digest_of(made, tree, texts_of(tree, neutral=True)) == usual
    assert (digest_of(made, tree, texts_of(tree, changed=changed)) != usual) == (changed in reached(tree))


OF_MANY = """
import importlib, json
from simpledist.code.tree import Package, tree_of
found = {}
for name in sys.argv[2:]:
    package = Package(name)
    for module in (name + ".a", name + ".b"):
        source = package.source(module)
        found.update({module + f: tree_of(package, module, f).digest() for f in source.index.bindings})
print(json.dumps(found))
"""


@settings(
    max_examples=1,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.large_base_example],
)
@given(many=st.lists(trees, min_size=20, max_size=20))
def test_each_python_gives_any_tree_the_same_digest(made: Path, many: list[Trees]) -> None:
    names: list[str] = []
    for tree in many:
        digest_of(made, tree, texts_of(tree))
        names.append(f"made{next(_numbers) - 1}")
    found: list[dict[str, str]] = []
    for executable in filter(None, [sys.executable, *map(python, VERSIONS)]):
        command = [executable, "-c", STAND_IN + OF_MANY, str(ROOT), *names]
        variables = {**os.environ, "PYTHONPATH": str(made)}
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True, timeout=120)
        found.append(json.loads(done.stdout))
    assert len(found[0]) == 20 * COUNT
    assert all(one == found[0] for one in found)
