"""Dask distributed: a local cluster, one thread a slot; values travel between processes, not through Redis."""

# pyright: basic, reportMissingImports=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distributed import Client, LocalCluster

from benchmarks.jobs import JOBS, WITH_DATA
from benchmarks.peer import serve


class Dask:
    def start(self, workers: int, slots: int) -> None:
        self._cluster = LocalCluster(
            n_workers=workers, threads_per_worker=slots, processes=True, dashboard_address=None, host="127.0.0.1"
        )
        self._client = Client(self._cluster)

    def stop(self) -> None:
        self._client.close()
        self._cluster.close()

    def call(self, job: str, *arguments: Any) -> Any:
        return self._client.submit(JOBS[job], *arguments, pure=False).result()

    def submit_all(self, job: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        futures = [self._client.submit(JOBS[job], *call, pure=False) for call in calls]
        return self._client.gather(futures)

    def hold(self, value: Any, kind: str) -> Any:
        return self._client.scatter(value, hash=False)

    def with_held(self, job: str, held: Any, number: int, way: str) -> list[Any]:
        return self._client.gather([self._client.submit(WITH_DATA[job], held, n, pure=False) for n in range(number)])


if __name__ == "__main__":
    serve(Dask())
