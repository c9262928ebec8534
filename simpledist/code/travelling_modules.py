"""The archive of a call: the files of this program's own modules that it leads to, named by their content.

Owns which modules those are, and which of their files. A module belongs to it if the bytes of the call name it, or if
the source of one that belongs to it imports it, wherever in that source; never one of the standard library or of an
installed distribution. Files are read once for each module object, and must be what was loaded.
"""

from __future__ import annotations

import fnmatch
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from simpledist.buffers import Data
from simpledist.code.archive_format import MOST_FILE_BYTES, Archive, packed
from simpledist.code.first_party import own_top
from simpledist.code.loaded import Loaded
from simpledist.code.pickled_names import names_in
from simpledist.code.scopes import Import
from simpledist.code.sources import Text, decoded, imports_of, is_namespace, spec_of
from simpledist.errors import NotPacked
from simpledist.interruption import by_signal

_MAINS = ("__main__", "__mp_main__")  # their code travels by value
_MOST_KEPT = 64
_GIT_SECONDS = 5.0
_MOST_LOOSE_FILES = 1_000  # of a package outside git; where there are more, or more bytes, no data goes along
_MOST_LOOSE_BYTES = 10_000_000
# Archives are signed, not secret: what looks like a secret never goes into one.
_NEVER = (".*", "*.pem", "*.key", "*.p12", "id_*", "*credential*", "*secret*", "*.sqlite*", "*.db")
_OTHERS = ("__init__.py", "pyvenv.cfg")  # folders with one of these are packages or environments of their own


@dataclass(frozen=True, slots=True)
class _Module:
    """One module: the spec that it was loaded by, its files by their path in the archive, and what it imports."""

    spec: object
    files: dict[str, bytes]
    imports: frozenset[str]


class Program:
    """This process's own modules, each read once. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._own: dict[str, bool] = {}  # dotted name -> whether it is a module of this program
        self._loaded: set[str] = set()  # own modules that are
        self._counted = 0
        self._modules: dict[str, _Module] = {}
        self._archives: dict[frozenset[str], tuple[list[tuple[str, object]], Archive]] = {}

    def archive_of(self, body: Data, *, reads: bool = True) -> Archive | None:
        """Return what a call with these encoded arguments needs; None where that is no module of this program.

        Raises NotPacked with the reason, where a worker could not have the code that is loaded here; also where that
        is to be read and this thread does not read (`reads`).
        """
        if not self._lock.acquire(blocking=reads):
            raise NotPacked("another thread reads modules")
        try:
            if len(sys.modules) != self._counted:
                self._count()
            roots = frozenset(name for name in names_in(body) & self._loaded if name in sys.modules)
            return self._archive(roots, reads=reads) if roots else None
        finally:
            self._lock.release()

    def after_fork(self) -> None:
        """In the child: begin again where another thread was at work, which is not there to end it."""
        if self._lock.acquire(blocking=False):
            self._lock.release()
        else:
            self.__init__()

    # --- which modules -------------------------------------------------------------------------------------------

    def _count(self) -> None:
        """Find the modules of this program among those that were imported since the last time."""
        self._loaded.update(filter(self._is_own, list(sys.modules)))
        self._counted = len(sys.modules)

    def _is_own(self, name: str) -> bool:
        if name not in self._own:
            self._own[name] = name not in _MAINS and bool(own_top(name))
        return self._own[name]

    def _archive(self, roots: frozenset[str], *, reads: bool) -> Archive:
        kept = self._archives.get(roots)
        if kept is not None and _are_current(kept[0]):
            return kept[1]
        if not reads:
            raise NotPacked("its modules are still to be read")
        closure = self._closure(roots)
        files: dict[str, bytes] = {}
        for one in closure.values():
            files.update(one.files)
        archive = packed(files)
        if len(self._archives) >= _MOST_KEPT:
            self._archives.clear()
        self._archives[roots] = [(name, one.spec) for name, one in closure.items()], archive
        return archive

    def _closure(self, roots: Iterable[str]) -> dict[str, _Module]:
        found: dict[str, _Module] = {}
        waiting = list(roots)
        while waiting:
            name = waiting.pop()
            if name in found or not self._is_own(name):
                continue
            one = self._module(name)
            if one is None:
                continue
            found[name] = one
            parent = name.rpartition(".")[0]
            waiting += [*one.imports, *([parent] if parent else [])]
        return found

    def _module(self, name: str) -> _Module | None:
        kept = self._modules.get(name)
        if kept is not None and _are_current([(name, kept.spec)]):
            return kept
        spec = spec_of(name)
        if spec is None:
            return None
        made = self._read(name, spec, sys.modules.get(name))
        self._modules[name] = made
        return made

    def _read(self, name: str, spec: Any, loaded: ModuleType | None) -> _Module:
        of_loaded = None if loaded is None else loaded.__spec__
        if is_namespace(name):
            return _Module(of_loaded, {}, frozenset())
        path, data = _bytes_of(spec)
        if not path.endswith(".py"):
            raise NotPacked(f"the module {name} is not written in Python, and travels to no worker")
        text = decoded(data)
        imports = None if text is None else imports_of(text)
        if text is None or imports is None:
            raise NotPacked(f"the source of {name} cannot be read")
        is_package = spec.submodule_search_locations is not None
        source = Text(name, is_package, path, text, loaded, of_loaded)
        if loaded is not None and Loaded(source).differs(list(vars(loaded))):
            raise NotPacked(f"{os.path.basename(path)} changed since it was imported", changed=True)
        place = name.replace(".", "/")
        files = {f"{place}/__init__.py" if is_package else f"{place}.py": data}
        if is_package:
            files.update(_data_beside(Path(path).parent, place))
        return _Module(of_loaded, files, frozenset(_modules_of(source, imports)))


def _are_current(specs: Iterable[tuple[str, object]]) -> bool:
    """Return whether each module has the spec that it was read by: a reload gives it another.

    Asked once a call, for hundreds of modules.
    """
    modules = sys.modules
    for name, spec in specs:
        loaded = modules.get(name)
        if spec is not (None if loaded is None else loaded.__spec__):
            return False
    return True


# --- files -------------------------------------------------------------------------------------------------------


def _bytes_of(spec: Any) -> tuple[str, bytes]:
    path = spec.origin or ""
    try:
        if os.path.isfile(path):
            return path, Path(path).read_bytes()
        return path, spec.loader.get_data(path)
    except (OSError, AttributeError) as error:
        if by_signal(error):
            raise
        raise NotPacked(f"the source of {spec.name} cannot be read: {error}") from error


def _modules_of(source: Text, imports: Iterable[Import]) -> Iterator[str]:
    """Yield the names of what a source imports; of `from a import b` both `a` and `a.b`, which may be a module."""
    for one in imports:
        module = source.absolute(one)
        if module:
            yield module
            if one.name and _is_below(module, one.name):
                yield f"{module}.{one.name}"


def _is_below(module: str, name: str) -> bool:
    """Return whether `name` is a module of the package `module`, and no other name in it."""
    spec = spec_of(module)
    return spec is not None and spec.submodule_search_locations is not None and spec_of(f"{module}.{name}") is not None


def _data_beside(folder: Path, place: str) -> Iterator[tuple[str, bytes]]:
    """Yield the files that git has, or would add, in the folder of a package, other than Python's.

    Outside git, yield all of them, if they are few. In a tree that git cannot read, yield none: one that it ignores
    might be among them.
    """
    in_git = any(os.path.exists(above / ".git") for above in (folder, *folder.parents))
    for file in _known_to_git(folder) if in_git else _loose(folder):
        path = folder / file
        parts = Path(file).parts
        if any(map(_looks_secret, parts)) or file.endswith((".py", ".pyc")):
            continue
        if any((folder / above / "__init__.py").exists() for above in Path(file).parents if str(above) != "."):
            continue  # of a package below, which brings it if the call leads there
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MOST_FILE_BYTES:
            continue
        yield f"{place}/{Path(file).as_posix()}", path.read_bytes()


def _loose(folder: Path) -> list[str]:
    """Return the data files below a folder that no git knows; none where they are too many."""
    found: list[str] = []
    size = 0
    for place, folders, files in os.walk(folder):
        inner = Path(place)
        folders[:] = [one for one in folders if one != "__pycache__" and not _looks_secret(one)]
        folders[:] = [one for one in folders if not any(os.path.exists(inner / one / made) for made in _OTHERS)]
        for file in files:
            path = inner / file
            if file.endswith((".py", ".pyc")) or path.is_symlink() or not os.access(path, os.R_OK):
                continue
            found.append(str(path.relative_to(folder)))
            size += os.path.getsize(path)
            if len(found) > _MOST_LOOSE_FILES or size > _MOST_LOOSE_BYTES:
                return []
    return sorted(found)


def _looks_secret(name: str) -> bool:
    return any(fnmatch.fnmatch(name.lower(), pattern) for pattern in _NEVER)


def _known_to_git(folder: Path) -> list[str]:
    command = ["git", "-C", str(folder), "ls-files", "-coz", "--exclude-standard", "--", "."]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_GIT_SECONDS, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError) as error:
        if by_signal(error):
            raise
        return []
    if done.returncode:  # no git tree
        return []
    return sorted(filter(None, done.stdout.decode("utf-8", "surrogateescape").split("\0")))


program = Program()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=program.after_fork)
