"""The map of floors: imports go down only, siblings do not import each other, files form no circle, no file swells."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A package or module of simpledist (or the web package) -> its floor.
FLOORS = {
    "errors": -1,  # below everything: any file may raise
    "reasons": -1,
    "job": 0,
    "policy": 0,
    "costs": 0,
    "scaling": 1,
    "clock": 0,
    "buffers": 0,
    "platforms": 0,
    "config": 1,
    "code": 1,
    "faultpoints": 0,
    "forked_copies": 0,
    "exit_status": 0,
    "randomness": 0,
    "interruption": 0,
    "private_files": 0,
    "end_signals": 0,
    "printable": 0,
    "embedded": 1,
    "wire": 2,
    "broker": 3,
    "shipped": 3,
    "engine": 4,
    "worker": 4,
    "monitor": 4,
    "client": 5,
    "distributor": 5,
    "joblib": 6,
    "cluster": 7,
    "ssh": 7,
    "slurm": 7,
    "testing": 8,
    "web": 8,
    "cli": 9,
}
LINES = 400
WEB_MAY_IMPORT = {"monitor", "errors", "reasons", "config", "web"}
ALONE = {
    "redis": ("broker",),
    "pickle": ("wire/serializers.py", "code/by_value.py"),
    "cloudpickle": ("code/by_value.py",),
    "flask": ("web",),
    "joblib": ("joblib",),
}


@functools.cache
def parsed(path: Path) -> ast.Module:
    """Return the tree of a file, read once for all tests."""
    return ast.parse(path.read_text())


def files() -> list[tuple[str, Path]]:
    """(room, path) of every module but the package's own `__init__`, which only names the public ones."""
    found = [
        (path.relative_to(ROOT / "simpledist").parts[0].removesuffix(".py"), path)
        for path in sorted((ROOT / "simpledist").rglob("*.py"))
        if path != ROOT / "simpledist" / "__init__.py"
    ]
    return found + [("web", path) for path in sorted((ROOT / "web").rglob("*.py"))]


@functools.cache
def imports(path: Path) -> frozenset[str]:
    """Every module that a file names: under TYPE_CHECKING, within a function and by `import_module` too."""
    named = {name for node in ast.walk(parsed(path)) for name in imported(node, path)}
    return frozenset(named).union(lazily(path))


def lazily(path: Path) -> Iterator[str]:
    """Every module of ours that a file imports by `import_module`."""
    for node in ast.walk(parsed(path)):
        match node:
            case ast.Call(
                func=ast.Name("import_module") | ast.Attribute(attr="import_module"), args=[ast.Constant(str(name)), *_]
            ) if name.startswith("simpledist"):
                yield name
            case _:
                pass


def imported(node: ast.AST, path: Path) -> Iterator[str]:
    """The modules that one statement of a file imports."""
    if isinstance(node, ast.Import):
        yield from (name.name for name in node.names)
    elif isinstance(node, ast.ImportFrom):
        # web/ is installed under another name than its folder's: its own modules it names relatively.
        assert node.level == 0 or (node.level == 1 and path.parent.name == "web"), f"{path}: a relative import"
        module = node.module or ""
        folder = ROOT / module.replace(".", "/").replace("simpledist_web", "web", 1)
        for name in node.names:  # a file of a package may be named as a part of it
            inside = (folder / name.name).is_dir() or (folder / f"{name.name}.py").exists()
            yield f"{module}.{name.name}" if module == "simpledist" or inside else module


def modules() -> dict[str, Path]:
    """Every module of simpledist by its name, but for the package's own `__init__`."""
    found: dict[str, Path] = {}
    for _, path in files():
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name.replace("web", "simpledist_web", 1) if parts[0] == "web" else name] = path
    return found


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other in a circle."""
    reach: dict[str, set[str]] = {}
    for start in arrows:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for to in arrows[waiting.pop()] - seen:
                seen.add(to)
                waiting.append(to)
        reach[start] = seen
    groups = {
        frozenset(one for one in reach[start] if start in reach[one]) for start in arrows if start in reach[start]
    }
    return sorted(sorted(group) for group in groups)


def test_files_import_each_other_in_no_circle() -> None:
    named = modules()
    arrows = {name: set(imports(path) & named.keys()) - {name} for name, path in named.items()}
    assert circles(arrows) == []


def for_types(path: Path) -> set[str]:
    """Return the modules that a file imports under TYPE_CHECKING."""
    return {
        name
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for one in node.body
        for name in imported(one, path)
    }


def test_imports_for_types_alone_do_not_go_up() -> None:
    """A file stands one level above the highest that it imports when it runs, by `import_module` too."""
    named = modules()
    arrows = {
        name: (imports(path) - for_types(path) | set(lazily(path))) & named.keys() - {name}
        for name, path in named.items()
    }

    @functools.cache
    def level(name: str) -> int:
        return 1 + max(map(level, arrows[name]), default=0)

    up = [
        f"{name} -> {other}"
        for name, path in named.items()
        for other in for_types(path) & named.keys()
        if level(other) > level(name)
    ]
    assert up == [], "give the type a Protocol where it is used"


def room_of(module: str) -> str | None:
    first, _, rest = module.partition(".")
    if first == "simpledist_web":
        return "web"
    return rest.partition(".")[0] if first == "simpledist" and rest else None


@pytest.mark.parametrize(("room", "path"), files(), ids=lambda value: str(value).removeprefix(f"{ROOT}/"))
def test_imports_go_down_only(room: str, path: Path) -> None:
    assert room in FLOORS, f"{path} has no floor: give it one here"
    for module in imports(path):
        to = room_of(module)
        if to is None:
            owners = ALONE.get(module.partition(".")[0])
            assert owners is None or room in owners or path.as_posix().endswith(owners), (
                f"{path} imports {module}: only {owners} may"
            )
        elif to != room and not to.startswith("__"):
            assert FLOORS[to] < FLOORS[room], f"{path} (floor {FLOORS[room]}) imports {module} (floor {FLOORS[to]})"
            assert room != "web" or to in WEB_MAY_IMPORT, f"{path} imports {module}"


@pytest.mark.parametrize("room", ["broker", "code", "engine", "worker", "wire", "ssh", "slurm", "cli/diagnostics"])
def test_the_map_of_a_room_names_each_file(room: str) -> None:
    """The docstring of the package is what a newcomer reads first."""
    folder = ROOT / "simpledist" / room
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    assert [path.name for path in folder.glob("[!_]*.py") if not re.search(rf"\b{path.stem}\b", text)] == []


def test_the_map_of_the_engine_is_in_the_order_of_its_imports() -> None:
    """What `import_module` loads when it is first asked for may stand anywhere."""
    folder = ROOT / "simpledist" / "engine"
    order: list[str] = re.findall(
        r"\b(\w+)\.py", ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    )
    assert len(order) == len(set(order)) > 50
    late = {
        f"{path.stem} imports {other}, which stands behind it"
        for path in folder.glob("[!_]*.py")
        for node in parsed(path).body
        for module in imported(node, path)
        for other in [module.removeprefix("simpledist.engine.")]
        if module.startswith("simpledist.engine.") and other in order[order.index(path.stem) :]
    }
    assert late == set()


@pytest.mark.parametrize(("room", "path"), files(), ids=lambda value: str(value).removeprefix(f"{ROOT}/"))
def test_no_file_swells(room: str, path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= LINES, f"{path} of {room} has {lines} lines: which idea in it wants a room of its own?"


def test_no_file_of_the_tests_swells() -> None:
    lines = {path: len(path.read_text().splitlines()) for path in sorted((ROOT / "tests").rglob("*.py"))}
    assert len(lines) > 100
    assert {path.name: number for path, number in lines.items() if number > LINES} == {}


def test_every_file_says_what_it_owns() -> None:
    for _, path in files():
        assert ast.get_docstring(parsed(path)) or not path.read_text().strip(), f"{path}: no docstring"


def test_every_package_is_in_the_wheel() -> None:
    written = re.search(r"^packages = (\[.*?\])", (ROOT / "pyproject.toml").read_text(), re.DOTALL | re.MULTILINE)
    assert written
    listed: list[str] = ast.literal_eval(written[1])
    files = [path for room in ("simpledist", "web") for path in (ROOT / room).rglob("*.*") if path.is_file()]
    folders = {path.parent.relative_to(ROOT) for path in files if "__pycache__" not in path.parts}
    names = {".".join(folder.parts).replace("web", "simpledist_web", folder.parts[0] == "web") for folder in folders}
    assert names == set(listed), "a folder that is left out: setuptools warns of it"


def test_numbers_that_several_rooms_go_by_are_in_policy() -> None:
    """A time that one room takes from another has its home in policy.py; what a call costs has it in costs.py."""
    found = {
        f"{path.relative_to(ROOT)}: {node.module}.{name.name}"
        for room, path in files()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ImportFrom) and room_of(node.module or "") not in (None, room, "policy", "costs")
        for name in node.names
        if re.search(r"_(SECONDS|MS)(_|$)", name.name)
    }
    # The dashboard may read the model alone, which has these from policy.py.
    assert found == {"web/charts.py: simpledist.monitor.BOUNDS_SECONDS"}
