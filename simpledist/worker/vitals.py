"""How a worker is, for people: slots at work, resident memory, jobs done. Travels with each beat; decides nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

UNKNOWN = "-"


def vitals(pids: Iterable[int], *, at_work: int, done: int) -> str:
    """`<slots at work> <resident KB of all these processes together, "-" where that cannot be told> <jobs done>`."""
    kilobytes = resident_kilobytes(pids)
    return f"{at_work} {UNKNOWN if kilobytes is None else kilobytes} {done}"


def resident_kilobytes(pids: Iterable[int]) -> int | None:
    """What these processes hold in memory; pages that forked children share are counted once a child (Linux)."""
    total = 0
    for pid in pids:
        try:
            total += _of(Path(f"/proc/{pid}/status").read_text())
        except (OSError, ValueError):
            continue  # it has ended meanwhile, or this system has no /proc
    return total or None


def _of(status: str) -> int:
    line = next((line for line in status.splitlines() if line.startswith("VmRSS:")), "VmRSS: 0 kB")
    return int(line.split()[1])
