"""A child takes over the modules of an archive: from then on its jobs find those, and none of the worker's own.

Used in a child, once in its life.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

from simpledist.code.archive_format import unpack


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
    current = {"", os.getcwd()}
    sys.path[:] = [str(folder), *(one for one in sys.path if one not in current)]
    sys.pycache_prefix = f"{folder}.cache"
    importlib.invalidate_caches()
