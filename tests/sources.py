"""Packages that a test writes, imports and edits: each test has a folder of its own on the path.

The fixture `sources` stands in tests/conftest.py.
"""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any


class Sources:
    """A folder on the path, and what was imported from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before = set(sys.modules)
        sys.path.insert(0, str(folder))

    def write(self, name: str, text: str) -> Path:
        """Write a file; the text may be indented."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        importlib.invalidate_caches()
        return path

    def tree(self, files: Mapping[str, str]) -> None:
        """Write several files: by path, their texts."""
        for name, text in files.items():
            self.write(name, text)

    def load(self, name: str) -> ModuleType:
        """Import a module as it is there now, and everything that it imports again."""
        self.forget()
        return importlib.import_module(name)

    def get(self, place: str) -> Any:
        """Import `module:name` again."""
        module, _, name = place.partition(":")
        value: Any = self.load(module)
        for part in name.split("."):
            value = getattr(value, part)
        return value

    def lead_to(self, place: Path) -> None:
        """Put a folder or an archive within the folder first on the path."""
        sys.path.insert(0, str(place))
        importlib.invalidate_caches()

    def forget(self) -> None:
        """Forget what was imported from the folder."""
        importlib.invalidate_caches()
        for name in set(sys.modules) - self._before:
            found = getattr(sys.modules[name], "__spec__", None)
            places = [found.origin or "", *(found.submodule_search_locations or ())] if found is not None else []
            if any(str(place).startswith(str(self.folder)) for place in places):
                del sys.modules[name]

    def close(self) -> None:
        self.forget()
        sys.path[:] = [one for one in sys.path if not one.startswith(str(self.folder))]
        for one in [one for one in sys.path_importer_cache if one.startswith(str(self.folder))]:
            del sys.path_importer_cache[one]
