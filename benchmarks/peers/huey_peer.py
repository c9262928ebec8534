"""Huey: results announced over a list (notify_result) for single calls; its defaults for many, which are faster."""

# pyright: basic, reportMissingImports=false

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from huey import RedisHuey

from benchmarks.jobs import JOBS
from benchmarks.peer import serve
from benchmarks.peers.processes import REDIS_URL, Processes

queue = RedisHuey("bench", url=REDIS_URL, notify_result=os.environ.get("BENCH_NOTIFY", "1") == "1", store_none=True)
tasks = {name: queue.task(name=name)(function) for name, function in JOBS.items()}


class Huey:
    def __init__(self) -> None:
        self._workers = Processes()

    def start(self, workers: int, slots: int) -> None:
        kind = "thread" if slots > 1 else "process"
        self._workers.start(
            *("huey_consumer", "benchmarks.peers.huey_peer.queue", "-k", kind, "-w", str(slots), "-n", "-q"),
            number=workers,
        )

    def stop(self) -> None:
        self._workers.stop()

    def call(self, job: str, *arguments: Any) -> Any:
        return tasks[job](*arguments)(blocking=True)

    def submit_all(self, job: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        handles = [tasks[job](*call) for call in calls]
        return [handle(blocking=True) for handle in handles]


if __name__ == "__main__":
    serve(Huey())
