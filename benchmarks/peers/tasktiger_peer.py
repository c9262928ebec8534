"""TaskTiger: the synchronous executor; it keeps no results, so the job pushes its own to a list."""

# pyright: basic, reportMissingImports=false

from __future__ import annotations

import pickle
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import redis
from tasktiger import TaskTiger
from tasktiger.executor import SyncExecutor

from benchmarks.jobs import JOBS
from benchmarks.peer import serve
from benchmarks.peers.processes import REDIS_URL, Processes

connection = redis.Redis.from_url(REDIS_URL, decode_responses=True, socket_timeout=None)
replies: Any = redis.Redis.from_url(REDIS_URL, socket_timeout=None)
tiger = TaskTiger(connection=connection, setup_structlog=True)


def run(number: int, job: str, arguments: list[Any]) -> None:
    replies.rpush("replies", pickle.dumps((number, JOBS[job](*arguments)), protocol=5))


class Tiger:
    def __init__(self) -> None:
        self._workers = Processes()

    def start(self, workers: int, slots: int) -> None:
        self._workers.start(sys.executable, "-m", "benchmarks.peers.tasktiger_peer", "work", number=workers * slots)

    def stop(self) -> None:
        self._workers.stop()

    def call(self, job: str, *arguments: Any) -> Any:
        return self.submit_all(job, [arguments])[0]

    def submit_all(self, job: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        for number, call in enumerate(calls):
            tiger.delay(run, (number, job, list(call)))
        results: list[Any] = [None] * len(calls)
        for _ in calls:
            number, value = pickle.loads(replies.blpop("replies", 60)[1])  # noqa: S301 - our own worker's
            results[number] = value
        return results


if __name__ == "__main__":
    if sys.argv[1:] == ["work"]:
        tiger.run_worker(executor_class=SyncExecutor)
    else:
        # Workers look for the function in the module that it names, which must not be __main__.
        serve(import_module("benchmarks.peers.tasktiger_peer").Tiger())
