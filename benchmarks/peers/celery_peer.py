"""Celery: solo pool a process, no gossip, mingle, heartbeat or events, prefetch 128, JSON."""

# pyright: basic, reportMissingImports=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery import Celery as App

from benchmarks.jobs import JOBS
from benchmarks.peer import serve
from benchmarks.peers.processes import REDIS_URL, Processes

app = App("bench", broker=REDIS_URL, backend=REDIS_URL)
app.conf.update(
    worker_prefetch_multiplier=128,
    broker_connection_retry_on_startup=True,
)
tasks = {name: app.task(name=name)(function) for name, function in JOBS.items()}


class Celery:
    def __init__(self) -> None:
        self._workers = Processes()

    def start(self, workers: int, slots: int) -> None:
        pool = ("--pool", "solo") if slots == 1 else ("--pool", "threads", "--concurrency", str(slots))
        for number in range(workers):
            self._workers.start(
                *("celery", "-A", "benchmarks.peers.celery_peer:app", "worker", *pool, "-n", f"w{number}@here"),
                *("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "CRITICAL"),
                *(("--prefetch-multiplier", "1") if slots > 1 else ()),
            )

    def stop(self) -> None:
        self._workers.stop()

    def call(self, job: str, *arguments: Any) -> Any:
        return tasks[job].delay(*arguments).get()

    def submit_all(self, job: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        handles = [tasks[job].delay(*call) for call in calls]
        return [handle.get() for handle in handles]


if __name__ == "__main__":
    serve(Celery())
