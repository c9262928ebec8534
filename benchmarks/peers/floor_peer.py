"""The floor: RPUSH and BLPOP each way with pickle, by redis-py and hiredis; no ledger, no child, nothing survives.

The client pushes 1,000 at a time and the worker drains what is there, which no queue with a plain `submit` can do.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Sequence
from typing import Any, cast

import redis

from benchmarks.jobs import JOBS
from benchmarks.peer import serve
from benchmarks.peers.processes import REDIS_URL, Processes

BATCH = 1000


class Floor:
    def __init__(self) -> None:
        self._redis: Any = cast(Any, redis.Redis).from_url(REDIS_URL, socket_timeout=None)
        self._workers = Processes()

    def start(self, workers: int, slots: int) -> None:
        self._workers.start(sys.executable, "-m", "benchmarks.peers.floor_peer", "work", number=workers * slots)

    def stop(self) -> None:
        self._workers.stop()

    def call(self, job: str, *arguments: Any) -> Any:
        self._redis.rpush("jobs", pickle.dumps((0, job, arguments), protocol=5))
        return pickle.loads(self._redis.blpop("replies", 0)[1])[1]  # noqa: S301 - our own worker's

    def submit_all(self, job: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        batch = 1 if job == "rest" else BATCH
        for first in range(0, len(calls), batch):
            numbered = enumerate(calls[first : first + batch], first)
            self._redis.rpush("jobs", *[pickle.dumps((number, job, call), protocol=5) for number, call in numbered])
        results: list[Any] = [None] * len(calls)
        missing = len(calls)
        while missing:
            elements: list[bytes] = [self._redis.blpop("replies", 0)[1], *(self._redis.lpop("replies", BATCH) or [])]
            for element in elements:
                number, value = pickle.loads(element)  # noqa: S301 - our own worker's
                results[number] = value
            missing -= len(elements)
        return results


def work() -> None:
    connection: Any = cast(Any, redis.Redis).from_url(REDIS_URL, socket_timeout=None)
    while True:
        elements = [connection.blpop("jobs", 0)[1]]
        first = pickle.loads(elements[0])  # noqa: S301 - our own client's
        if first[1] == "increment":
            elements += connection.lpop("jobs", BATCH) or []
        replies: list[bytes] = []
        for element in elements:
            number, job, arguments = pickle.loads(element)  # noqa: S301 - our own client's
            replies.append(pickle.dumps((number, JOBS[job](*arguments)), protocol=5))
        connection.rpush("replies", *replies)


if __name__ == "__main__":
    work() if sys.argv[1:] == ["work"] else serve(Floor())
