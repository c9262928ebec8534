"""Statistics of this worker, for people: slots at work, memory, jobs done. Sent with each heartbeat; decide nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from simpledist.broker.worker_stats import WorkerStats
from simpledist.worker.children import Children
from simpledist.worker.outcomes import Outcomes


def stats(children: Children, outcomes: Outcomes) -> WorkerStats:
    """Return what there is to say now."""
    slots = children.slots
    return WorkerStats(
        at_work=sum(bool(slot.jobs) for slot in slots),
        memory_bytes=resident_bytes([os.getpid(), *(slot.pid for slot in slots if slot.pid is not None)]),
        jobs_done=outcomes.done,
    )


def resident_bytes(pids: Iterable[int]) -> int | None:
    """Return what these processes hold in memory; pages that forked children share count for each child (Linux)."""
    kilobytes = 0
    for pid in pids:
        try:
            kilobytes += _kilobytes(Path(f"/proc/{pid}/status").read_text())
        except (OSError, ValueError):
            continue  # it has ended meanwhile, or this system has no /proc
    return kilobytes * 1024 or None


def _kilobytes(status: str) -> int:
    line = next((line for line in status.splitlines() if line.startswith("VmRSS:")), "VmRSS: 0 kB")
    return int(line.split()[1])
