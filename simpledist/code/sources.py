"""The source of a module: its statements, which of them bind which name, and what it imports.

Owns how a module's text is found (loaded or not, on disk or in an archive) and the index over it. Nothing is executed:
a module that is not loaded is found by its package's path, and is only read.
"""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from simpledist.code.scopes import Import, bound_in, imported
from simpledist.code.writer import without_effect

_BINDS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)


@dataclass(slots=True)
class Source:
    """One module's text, parsed. Statements go by their index among those of the module."""

    name: str
    is_package: bool
    path: str  # for people; "" where there is none
    tree: ast.Module
    bindings: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    imports: dict[str, list[Import]] = field(default_factory=dict[str, list[Import]])
    stars: list[Import] = field(default_factory=list[Import])
    bare: list[int] = field(default_factory=list[int])

    def __post_init__(self) -> None:
        for index, statement in enumerate(self.tree.body):
            for node in _scope(statement):
                if isinstance(node, (ast.Import, ast.ImportFrom)):
                    self._import(node)
            for name in bound_in([statement]) - {"*"}:
                if not isinstance(statement, (ast.Import, ast.ImportFrom)):
                    self.bindings.setdefault(name, []).append(index)
            if _is_bare(statement):
                self.bare.append(index)

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        for name, source in imported(node):
            if name == "*":
                self.stars.append(source)
            elif source not in self.imports.setdefault(name, []):
                self.imports[name].append(source)

    def has(self, name: str) -> bool:
        return name in self.bindings or name in self.imports

    def absolute(self, source: Import) -> str:
        """Return the full name of the module that an import of this module names; "" beyond the top."""
        if not source.level:
            return source.module
        parts = self.name.split(".")
        keep = len(parts) - source.level + self.is_package
        if keep <= 0:
            return ""
        return ".".join([*parts[:keep], *([source.module] if source.module else [])])


def source_of(name: str, known_as: str | None = None) -> Source | None:
    """Read and parse the module called `name`; None where it has no source that can be parsed.

    `known_as` is the name that it goes by where that is another: `__main__` is the module of its file.
    """
    found = _text(name)
    if found is None:
        return None
    text, path, is_package = found
    try:
        return Source(known_as or name, is_package, path, ast.parse(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def exists(name: str) -> bool:
    """Return whether there is a module of this name, with or without source."""
    return _spec(name) is not None


def _text(name: str) -> tuple[str | bytes, str, bool] | None:
    spec = _spec(name)
    if spec is None:
        return None
    path = spec.origin or ""
    is_package = spec.submodule_search_locations is not None
    get_source: Any = getattr(spec.loader, "get_source", None)
    try:
        text = get_source(spec.name) if get_source is not None else None
        if text is None and path.endswith(".py"):
            with open(path, "rb") as file:
                text = file.read()
    except (OSError, ImportError, SyntaxError, UnicodeDecodeError):
        return None
    return None if text is None else (text, path, is_package)


def _spec(name: str) -> importlib.machinery.ModuleSpec | None:
    module = sys.modules.get(name)
    if module is not None:
        return _spec_of(module)
    parent, _, _ = name.rpartition(".")
    if not parent:
        try:
            return importlib.util.find_spec(name)
        except (ImportError, ValueError):
            return None
    above = _spec(parent)
    if above is None or above.submodule_search_locations is None:
        return None
    return _found_below(name, list(above.submodule_search_locations))


def _found_below(name: str, locations: list[str]) -> importlib.machinery.ModuleSpec | None:
    """Find a module in its package's folders; the import system's own way needs the package to be imported."""
    portions: list[str] = []
    for location in locations:
        finder: Any = pkgutil.get_importer(location)
        spec = finder.find_spec(name) if finder is not None else None
        if spec is not None and spec.loader is not None:
            return spec
        portions += list(spec.submodule_search_locations or []) if spec is not None else []
    if not portions:
        return None
    spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = portions
    return spec


def _spec_of(module: ModuleType) -> importlib.machinery.ModuleSpec | None:
    if module.__spec__ is not None:
        return module.__spec__
    path = getattr(module, "__file__", None)  # a script's `__main__` has no spec
    return None if path is None else importlib.util.spec_from_file_location(module.__name__, path)


def _scope(statement: ast.AST) -> Iterator[ast.AST]:
    """Yield a statement and what is nested in it, but for the bodies of functions and classes."""
    yield statement
    if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
        for inner in ast.iter_child_nodes(statement):
            yield from _scope(inner)


def _is_bare(statement: ast.stmt) -> bool:
    """Return whether a statement does something beside binding names: then it counts for whatever its module holds."""
    if isinstance(statement, _BINDS) or without_effect(statement) or _guards(statement):
        return False
    if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return any(isinstance(node, (ast.Attribute, ast.Subscript)) for target in targets for node in ast.walk(target))
    inner = [node for node in _statements_in(statement)]
    return any(map(_is_bare, inner)) if inner else True


def _statements_in(statement: ast.stmt) -> Iterable[ast.stmt]:
    for node in ast.iter_child_nodes(statement):
        if isinstance(node, ast.stmt):
            yield node
        elif isinstance(node, (ast.ExceptHandler, ast.match_case)):
            yield from node.body


def _guards(statement: ast.stmt) -> bool:
    """Return whether it is `if __name__ == "__main__":` or `if TYPE_CHECKING:`, which an import does not run."""
    if not isinstance(statement, ast.If):
        return False
    names = {node.id for node in ast.walk(statement.test) if isinstance(node, ast.Name)}
    attributes = {node.attr for node in ast.walk(statement.test) if isinstance(node, ast.Attribute)}
    return "__name__" in names or "TYPE_CHECKING" in names | attributes
