"""The rows and columns of the two panes of `top`: the text of each cell, and by what a column is sorted.

Knows no keys and no layout (screen.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.text import Text

from simpledist.cli.live.rates import Meter, Rates
from simpledist.monitor import FunctionState, RunningJob, Snapshot, WorkerState
from simpledist.monitor.looks import Looks

# As many as there are looks of one pattern; beyond the first eight functions colours repeat, and names tell them apart.
COLORS = ("cyan", "green", "yellow", "magenta", "blue", "bright_red", "bright_cyan", "bright_yellow")
HEALTH = {"alive": "green", "late": "yellow", "silent": "red", "dead": "bright_black", "draining": "cyan"}
SPARKS = "▁▂▃▄▅▆▇█"

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """A column of numbers or text; `by` sorts it, the largest number first, or text from a to z."""

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
        """Return what its parent and children use."""
        return self.state.stats.memory_bytes


def function_rows(snapshot: Snapshot, meter: Meter) -> list[FunctionRow]:
    """Return a row for each function, the busiest first."""
    _looks.see(one.function for one in snapshot.functions if one.present)
    each = meter.each()
    rows = [FunctionRow(one, each.get(one.function, Rates())) for one in snapshot.functions]
    # Ties of the column that is sorted by: what is busy first.
    return sorted(rows, key=lambda row: (-row.state.queued, -row.state.running, -row.rates.calls, row.state.function))


def worker_rows(snapshot: Snapshot) -> list[WorkerRow]:
    """Return a row for each worker, with the jobs on its slots."""
    running: defaultdict[str, list[RunningJob]] = defaultdict(list)
    for job in snapshot.running:
        running[job.worker].append(job)
    return [WorkerRow(one, track(one, running[one.id])) for one in snapshot.workers]


def track(worker: WorkerState, running: Iterable[RunningJob]) -> Text:
    """Return a cell for each slot: the first letter of the function that runs there, in its colour; else a dot."""
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


_looks = Looks()


def color(function: str) -> str:
    """Return the colour of a function, the same wherever it is shown."""
    _looks.see([function])
    look = _looks.of(function)
    return COLORS[look.colour if look else 0]


def span(seconds: float) -> str:
    """Return a duration in at most five characters."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    if seconds < 100:
        return f"{seconds:.0f}s"
    if seconds < 6000:
        return f"{seconds / 60:.0f}m"
    return f"{seconds / 3600:.0f}h"


def spark(values: Sequence[float]) -> str:
    """Return a line of small bars."""
    most = max(values, default=0.0)
    return "".join(SPARKS[round(value / most * (len(SPARKS) - 1))] for value in values) if most else ""


def _condition(worker: WorkerState) -> Text:
    shown = HEALTH.get(worker.condition) or ("red" if worker.bad else "yellow")
    return Text(worker.condition, shown)


def short(number: float) -> str:
    """Return a number in at most five characters."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= size:
            scaled = number / (size if letter != "k" else 1e3)
            return f"{scaled:.1f}{letter}" if scaled < 100 else f"{scaled:.0f}{letter}"
    return str(round(number))


def _why(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{short(number)} {why}" for why, number in list(counts.items())[:2])


def _rate(value: float) -> str:
    return f"{value:.1f}" if value < 1000 else short(value)


FUNCTION_COLUMNS: tuple[Column[FunctionRow], ...] = (
    Column(
        "function",
        0,
        lambda row: row.state.function,
        lambda row: Text(row.state.function, color(row.state.function)),
        False,
    ),
    Column("queued", 7, lambda row: row.state.queued, lambda row: short(row.state.queued)),
    Column("oldest", 6, lambda row: row.state.oldest_wait_seconds, lambda row: span(row.state.oldest_wait_seconds)),
    Column("running", 7, lambda row: row.state.running, lambda row: short(row.state.running)),
    Column("calls/s", 7, lambda row: row.rates.calls, lambda row: _rate(row.rates.calls)),
    Column("raised/s", 8, lambda row: row.rates.raised, lambda row: _rate(row.rates.raised)),
    Column("local/s", 7, lambda row: row.rates.local, lambda row: _rate(row.rates.local)),
    Column(
        "workers",
        7,
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
    Column("health", 14, lambda row: row.state.condition, lambda row: _condition(row.state), False),
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
