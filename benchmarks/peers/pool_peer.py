"""concurrent.futures.ProcessPoolExecutor: one machine, no Redis, and gone with its first dead process."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from benchmarks.jobs import JOBS
from benchmarks.peer import serve

CHUNK = 500


class Pool:
    def start(self, workers: int, slots: int) -> None:
        self._pool = ProcessPoolExecutor(workers * slots)

    def stop(self) -> None:
        self._pool.shutdown()

    def call(self, job: str, *arguments: Any) -> Any:
        return self._pool.submit(JOBS[job], *arguments).result()

    def submit_all(self, job: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        futures = [self._pool.submit(JOBS[job], *call) for call in calls]
        return [future.result() for future in futures]

    def map(self, job: str, values: range) -> list[Any]:
        return list(self._pool.map(JOBS[job], values, chunksize=CHUNK))


if __name__ == "__main__":
    serve(Pool())
