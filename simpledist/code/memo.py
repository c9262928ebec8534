"""The cache on disk of what was worked out from source texts, by their hash: to read a big tree takes a second.

Owns the folder, `$XDG_CACHE_HOME/simpledist/code` or `~/.cache/simpledist/code`, and who may write to it: it is 0700,
its files are 0600, and what belongs to another user, or can be written by one, is not read. Files are replaced whole,
and carry a checksum. Where it cannot be had (a full disk, a read-only home), everything is worked out each time;
nothing here raises.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

from simpledist.interruption import by_signal, suppressed

MOST_FILES = 20_000  # so many are kept, about 200 MB at most; a process that adds to them removes the oldest beyond
MOST_BYTES = 4_000_000  # of one file
_SUM_BYTES = 32  # a checksum in hex, at the head of each file

Read = TypeVar("Read")


class Memo:
    """One folder; `folder` None: that of this user. Any thread may use it."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._ready: Path | None = None
        self._tried = False
        self._may_write = True
        self._written = 0

    def load(self, kind: str, key: str, read: Callable[[str], Read]) -> Read | None:
        """Return what `read` makes of the text that was stored; None where there is none, or it is damaged."""
        folder = self._usable()
        if folder is None:
            return None
        try:
            data = _private(folder / f"{key}.{kind}")
            head, body = data[:_SUM_BYTES], data[_SUM_BYTES:]
            return read(body.decode()) if head == _sum(body) else None
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            if by_signal(error):
                raise
            return None

    def store(self, kind: str, key: str, text: str) -> None:
        """Keep a text, if that can be done."""
        folder, body = self._usable(), text.encode()
        if folder is None or not self._may_write or len(body) > MOST_BYTES:
            return
        draft = folder / f"{key}.{kind}.{os.getpid()}-{threading.get_ident()}"
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with open(descriptor, "wb") as file:
                file.write(_sum(body) + body)
            os.replace(draft, folder / f"{key}.{kind}")
        except OSError as error:
            if by_signal(error):
                raise
            self._may_write = False  # a full disk stays full for a while
            with suppressed(OSError):
                draft.unlink()
            return
        self._written += 1
        if self._written % 1000 == 1:
            _prune(folder)

    def _usable(self) -> Path | None:
        if not self._tried:
            self._ready = private(self._folder) if self._folder is not None else cache_folder("code")
            self._tried = True
        return self._ready


def cache_folder(name: str) -> Path | None:
    """Return this user's own folder for one kind of cached files, made where it is missing; None if there is none."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(given) if os.path.isabs(given) else Path("~/.cache").expanduser()
    return private(base / "simpledist" / name) if base.is_absolute() else None


def private(folder: Path) -> Path | None:
    """Make the folder where it is missing; return it if it is ours alone."""
    try:
        above = next(one for one in folder.parents if one.exists())
        if above.stat().st_uid != os.geteuid():  # somebody else's home, by `sudo`: nothing of ours is to lie there
            return None
        folder.parent.mkdir(parents=True, exist_ok=True)
        with suppressed(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
    except (OSError, RuntimeError) as error:
        if by_signal(error):
            raise
        return None
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
    return folder if ours else None


def _private(path: Path) -> bytes:
    """Return the content of a file that is ours alone. Raises OSError for any other."""
    # Not to wait for the other end, where it is a pipe.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise PermissionError(f"{path} may be another user's")
        return file.read(MOST_BYTES + _SUM_BYTES)


def _sum(body: bytes) -> bytes:
    return blake2b(body, digest_size=_SUM_BYTES // 2).hexdigest().encode()


def _prune(folder: Path) -> None:
    """Remove the oldest files beyond MOST_FILES, and a quarter more, so that it is not due again at once."""
    found: list[tuple[float, str]] = []
    with suppressed(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppressed(OSError):  # another process has removed or renamed it
                found.append((entry.stat(follow_symlinks=False).st_mtime, entry.path))
    if len(found) > MOST_FILES:
        for _, path in sorted(found)[: len(found) - MOST_FILES * 3 // 4]:
            with suppressed(OSError):
                os.unlink(path)


_own: list[str] = []


def key_of(text: str) -> str:
    """Return the name under which a text is kept: of the text, this Python, and the code that reads it."""
    if not _own:
        _own.append(_own_code())
    head = f"{sys.version_info[:2]} {_own[0]}\n"
    return blake2b((head + text).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _own_code() -> str:
    """Return a hash of the files that make an index: a newer version of them makes others."""
    total = blake2b(digest_size=16)
    for name in ("writer", "scopes", "index", "loaded"):
        with suppressed(OSError):
            total.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return total.hexdigest()
