"""RQ: SimpleWorker (no fork a job), results waited for over its stream."""

# pyright: basic, reportMissingImports=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis
from rq import Queue

from benchmarks.jobs import JOBS
from benchmarks.peer import serve
from benchmarks.peers.processes import REDIS_URL, Processes


class Rq:
    def __init__(self) -> None:
        self._workers = Processes()
        self._queue = Queue("bench", connection=redis.Redis.from_url(REDIS_URL, socket_timeout=None))

    def start(self, workers: int, slots: int) -> None:
        self._workers.start(
            *("rq", "worker", "-w", "rq.SimpleWorker", "--quiet", "--url", REDIS_URL, "bench"), number=workers * slots
        )

    def stop(self) -> None:
        self._workers.stop()

    def call(self, job: str, *arguments: Any) -> Any:
        return self._queue.enqueue(JOBS[job], *arguments).latest_result(timeout=60).return_value

    def submit_all(self, job: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        jobs = [self._queue.enqueue(JOBS[job], *call) for call in calls]
        return [one.latest_result(timeout=60).return_value for one in jobs]


if __name__ == "__main__":
    serve(Rq())
