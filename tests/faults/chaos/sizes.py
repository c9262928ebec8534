"""How big processes are, and whether they grow: memory, descriptors, threads and the processes below them."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from simpledist.worker.frames import BLOB_FILE

TELLING_SAMPLES = 40  # fewer tell nothing of growth
MEGABYTES, SHARE = 8.0, 0.10  # memory may grow by so much, or by so large a part of itself
# Threads that decode come with what is to be decoded, and go some seconds after it.
ALLOWANCE = {"descriptors": 8, "threads": 8, "processes": 2}
MEMORY = ("megabytes", "megabytes_below")
FIELDS = (*MEMORY, "descriptors", "threads", "processes")


@dataclass(frozen=True, slots=True)
class Size:
    """Of one process, and the memory of all below it; what they share is counted once where that is known."""

    megabytes: float
    megabytes_below: float
    descriptors: int
    threads: int
    processes: int

    @classmethod
    def of(cls, pid: int) -> Size:
        process = psutil.Process(pid)
        below = process.children(recursive=True)
        memory = sum(map(_bytes, below))
        return cls(_bytes(process) / 1e6, memory / 1e6, _descriptors(pid), process.num_threads(), len(below))


def _descriptors(pid: int) -> int:
    """Count those of a process but for the blobs that a worker keeps: these have a bound of their own (200)."""
    found = 0
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # it was closed meanwhile
            found += BLOB_FILE not in os.readlink(path)
    return found


def _bytes(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
    except psutil.Error:
        return 0  # it ended meanwhile
    return getattr(full, "pss", full.rss)


@dataclass
class Growth:
    """The sizes of one process in the course of a run."""

    pid: int
    samples: list[tuple[float, Size]] = field(default_factory=list[tuple[float, Size]])

    def __post_init__(self) -> None:
        self.sample()

    def sample(self) -> None:
        try:
            self.samples.append((time.monotonic(), Size.of(self.pid)))
        except (psutil.Error, OSError):
            return

    @property
    def now(self) -> float:
        """The megabytes of the last sample, of all together."""
        return self.samples[-1][1].megabytes + self.samples[-1][1].megabytes_below if self.samples else 0.0

    def first_and_last(self) -> tuple[Size, Size]:
        """Medians of the second and of the last quarter: the first one is warming up."""
        quarter = max(len(self.samples) // 4, 1)
        return _median(self.samples[quarter : 2 * quarter] or self.samples), _median(self.samples[-quarter:])

    def grown(self) -> list[str]:
        """What has grown by more than may be."""
        if len(self.samples) < TELLING_SAMPLES:
            return []
        first, last = self.first_and_last()
        found = [name for name, most in ALLOWANCE.items() if getattr(last, name) > getattr(first, name) + most]
        for name in MEMORY:
            before = getattr(first, name)
            if getattr(last, name) > before + max(MEGABYTES, SHARE * before):
                found.append(name)
        return found

    def line(self) -> str:
        first, last = self.first_and_last()
        parts = [f"{getattr(first, name):.0f} -> {getattr(last, name):.0f} {name.replace('_', ' ')}" for name in FIELDS]
        return ", ".join(parts)


def _median(samples: Sequence[tuple[float, Size]]) -> Size:
    values = [[getattr(size, name) for _, size in samples] for name in FIELDS]
    return Size(*(statistics.median(each) for each in values))
