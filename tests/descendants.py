"""The processes below this one, found without a look at every process of the machine: each test asks several times."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

# Linux lists the children of each thread here, if it was built to.
_CHILDREN = Path("/proc/thread-self/children")


def descendants() -> set[psutil.Process]:
    """Return the children of this process, their children and so on."""
    if not _CHILDREN.exists():
        return set(psutil.Process().children(recursive=True))
    found: set[psutil.Process] = set()
    waiting = ["self"]
    while waiting:
        for pid in _children_of(waiting.pop()):
            with contextlib.suppress(psutil.NoSuchProcess):
                found.add(psutil.Process(int(pid)))
                waiting.append(pid)
    return found


def _children_of(pid: str) -> list[str]:
    found: list[str] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended, or one of its threads has
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found += (thread / "children").read_text().split()
    return found
