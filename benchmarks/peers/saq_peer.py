"""SAQ: concurrency 10 a worker, `apply` that polls each millisecond, pickle.

Its sweep at a worker's start may take a job that was just begun for a stuck one: hence the retries.
"""

# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
import os
import pickle
from collections.abc import Sequence
from typing import Any

import saq

from benchmarks.jobs import JOBS
from benchmarks.peer import serve
from benchmarks.peers.processes import REDIS_URL, Processes

queue = saq.Queue.from_url(REDIS_URL, dump=pickle.dumps, load=pickle.loads)


def _function(name: str) -> Any:
    async def run(_context: Any, *, arguments: list[Any]) -> Any:
        if name == "rest":
            return await asyncio.sleep(arguments[0])
        return JOBS[name](*arguments)

    run.__name__ = run.__qualname__ = name
    return run


settings = {
    "queue": queue,
    "functions": [(name, _function(name)) for name in JOBS],
    "concurrency": int(os.environ.get("BENCH_SLOTS", "10")),
}


class Saq:
    def __init__(self) -> None:
        self._workers = Processes()
        self._loop = asyncio.new_event_loop()

    def start(self, workers: int, slots: int) -> None:
        os.environ["BENCH_SLOTS"] = str(slots if slots > 1 else 10)
        self._workers.start("saq", "benchmarks.peers.saq_peer.settings", number=workers)

    def stop(self) -> None:
        self._workers.stop()

    def call(self, job: str, *arguments: Any) -> Any:
        return self._loop.run_until_complete(
            queue.apply(job, arguments=list(arguments), timeout=60, retries=3, poll_interval=0.001)
        )

    def submit_all(self, job: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        return self._loop.run_until_complete(self._all(job, calls))

    async def _all(self, job: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        jobs = [await queue.enqueue(job, arguments=list(call), timeout=60, retries=3) for call in calls]
        results: list[Any] = []
        for one in jobs:
            while not one.completed:
                await one.refresh()
            results.append(one.result)
        return results


if __name__ == "__main__":
    serve(Saq())
