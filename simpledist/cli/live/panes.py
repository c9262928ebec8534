"""The panes of `top`: what their rows are made of, and their columns, each with how it is sorted and how it looks.

Knows no keys and no layout (screen.py).
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.text import Text

from simpledist.cli.live.rates import Meter, Rates
from simpledist.monitor import FunctionState, RunningJob, Snapshot, WorkerState

COLORS = (
    "cyan",
    "green",
    "yellow",
    "magenta",
    "blue",
    "bright_cyan",
    "bright_green",
    "bright_yellow",
    "bright_magenta",
)
HEALTH = {
    "alive": "green",
    "late": "yellow",
    "silent": "red",
    "dead": "bright_black",
    "draining": "cyan",
    "no child": "red",
    "stuck": "red",
}
SPARKS = "▁▂▃▄▅▆▇█"

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """A column of numbers or text; `by` sorts it, largest number first, or text from a to z."""

    head: str
    width: int  # 0: open, what is left
    by: Callable[[Row], float | str]
    text: Callable[[Row], str | Text]
    right: bool = True


@dataclass(frozen=True, slots=True)
class FunctionRow:
    state: FunctionState
    rates: Rates


@dataclass(frozen=True, slots=True)
class WorkerRow:
    state: WorkerState
    track: Text

    @property
    def memory_bytes(self) -> int | None:
        return self.state.stats.memory_bytes

    @property
    def health(self) -> str:
        return self.state.condition


def function_rows(snapshot: Snapshot, meter: Meter) -> list[FunctionRow]:
    each = meter.each()
    rows = [FunctionRow(one, each.get(one.function, Rates())) for one in snapshot.functions]
    # Ties of the column that is sorted by: what is busy first.
    return sorted(rows, key=lambda row: (-row.state.queued, -row.state.running, -row.rates.calls, row.state.function))


def worker_rows(snapshot: Snapshot) -> list[WorkerRow]:
    running: defaultdict[str, list[RunningJob]] = defaultdict(list)
    for job in snapshot.running:
        running[job.worker].append(job)
    return [WorkerRow(one, track(one, running[one.id])) for one in snapshot.workers]


def track(worker: WorkerState, running: Iterable[RunningJob]) -> Text:
    """A cell a slot: the first letter of the function that runs there, in its colour; a dot where it is free."""
    cells: dict[int, RunningJob] = {}
    homeless: list[RunningJob] = []
    for job in running:
        if job.slot is None or job.slot in cells or not 0 <= job.slot < worker.slots:
            homeless.append(job)
        else:
            cells[job.slot] = job
    free = (slot for slot in range(worker.slots) if slot not in cells)
    cells.update(zip(free, homeless, strict=False))
    line = Text()
    for slot in range(min(worker.slots, 200)):
        job = cells.get(slot)
        line.append(
            "·" if job is None else job.function[:1], "dim" if job is None else f"black on {color(job.function)}"
        )
    return line


def color(function: str) -> str:
    """The same for a function wherever it is shown."""
    return COLORS[zlib.crc32(function.encode()) % len(COLORS)]


def span(seconds: float) -> str:
    """A duration in at most five characters."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    if seconds < 100:
        return f"{seconds:.0f}s"
    if seconds < 6000:
        return f"{seconds / 60:.0f}m"
    return f"{seconds / 3600:.0f}h"


def spark(values: Sequence[float]) -> str:
    """A line of little bars."""
    most = max(values, default=0.0)
    return "".join(SPARKS[round(value / most * (len(SPARKS) - 1))] for value in values) if most else ""


def _why(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{why} {number}" for why, number in list(counts.items())[:2])


FUNCTION_COLUMNS: tuple[Column[FunctionRow], ...] = (
    Column(
        "function",
        0,
        lambda row: row.state.function,
        lambda row: Text(row.state.function, color(row.state.function)),
        False,
    ),
    Column("queued", 8, lambda row: row.state.queued, lambda row: str(row.state.queued)),
    Column("oldest", 7, lambda row: row.state.oldest_wait_seconds, lambda row: span(row.state.oldest_wait_seconds)),
    Column("running", 8, lambda row: row.state.running, lambda row: str(row.state.running)),
    Column("calls/s", 8, lambda row: row.rates.calls, lambda row: f"{row.rates.calls:.1f}"),
    Column("raised/s", 9, lambda row: row.rates.raised, lambda row: f"{row.rates.raised:.1f}"),
    Column("local/s", 8, lambda row: row.rates.local, lambda row: f"{row.rates.local:.1f}"),
    Column(
        "workers",
        8,
        lambda row: row.state.workers,
        lambda row: Text(str(row.state.workers), "bold red" if row.state.stranded else ""),
    ),
    Column(
        "why local", 0, lambda row: sum(row.state.tally.local.values()), lambda row: _why(row.state.tally.local), False
    ),
)

WORKER_COLUMNS: tuple[Column[WorkerRow], ...] = (
    Column(
        "worker",
        18,
        lambda row: f"{row.state.label} {row.state.host} {row.state.id}",
        lambda row: row.state.label,
        False,
    ),
    Column("host", 12, lambda row: row.state.host, lambda row: row.state.host, False),
    Column("pid", 7, lambda row: row.state.pid, lambda row: str(row.state.pid)),
    Column("health", 8, lambda row: row.health, lambda row: Text(row.health, HEALTH.get(row.health, "")), False),
    Column(
        "beat", 5, lambda row: row.state.beat_age_seconds or 0.0, lambda row: span(row.state.beat_age_seconds or 0.0)
    ),
    Column("memory", 8, lambda row: row.memory_bytes or 0, lambda row: _megabytes(row.memory_bytes)),
    Column("python", 8, lambda row: row.state.python, lambda row: row.state.python, False),
    Column("busy", 7, lambda row: row.state.busy, lambda row: f"{row.state.busy}/{row.state.slots}"),
    Column("track", 0, lambda row: row.state.busy / max(row.state.slots, 1), lambda row: row.track, False),
)


def _megabytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 2**20:.0f} MB"
