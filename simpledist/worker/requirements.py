"""Requirements: which distributions a worker is to have for the code that calls bring (`--with`, `--requirements`).

Owns how they are written on the command line and in a file, and the digest by which an environment for them is found
again. Reads files; installs nothing (distributions.py does).
"""

from __future__ import annotations

import platform
import re
import shlex
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from importlib import metadata
from pathlib import Path

from simpledist.errors import ConfigurationError

MOST_FILES = 100  # that name each other
OURS = "simpledist"
# Calls are pickled by it: what stands in a call must find itself there. Its exact version stays.
SAME = "cloudpickle"
WITHIN = ("redis",)  # what the functions of a worker may find only in a version that simpledist works with

# A comma separates two of them, but neither the parts of `pandas>=2,<3` nor those of `dask[array,dataframe]`.
_COMMA = re.compile(r",(?![^\[]*\])(?!\s*[<>=!~])")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OF_FILE = re.compile(r"(?:-r|--requirement)[ =]*(\S.*)")
_CONSTRAINT = re.compile(r"(?:-c|--constraint)[ =]*(\S.*)")
_LINKS = re.compile(r"(?:-f|--find-links)[ =]*(\S.*)")
_EDITABLE = re.compile(r"(?:-e|--editable)\b")
_BY_PATH = re.compile(r"(?:[^@]*@\s*)?(?:file:(?://)?)?([./~][^;#]*)")


@dataclass(frozen=True, slots=True)
class Requirements:
    """`lines`: a requirements file for pip or uv, whose paths are absolute. `files`: hashes of the files it names."""

    lines: tuple[str, ...]
    files: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Return the lines for people, shortened."""
        named = [one for one in self.lines if not one.startswith("-")]
        return ", ".join(named[:10]) + (f" and {len(named) - 10} more" if len(named) > 10 else "")

    def digest(self) -> str:
        """Return the name of the environment for them: of what they ask for, this Python and this platform."""
        libc = " ".join(platform.libc_ver())
        here = (sys.implementation.cache_tag or "", sysconfig.get_platform(), libc)
        whole = "\n".join((*sorted(self.lines), *sorted(self.files), *constraints(), *here))
        return blake2b(whole.encode("utf-8", "surrogateescape"), digest_size=10).hexdigest()


def requirements(named: Sequence[str], file: Path | None) -> Requirements:
    """Return what `--with` and `--requirements` ask for. Raises ConfigurationError with one line where they cannot."""
    lines: list[str] = []
    for text in named:
        found = [one.strip() for one in _COMMA.split(text)]
        if not all(found):
            raise ConfigurationError(f"--with {text!r}: name distributions with commas between them: pandas,numpy>=2")
        if wrong := next((one for one in found if not _NAME.match(one)), None):
            raise ConfigurationError(
                f"--with {text!r}: {wrong!r} names no distribution; paths and options belong into a file "
                "(--requirements FILE)"
            )
        lines += found
    files: list[str] = []
    if file is not None:
        found = list(_lines_of(file.absolute(), files, []))
        if all(one.startswith("-") for one in found):
            raise ConfigurationError(f"--requirements {file}: it names no distribution")
        lines += found
    lines = [one for one in lines if _name_of(one) != OURS]  # it stays as it is
    return Requirements(tuple(dict.fromkeys(lines)), tuple(files))


def constraints() -> tuple[str, ...]:
    """Return the versions that an environment may have of what a child of this worker uses itself."""
    found: list[str] = []
    try:
        found.append(f"{SAME}=={metadata.version(SAME)}")
        for text in metadata.requires(OURS) or ():
            name = _name_of(text)
            if name in WITHIN and ";" not in text:
                found.append(re.sub(r"\[.*?\]", "", text))
    except metadata.PackageNotFoundError:  # copied here by `simpledist ssh --bootstrap`
        pass
    return tuple(found)


def _name_of(line: str) -> str:
    found = _NAME.match(line)
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""


def _lines_of(file: Path, hashes: list[str], above: list[Path]) -> Iterator[str]:
    """Yield the lines of a requirements file, and in its place those of each file that it includes."""
    if file in above or len(above) > MOST_FILES:
        raise ConfigurationError(f"--requirements: {file} includes itself")
    for line in _read(file):
        if _EDITABLE.match(line):
            raise ConfigurationError(
                f"--requirements: {file}: {line}: nothing editable can be installed for workers: make a wheel of it, "
                "or let it travel with the calls, as modules of a program do"
            )
        if found := _OF_FILE.fullmatch(line):
            yield from _lines_of(_beside(file, found[1]), hashes, [*above, file])
        elif found := _CONSTRAINT.fullmatch(line):
            path = _beside(file, found[1])
            hashes.append(_hash("\n".join(_read(path)).encode("utf-8", "surrogateescape")))
            yield f"--constraint {path}"
        elif found := _LINKS.fullmatch(line):
            path = _beside(file, found[1])
            yield f"--find-links {path if path.exists() else found[1]}"
        elif not line.startswith("-") and (found := _BY_PATH.fullmatch(line)):
            path = _beside(file, found[1].strip())
            if not path.is_file():
                raise ConfigurationError(
                    f"--requirements: {file}: {line}: only a wheel can be named by its path, and there is none"
                )
            hashes.append(_hash(path.read_bytes()))
            yield str(path)
        else:
            yield line


def _read(file: Path) -> Iterator[str]:
    """Yield the lines of a file without comments, those that end in a backslash joined with the next."""
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise ConfigurationError(f"--requirements: {file} cannot be read: {why}") from None
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        if bare := re.sub(r"(^|\s)#.*", "", line).strip():
            yield bare


def _beside(file: Path, named: str) -> Path:
    path = Path(next(iter(shlex.split(named)), "")).expanduser()
    return path if path.is_absolute() else file.parent / path


def _hash(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()
