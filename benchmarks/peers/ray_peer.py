"""Ray: one machine, as many CPUs as there are slots; values lie in its shared memory."""

# pyright: basic, reportMissingImports=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ray

from benchmarks.jobs import JOBS, WITH_DATA
from benchmarks.peer import serve


class Ray:
    def start(self, workers: int, slots: int) -> None:
        ray.init(num_cpus=workers * slots, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        self._tasks = {name: ray.remote(function) for name, function in (JOBS | WITH_DATA).items()}
        ray.get([self._tasks["rest"].remote(0.2) for _ in range(workers * slots)])

    def stop(self) -> None:
        ray.shutdown()

    def call(self, job: str, *arguments: Any) -> Any:
        return ray.get(self._tasks[job].remote(*arguments))

    def submit_all(self, job: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        return ray.get([self._tasks[job].remote(*call) for call in calls])

    def hold(self, value: Any, kind: str) -> Any:
        return ray.put(value)

    def with_held(self, job: str, held: Any, number: int, way: str) -> list[Any]:
        return ray.get([self._tasks[job].remote(held, n) for n in range(number)])


if __name__ == "__main__":
    serve(Ray())
