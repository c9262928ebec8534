"""Packages other than a function's own: which of them are first-party, and a hash of what each does.

Owns the rule. First-party is what the user works on: what no RECORD in its own folder lists, what was installed from a
folder, an archive or a repository (`direct_url.json`), and what SIMPLEDIST_FIRST_PARTY names (with commas). All else
came from an index, by its version. Files are compared, whichever function's tree reaches them: the same package may
be a checkout here and a wheel there.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
import zipimport
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b, sha256
from pathlib import Path
from zipfile import BadZipFile, ZipFile
from zipfile import Path as ZippedPath

from simpledist.code.sources import decoded, indexed, spec_of
from simpledist.code.tree import WHOLE, Package, top_of, tree_of
from simpledist.interruption import by_signal

VARIABLE = "SIMPLEDIST_FIRST_PARTY"
# Of all supported Pythons, not only of this one: a name must not be a package of the user's on one of them alone.
_GONE_OR_NEW = """
    asynchat asyncore distutils imp smtpd aifc audioop cgi cgitb chunk crypt imghdr lib2to3 mailcap msilib nis nntplib
    ossaudiodev pipes sndhdr spwd sunau telnetlib uu xdrlib annotationlib compression tomllib
"""
STANDARD_LIBRARY = sys.stdlib_module_names | set(_GONE_OR_NEW.split())
BY_CODE_BYTES = 1_000_000  # a package with more source is compared byte by byte: to read it would take too long
File = tuple[Path | ZippedPath, int, str]  # the path, the size, the hash where RECORD has one
_OURS = "simpledist"  # two versions of it that differ in a protocol never meet in a call
_INSTALLED = ("site-packages", "dist-packages")
_PYTHONS = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))


class Others:
    """What is known in this process of the packages other than a function's own; each is looked at once."""

    def __init__(self) -> None:
        self._tops: dict[str, str] = {}  # dotted name -> its package, "" where that is not first-party
        self._packages: dict[str, Package] = {}
        self._uses: dict[str, set[str]] = {}  # dotted name in a first-party package -> what that uses of others
        self._hashes: dict[str, str] = {}

    def reached(self, names: Iterable[str], *, ignored: frozenset[str] = frozenset()) -> set[str]:
        """Return the first-party packages that these names (`package.module.name`) lead to, through others too."""
        found: set[str] = set()
        seen: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            top = "" if name in seen else self._top(name)
            seen.add(name)
            if top and top not in ignored:
                found.add(top)
                waiting += self._used(top, name)
        return found

    def hash_of(self, package: str) -> str:
        """Return the hash of a package as installed here, "" if it is not."""
        if package not in self._hashes:
            self._hashes[package] = hash_of(package)
        return self._hashes[package]

    def _top(self, name: str) -> str:
        if name not in self._tops:
            self._tops[name] = own_top(name)
        return self._tops[name]

    def _used(self, top: str, name: str) -> set[str]:
        if name not in self._uses:
            package = self._packages.setdefault(top, Package(top))
            trees = (tree_of(package, module, attribute) for module, attribute in _splits(name))
            self._uses[name] = next((tree.others for tree in trees if tree is not None), set[str]())
        return self._uses[name]


def own_top(name: str) -> str:
    """Return the package that a dotted name belongs to, if its user works on it; else ""."""
    top = "" if _head(name) in STANDARD_LIBRARY or _head(name) == _OURS else top_of(name)
    return top if top and is_first_party(top) else ""


def is_first_party(package: str) -> bool:
    """Return whether a package, which is here, is one that its user works on."""
    if _head(package) in STANDARD_LIBRARY:
        return False
    if package in _named():
        return True
    folder = _folder_of(package)
    if folder is None or _came_with_python(folder):
        return False
    claims = _claims(str(folder), package)
    return claims is None or (claims / "direct_url.json").exists()


def hash_of(package: str) -> str:
    """Return 16 hex digits, a hash of a package's source, "" where it is not here.

    Of a small one they are the same for the same code, as in a digest; of a large one for the same bytes.
    """
    total = blake2b(digest_size=8, person=b"simpledist-pack")
    files = _files_of(package)
    if files is None:
        return ""
    by_code = sum(size for _, size, _ in files.values()) <= BY_CODE_BYTES
    for name, (path, _, known) in sorted(files.items()):
        try:
            said = _said(path) if by_code else known or _sha256(path.read_bytes())
        except OSError as error:
            if by_signal(error):
                raise
            said = "unreadable"
        total.update(f"{len(name)}:{name} {said}\n".encode("utf-8", "surrogatepass"))
    return total.hexdigest()


def _said(path: Path | ZippedPath) -> str:
    data = path.read_bytes()
    text = decoded(data)
    index = None if text is None else indexed(text)
    return _sha256(data) if index is None else index.whole()


def _sha256(data: bytes) -> str:
    """Return a hash as RECORD writes it."""
    return "sha256=" + urlsafe_b64encode(sha256(data).digest()).rstrip(b"=").decode()


# --- where a package is ------------------------------------------------------------------------------------------


def _came_with_python(folder: Path) -> bool:
    """Return whether a folder has Python's own modules, also those that `sys.stdlib_module_names` leaves out."""
    return any(folder.is_relative_to(one) for one in _PYTHONS) and not set(folder.parts) & set(_INSTALLED)


def _head(name: str) -> str:
    return name.partition(".")[0]


def _splits(name: str) -> Iterator[tuple[str, str]]:
    """Yield how a dotted name may be cut into a module and a name in it, the longest module first."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        yield ".".join(parts[:end]), parts[end] if end < len(parts) else WHOLE


def _named() -> set[str]:
    return set(filter(None, re.split(r"[,\s]+", os.environ.get(VARIABLE, ""))))


def _folder_of(package: str) -> Path | None:
    """Return the folder on the path in which a package or module is; None for what is in no file."""
    spec = spec_of(package)
    if spec is None:
        return None
    inside = list(spec.submodule_search_locations or ())
    path = Path(inside[0]) if inside else Path(spec.origin) if spec.has_location and spec.origin else None
    return None if path is None else path.parents[package.count(".")]


@lru_cache(maxsize=4096)
def _claims(folder: str, package: str) -> Path | None:
    """Return the `*.dist-info` (or `*.egg-info`) of the distribution in this folder that a package belongs to."""
    name, own = package.replace(".", "/"), _plain(_head(package))
    found = [path for path in _scanned(folder) if path.name.endswith((".dist-info", ".egg-info"))]
    for path in sorted(found, key=lambda one: _plain(one.name.partition("-")[0]) != own):
        listed = _lines(path / "RECORD")
        if listed is not None:
            if any(line.startswith((f"{name}/", f"{name}.py,", f"{name}.")) for line in listed):
                return path
        elif Path(folder).name in _INSTALLED and own in {
            _plain(path.name.partition("-")[0]),
            *map(_plain, _lines(path / "top_level.txt") or ()),
        }:
            return path  # a system's own packages have no RECORD
    return None


def _scanned(folder: str) -> list[Path]:
    try:
        return list(Path(folder).iterdir())
    except OSError as error:
        if by_signal(error):
            raise
        return []


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name.removesuffix(".dist-info").removesuffix(".egg-info")).lower()


def _lines(path: Path) -> list[str] | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        if by_signal(error):
            raise
        return None


# --- its files ---------------------------------------------------------------------------------------------------


def _files_of(package: str) -> dict[str, File] | None:
    """Return a package's Python files: name from the folder on the path -> where, how long, its hash if known."""
    folder = _folder_of(package)
    if folder is None:
        return None
    if folder.is_file():
        return _zipped(folder, package)
    claims = _claims(str(folder), package)
    record = _lines(claims / "RECORD") if claims is not None else None
    name = package.replace(".", "/")
    if record is not None:
        return dict(_recorded(folder, name, record))
    if (folder / f"{name}.py").is_file() and not (folder / name / "__init__.py").is_file():
        return dict(_found(folder, [folder / f"{name}.py"]))
    return dict(_found(folder, _walk(folder / name)))


def _recorded(folder: Path, name: str, record: list[str]) -> Iterator[tuple[str, File]]:
    for line in record:
        file, _, rest = line.rpartition(",")[0].rpartition(",")
        if _counts(file) and (file == f"{name}.py" or file.startswith(f"{name}/")):
            size = line.rpartition(",")[2]
            yield file, (folder / file, int(size) if size.isdigit() else 0, rest if rest.startswith("sha256=") else "")


def _found(folder: Path, paths: Iterable[Path]) -> Iterator[tuple[str, File]]:
    for path in paths:
        name = path.relative_to(folder).as_posix()
        if _counts(name):
            try:
                yield name, (path, path.stat().st_size, "")
            except OSError as error:
                if by_signal(error):
                    raise
                yield name, (path, 0, "")


def _zipped(archive: Path, package: str) -> dict[str, File]:
    loader = getattr(spec_of(package), "loader", None)
    prefix = loader.prefix.replace(os.sep, "/") if isinstance(loader, zipimport.zipimporter) else ""
    name = prefix + package.replace(".", "/")
    try:
        with ZipFile(archive) as zipped:
            return {
                one.filename.removeprefix(prefix): (ZippedPath(str(archive), one.filename), one.file_size, "")
                for one in zipped.infolist()
                if _counts(one.filename) and one.filename.startswith((f"{name}/", f"{name}.py"))
            }
    except (OSError, BadZipFile) as error:
        if by_signal(error):
            raise
        return {}


def _walk(folder: Path) -> Iterator[Path]:
    for where, folders, files in os.walk(folder):
        folders[:] = [one for one in folders if one != "__pycache__" and not one.startswith(".")]
        yield from (Path(where, file) for file in files)


def _counts(name: str) -> bool:
    """Return whether a file belongs to what a package does: many wheels leave their tests out."""
    return name.endswith(".py") and "tests" not in name.split("/")[:-1]
