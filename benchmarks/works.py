"""What is measured: each work, on which workers, of which peers, and how a round's answer becomes one number."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from benchmarks import figures
from benchmarks.driver import Driver

REDIS_PEERS = ("huey", "saq", "taskiq", "celery", "rq", "tasktiger")
ALL = ("floor", "ours", *REDIS_PEERS, "gearman", "dask", "ray", "pool")


@dataclass(frozen=True, slots=True)
class Work:
    """One row of the table. `measure` is asked of each peer in turn, `figures` of ours alone."""

    name: str
    title: str
    unit: str
    better: Literal["less", "more"]
    peers: tuple[str, ...]
    workers: int = 1
    slots: int = 1
    rounds: int = 3
    measure: Callable[[Driver], float] | None = None
    figure: Callable[[str], dict[str, float]] | None = None
    quick: bool = True
    left_out: dict[str, str] = field(default_factory=dict[str, str])


def _single(driver: Driver) -> float:
    return statistics.median(driver.ask("single", number=200)["seconds"]) * 1000


def _submits(driver: Driver) -> float:
    answer: dict[str, Any] = driver.ask("submits", number=10_000, limit=2.5)
    return answer["number"] / answer["seconds"]


def _map(driver: Driver) -> float:
    answer: dict[str, Any] = driver.ask("map", number=10_000)
    return answer["number"] / answer["seconds"]


def _rests(driver: Driver) -> float:
    return driver.ask("rests", number=200, pause=0.05)["seconds"] / (200 * 0.05 / 8)


def _echo(megabytes: int) -> Callable[[Driver], float]:
    def measure(driver: Driver) -> float:
        driver.ask("echo", size=1024 * 1024)
        return min(driver.ask("echo", size=megabytes * 1024 * 1024)["seconds"] for _ in range(2))

    return measure


_NO_BYTES = {"taskiq": "takes no bytes", "tasktiger": "takes no bytes", "gearman": "its client chokes on megabytes"}

WORKS: tuple[Work, ...] = (
    Work("single", "no-op call, idle worker, p50", "ms", "less", ALL, measure=_single),
    Work("submits1", "10,000 single submits, 1 worker", "jobs/s", "more", ALL, measure=_submits),
    Work("submits2", "10,000 single submits, 2 workers", "jobs/s", "more", ALL, workers=2, measure=_submits),
    Work("map", "10,000 calls through map", "calls/s", "more", ("ours", "pool"), workers=2, measure=_map),
    Work("rests", "200 x 50 ms on 8 slots", "x ideal", "less", ALL, slots=8, measure=_rests),
    Work("echo10", "10 MB echoed", "s", "less", ALL, measure=_echo(10), left_out=_NO_BYTES),
    Work("echo100", "100 MB echoed", "s", "less", ALL, measure=_echo(100), left_out=_NO_BYTES, quick=False),
    Work("auto", "map of 100,000 calls of 1 us, policy auto", "x loop", "less", ("ours",), figure=figures.auto),
    Work(
        "seconds",
        "45 x 1 s on 8 slots, distributor, dashboard",
        "x ideal",
        "less",
        ("ours",),
        rounds=1,
        figure=figures.seconds,
        quick=False,
    ),
    Work("peak10", "peak memory for 10 MB echoed", "x value", "less", ("ours",), rounds=1, figure=figures.peak(10)),
    Work(
        "peak100",
        "peak memory for 100 MB echoed",
        "x value",
        "less",
        ("ours",),
        rounds=1,
        figure=figures.peak(100),
        quick=False,
    ),
    Work(
        "redis",
        "Redis: bytes a queued job, and left a finished job",
        "bytes",
        "less",
        ("ours",),
        rounds=1,
        figure=figures.redis_memory,
    ),
    Work("commands", "Redis commands from outside", "a job", "less", ("ours",), rounds=1, figure=figures.commands),
    Work("idle", "idle worker: commands a second, % of a core", "", "less", ("ours",), rounds=1, figure=figures.idle),
    Work("start", "worker start to first job done", "s", "less", ("ours",), rounds=5, figure=figures.start),
    Work("import", "import, to the first function wrapped", "ms", "less", ("ours",), figure=figures.imports),
    Work("memory", "memory, shared pages divided", "MB", "less", ("ours",), rounds=1, figure=figures.memory),
)
