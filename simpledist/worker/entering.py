"""A process takes over the modules of an archive: from then on its jobs find those, and none of the worker's own.

Used once in the life of a process: in the template of an archive, which imports them for its children, and in a child
that has to import for itself.
"""

from __future__ import annotations

import importlib
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from simpledist import shipped
from simpledist.code.archive_format import unpack
from simpledist.errors import BadEnvelope
from simpledist.interruption import suppressed
from simpledist.randomness import generators_in_modules
from simpledist.worker.forking import forking_is_safe
from simpledist.worker.watchdog import ends_within


def enter(archive: str) -> None:
    """Unpack an archive, unless that was done, and put its folder first on the path.

    Raises BadEnvelope for what is no archive of ours, OSError where the disk has no room.
    """
    path = Path(archive)
    folder = path.with_suffix("")
    unpack(path, folder)
    tops = {one.name.partition(".")[0] for one in folder.iterdir()}
    for name in [name for name in sys.modules if name.partition(".")[0] in tops]:
        del sys.modules[name]
    shipped.folder = str(folder)
    current = {"", os.getcwd()}
    sys.path[:] = [str(folder), *(one for one in sys.path if one not in current)]
    sys.pycache_prefix = f"{folder}.cache"
    importlib.invalidate_caches()


def enter_and_import(archive: str, texts: Iterable[str], seconds: float) -> str:
    """Enter an archive and import those of its modules that are among these texts, so that forked children share them.

    Return why children must import them for themselves, "" where they need not. What cannot be imported is left to
    them: a job says then what is wrong. The process ends with status 1 where all this takes longer than `seconds`.
    """
    generators, connections = set(generators_in_modules()), _connections()
    try:
        with ends_within(seconds):
            enter(archive)
            for name in _modules_among(Path(archive).with_suffix(""), texts):
                with suppressed(BaseException):  # also a SystemExit
                    importlib.import_module(name)
    except (BadEnvelope, OSError) as error:
        return f"{type(error).__name__}: {error}"
    if not forking_is_safe():
        return "they start threads"
    if shared := set(generators_in_modules()) - generators:
        return f"they have random generators of their own: {', '.join(sorted(shared))}"
    if _connections() - connections:
        return "they open connections"
    return ""


def _modules_among(folder: Path, texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        place = folder / text.replace(".", "/")
        if (place / "__init__.py").is_file() or place.with_name(f"{place.name}.py").is_file():
            yield text


def _connections() -> set[int]:
    """Return the sockets that this process has open: two copies of it could not both talk over one."""
    found: set[int] = set()
    with suppressed(OSError):
        for name in os.listdir("/dev/fd"):
            with suppressed(OSError):  # the one by which the folder was read
                if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                    found.add(int(name))
    return found
