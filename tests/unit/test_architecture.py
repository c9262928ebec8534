"""The map of floors: imports go down only, siblings do not import each other, no file swells."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A package or module of simpledist (or the web package) -> its floor.
FLOORS = {
    "errors": -1,  # below everything: any file may raise
    "job": 0,
    "policy": 0,
    "placement": 0,
    "reasons": 0,
    "clock": 0,
    "buffers": 0,
    "platforms": 0,
    "config": 1,
    "code": 1,
    "shipped": 0,
    "faultpoints": 0,
    "copies": 0,
    "exit_status": 0,
    "randomness": 0,
    "embedded": 1,
    "wire": 2,
    "broker": 3,
    "client": 4,
    "worker": 4,
    "monitor": 4,
    "distributor": 5,
    "joblib": 5,
    "cluster": 6,
    "testing": 7,
    "web": 7,
    "cli": 8,
}
WEB_MAY_IMPORT = {"monitor", "errors", "reasons", "web"}
ALONE = {
    "redis": ("broker",),
    "pickle": ("wire/serializers.py", "code/by_value.py"),
    "cloudpickle": ("code/by_value.py",),
    "flask": ("web",),
    "joblib": ("joblib",),
}


def files() -> list[tuple[str, Path]]:
    """(room, path) of every module but the package's own `__init__`, which only names the public ones."""
    found = [
        (path.relative_to(ROOT / "simpledist").parts[0].removesuffix(".py"), path)
        for path in sorted((ROOT / "simpledist").rglob("*.py"))
        if path != ROOT / "simpledist" / "__init__.py"
    ]
    return found + [("web", path) for path in sorted((ROOT / "web").rglob("*.py"))]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            # web/ is installed under another name than its folder's: its own modules it names relatively.
            assert node.level == 0 or (node.level == 1 and path.parent.name == "web"), f"{path}: a relative import"
            module = node.module or ""
            if module == "simpledist":
                yield from (f"simpledist.{name.name}" for name in node.names)
            else:
                yield module


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


@pytest.mark.parametrize(("room", "path"), files(), ids=lambda value: str(value).removeprefix(f"{ROOT}/"))
def test_no_file_swells(room: str, path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= 450, f"{path} of {room} has {lines} lines: which idea in it wants a room of its own?"


def test_every_file_says_what_it_owns() -> None:
    for _, path in files():
        assert ast.get_docstring(ast.parse(path.read_text())) or not path.read_text().strip(), f"{path}: no docstring"
