"""joblib with its own backend, loky: processes of this machine, which map a big array from a file."""

# pyright: basic, reportMissingImports=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import joblib

from benchmarks.jobs import JOBS, WITH_DATA
from benchmarks.peer import serve


class Loky:
    def start(self, workers: int, slots: int) -> None:
        self._parallel = joblib.Parallel(n_jobs=workers * slots)
        self.submit_all("rest", [(0.2,)] * (workers * slots))

    def stop(self) -> None:
        return

    def call(self, job: str, *arguments: Any) -> Any:
        return self.submit_all(job, [arguments])[0]

    def submit_all(self, job: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        return list(self._parallel(joblib.delayed(JOBS[job])(*call) for call in calls))

    def hold(self, value: Any, kind: str) -> Any:
        return value

    def with_held(self, job: str, held: Any, number: int, way: str) -> list[Any]:
        return list(self._parallel(joblib.delayed(WITH_DATA[job])(held, n) for n in range(number)))


if __name__ == "__main__":
    serve(Loky())
