"""The source of a module: where its text is found, and the index over it.

Owns how a module's text is found (loaded or not, on disk or in an archive), and which module object it was read for.
Nothing is executed: a module that is not loaded is found by its package's path, and is only read.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import pkgutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

from simpledist.code.index import (
    Index,
    from_json,
    imports_from_json,
    imports_in,
    imports_to_json,
    index_of,
    to_json,
)
from simpledist.code.memo import Memo, key_of
from simpledist.code.scopes import Import
from simpledist.interruption import by_signal

T = TypeVar("T")

memo = Memo()


@dataclass(frozen=True, slots=True)
class Text:
    """The text of one module: its name, and the module object that was loaded when it was read."""

    name: str
    is_package: bool
    path: str  # for people; "" where there is none
    text: str
    loaded: ModuleType | None
    spec: object  # of `loaded`: a reload gives it another

    def is_of(self, module: ModuleType | None) -> bool:
        """Return whether this was read for that module object, as it was loaded last."""
        return self.loaded is module and (module is None or self.spec is module.__spec__)

    def absolute(self, source: Import) -> str:
        """Return the full name of the module that an import of this module names; "" beyond the top."""
        if not source.level:
            return source.module
        parts = self.name.split(".")
        keep = len(parts) - source.level + self.is_package
        if keep <= 0:
            return ""
        return ".".join([*parts[:keep], *([source.module] if source.module else [])])


@dataclass(frozen=True, slots=True)
class Source(Text):
    """One module with the index over its text."""

    index: Index

    def has(self, name: str) -> bool:
        return name in self.index.bindings or name in self.index.imports


def source_of(name: str, known_as: str | None = None) -> Source | None:
    """Read the module called `name`; None where it has no source, or none that this Python can parse.

    `known_as` is the name that it goes by where that is another: `__main__` is the module of its file.
    """
    loaded = sys.modules.get(name)
    found = _text(name)
    if found is None:
        return None
    text, path, is_package = found
    index = indexed(text)
    spec = getattr(loaded, "__spec__", None)
    return None if index is None else Source(known_as or name, is_package, path, text, loaded, spec, index)


def indexed(text: str) -> Index | None:
    """Return the index of a text, from the cache on disk where it is there; None where it cannot be parsed."""
    return _kept("index", text, index_of, to_json, from_json)


def imports_of(text: str) -> list[Import] | None:
    """Return what a text imports, wherever in it, from that cache; None where it cannot be parsed."""
    return _kept("imports", text, imports_in, imports_to_json, imports_from_json)


def _kept(
    kind: str, text: str, make: Callable[[str], T | None], write: Callable[[T], str], read: Callable[[str], T]
) -> T | None:
    key = key_of(text)
    made = memo.load(kind, key, read)
    if made is None and (made := make(text)) is not None:
        memo.store(kind, key, write(made))
    return made


def exists(name: str) -> bool:
    """Return whether there is a module of this name, with or without source."""
    return spec_of(name) is not None


def is_namespace(name: str) -> bool:
    """Return whether this is a package without a file of its own, which several folders may share."""
    spec = spec_of(name)
    return spec is not None and spec.submodule_search_locations is not None and spec.origin in (None, "namespace")


def decoded(data: bytes) -> str | None:
    """Return the text of a source file; None where it says no encoding in which it can be read."""
    try:
        return importlib.util.decode_source(data)
    except (SyntaxError, UnicodeDecodeError, LookupError):
        return None


def _text(name: str) -> tuple[str, str, bool] | None:
    spec = spec_of(name)
    if spec is None:
        return None
    path = spec.origin or ""
    is_package = spec.submodule_search_locations is not None
    get_source: Any = getattr(spec.loader, "get_source", None)
    try:
        text = get_source(spec.name) if get_source is not None else None
        if text is None and path.endswith(".py"):
            with open(path, "rb") as file:
                text = decoded(file.read())
    except (OSError, ImportError, SyntaxError, ValueError) as error:
        if by_signal(error):
            raise
        return None
    return (text, path, is_package) if isinstance(text, str) else None


def spec_of(name: str) -> importlib.machinery.ModuleSpec | None:
    """Return where a module is, without importing anything; None where there is no such module."""
    module = sys.modules.get(name)
    if module is not None:
        return _spec_of_loaded(module)
    parent, _, _ = name.rpartition(".")
    if not parent:
        try:
            return importlib.util.find_spec(name)
        except (ImportError, ValueError):
            return None
    above = spec_of(parent)
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


def _spec_of_loaded(module: ModuleType) -> importlib.machinery.ModuleSpec | None:
    spec = getattr(module, "__spec__", None)
    if spec is not None:
        return spec
    path = getattr(module, "__file__", None)  # a script's `__main__` has no spec
    return None if path is None else importlib.util.spec_from_file_location(module.__name__, path)
