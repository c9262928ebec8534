"""Archives on this machine: each is fetched once, checked against its name, and kept for children to unpack.

Owns the folder: one for each user, 0700, shared by his workers. Knows no Redis and no child: jobs.py fetches what is
missing, and a child unpacks what it needs (entering.py).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from weakref import WeakValueDictionary

from simpledist.broker.slices import Download
from simpledist.buffers import Data, parts_of
from simpledist.code.archive_format import name_of
from simpledist.code.memo import cache_folder
from simpledist.errors import BadEnvelope

MOST_KEPT = 50


class Coming:
    """An archive on its way for every job that needs it: it comes once, and any of them may be called off meanwhile."""

    def __init__(self, download: Download) -> None:
        self._download = download
        self._over = False
        self.value: Data | None = None

    def step(self) -> bool:
        """As a download's own."""
        if not self._over and self._download.step():
            self._over, self.value = True, self._download.value
        return self._over


class Archives:
    """Those that this worker knows to be whole."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._known: set[str] = set()
        self._coming: WeakValueDictionary[str, Coming] = WeakValueDictionary()

    def path(self, name: str) -> Path | None:
        """Return where an archive is; None where it must be fetched."""
        path = self._of(name)
        if name not in self._known:
            try:
                if name_of(path.read_bytes()) != name:
                    return None
            except OSError:
                return None
            self._known.add(name)
        if not path.exists():  # somebody has emptied the folder
            self._known.discard(name)
            return None
        return path

    def coming(self, name: str, download: Callable[[str], Download]) -> Coming:
        """Return an archive on its way; `download` begins, where it is not coming yet."""
        coming = self._coming.get(name)
        if coming is None:
            coming = self._coming[name] = Coming(download(name))
        return coming

    def keep(self, name: str, data: Data) -> Path:
        """Keep an archive that has come. Raises BadEnvelope where it is another one, OSError where no disk has room."""
        whole = b"".join(parts_of(data))
        if name_of(whole) != name:
            raise BadEnvelope("the archive in Redis is not the one that the call names")
        path = self._of(name)
        made = path.with_name(f"{name}.{secrets.token_hex(4)}")
        try:
            with open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(whole)
            made.rename(path)
        except BaseException:
            made.unlink(missing_ok=True)
            raise
        self._known.add(name)
        self._prune()
        return path

    def _of(self, name: str) -> Path:
        if self._folder is None or not self._folder.is_dir():
            self._folder = cache_folder("archives") or Path(tempfile.mkdtemp(prefix="simpledist-archives-"))
        return self._folder / f"{name}.zip"

    def _prune(self) -> None:
        """Remove the archives that were fetched longest ago, and what was unpacked of them."""
        assert self._folder is not None
        with contextlib.suppress(OSError):
            kept = sorted(self._folder.glob("*.zip"), key=lambda path: path.stat().st_mtime)
            for path in kept[:-MOST_KEPT]:
                path.unlink(missing_ok=True)
                self._known.discard(path.stem)
                for folder in self._folder.glob(f"{path.stem}*"):
                    _remove(folder)


def _remove(folder: Path) -> None:
    for inner in [folder, *folder.rglob("*")]:
        if inner.is_dir() and not inner.is_symlink():
            inner.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
