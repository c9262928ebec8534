"""Memory of processes, as Linux tells it: what they hold, and which processes belong to a child.

Reads /proc. A process that has ended meanwhile holds nothing; where there is no /proc, nothing is known.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable
from pathlib import Path

PROC = Path("/proc")


def resident_bytes(pids: Iterable[int]) -> int | None:
    """Return what these processes hold in memory (RSS); pages that several of them share count for each."""
    return _sum(pids, "status", "VmRSS:")


def proportional_bytes(pids: Iterable[int]) -> int | None:
    """Return the same, where each of n processes that share a page has 1/n of it (PSS): much slower to read."""
    return _sum(pids, "smaps_rollup", "Pss:")


def family(pid: int) -> list[int]:
    """Return a process and all that it and they have started, whose parents live."""
    found = [pid]
    for one in found:  # grows meanwhile
        found += _children(one)
    return found


def group_of(pid: int, adopted: Collection[int]) -> list[int]:
    """Return the family of a child, which leads a process group, and those of its group whose parents are gone.

    `adopted`: what the template has taken in (`family`, of its own children only).
    """
    found = family(pid)
    for one in adopted:
        with contextlib.suppress(OSError):
            if os.getpgid(one) == pid:
                found += [other for other in family(one) if other not in found]
    return found


def children_of(pid: int | None) -> list[int]:
    """Return what a process has started or taken in."""
    return [] if pid is None else _children(pid)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(PROC / str(pid) / "task"):
            with contextlib.suppress(OSError, ValueError):
                found += map(int, (PROC / str(pid) / "task" / task / "children").read_text().split())
    return found


def _sum(pids: Iterable[int], file: str, field: str) -> int | None:
    kilobytes = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError):
            for line in (PROC / str(pid) / file).read_text().splitlines():
                if line.startswith(field):
                    kilobytes += int(line.split()[1])
                    break
    return kilobytes * 1024 or None
