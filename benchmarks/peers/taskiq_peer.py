"""taskiq: list broker, Redis results, looked for each millisecond."""

# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

from benchmarks.jobs import JOBS
from benchmarks.peer import serve
from benchmarks.peers.processes import REDIS_URL, Processes

broker = ListQueueBroker(REDIS_URL).with_result_backend(RedisAsyncResultBackend(REDIS_URL, result_ex_time=60))


async def _rest(seconds: float) -> None:
    await asyncio.sleep(seconds)


tasks = {
    name: broker.register_task(_rest if name == "rest" else function, task_name=name)
    for name, function in JOBS.items()
    if name != "echo"  # JSON only
}


class Taskiq:
    def __init__(self) -> None:
        self._workers = Processes()
        self._loop = asyncio.new_event_loop()

    def start(self, workers: int, slots: int) -> None:
        self._workers.start(
            *("taskiq", "worker", "benchmarks.peers.taskiq_peer:broker", "--workers", "1", "--log-level", "ERROR"),
            *("--max-async-tasks", str(slots if slots > 1 else 10)),
            number=workers,
        )
        self._loop.run_until_complete(broker.startup())

    def stop(self) -> None:
        self._loop.run_until_complete(broker.shutdown())
        self._workers.stop()

    def call(self, job: str, *arguments: Any) -> Any:
        return self._loop.run_until_complete(self._call(job, arguments))

    async def _call(self, job: str, arguments: tuple[Any, ...]) -> Any:
        handle = await tasks[job].kiq(*arguments)
        return (await handle.wait_result(check_interval=0.001, timeout=60)).return_value

    def submit_all(self, job: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        return self._loop.run_until_complete(self._all(job, calls))

    async def _all(self, job: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        handles = [await tasks[job].kiq(*call) for call in calls]
        return [(await one.wait_result(check_interval=0.001, timeout=60)).return_value for one in handles]


if __name__ == "__main__":
    serve(Taskiq())
