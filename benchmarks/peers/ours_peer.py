"""simpledist itself, by its public names and command lines."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import simpledist
from benchmarks.jobs import JOBS, WITH_DATA
from benchmarks.peer import serve
from benchmarks.peers.processes import REDIS_URL, Processes


class Ours:
    def __init__(self) -> None:
        self._workers = Processes()
        self._client: Any = None
        self._functions: dict[str, Any] = {}

    def start(self, workers: int, slots: int) -> None:
        self._workers.start(
            *(sys.executable, "-m", "simpledist.cli.worker", "--redis", REDIS_URL, "--slots", str(slots)),
            *(f"benchmarks.jobs:{name}" for name in (JOBS | WITH_DATA)),
            *os.environ.get("BENCH_OPTIONS", "").split(),
            number=workers,
        )
        self._client = simpledist.connect(REDIS_URL)
        self._functions = {
            name: simpledist.worker_function(self._client, name, local) for name, local in (JOBS | WITH_DATA).items()
        }
        while not self._remote(workers):
            pass

    def _remote(self, workers: int) -> bool:
        """Whether so many workers answered: a call that none takes runs here, and would be measured as a wonder."""
        seen = {self._ran_on() for _ in range(4 * workers)}
        return None not in seen and len(seen) >= min(workers, 1)

    def _ran_on(self) -> str | None:
        future = self._functions["rest"].submit(0.005)
        future.result()
        return future.info.worker

    def stop(self) -> None:
        self._client.close()
        self._workers.stop()

    def call(self, job: str, *arguments: Any) -> Any:
        return self._functions[job](*arguments)

    def submit_all(self, job: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        function = self._functions[job]
        futures = [function.submit(*call) for call in calls]
        results = [future.result() for future in futures]
        assert all(future.info.where == "remote" for future in futures[:: max(len(futures) // 100, 1)])
        return results

    def map(self, job: str, values: range) -> list[Any]:
        return list(self._functions[job].map(values))

    def hold(self, value: Any, kind: str) -> Any:
        return self._client.share(value) if kind == "shared" else value

    def with_held(self, job: str, held: Any, number: int, way: str) -> list[Any]:
        function = self._functions[job]
        if way == "plain":
            return [function(held, n) for n in range(number)]
        if way == "map":
            return list(function.map(itertools.repeat(held, number), range(number)))
        if way == "joblib":
            joblib: Any = import_module("joblib")
            import_module("simpledist.joblib")
            with joblib.parallel_config(backend="simpledist", client=self._client):
                return joblib.Parallel()(joblib.delayed(WITH_DATA[job])(held, n) for n in range(number))
        futures = [function.submit(held, n) for n in range(number)]
        results = [future.result() for future in futures]
        assert all(future.info.where == "remote" for future in futures)
        return results


if __name__ == "__main__":
    serve(Ours())
