"""Gearman: Debian's gearmand with the Python client `gear`, its sockets without Nagle's delay (44 ms a call otherwise).

gearmand has one I/O thread, a worker process is a slot. Bare frames on a blocking socket would take a quarter of the
time; what is measured is a queue as a Python program gets it, as with the others.
"""

# pyright: basic, reportMissingImports=false

from __future__ import annotations

import os
import pickle
import socket
import sys
import tempfile
import threading
from collections.abc import Sequence
from typing import Any

import gear

from benchmarks.environments import program
from benchmarks.jobs import JOBS
from benchmarks.peer import serve
from benchmarks.peers.processes import Processes, free_port, wait_for_port

HOST = "127.0.0.1"


class Client(gear.Client):
    """Counts what has ended, as the library tells nobody who waits."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = threading.Semaphore(0)

    def handleWorkComplete(self, packet: Any) -> Any:
        job = super().handleWorkComplete(packet)
        self.ended.release()
        return job


class Gearman:
    def __init__(self) -> None:
        self._processes = Processes()
        self._folder = tempfile.TemporaryDirectory()
        self._client = Client()

    def start(self, workers: int, slots: int) -> None:
        port = free_port()
        self._processes.start(
            *(program("gearmand"), "--listen", HOST, "--port", str(port), "--threads", "1"),
            *("--log-file", "none", "--pid-file", os.path.join(self._folder.name, "pid")),
        )
        wait_for_port(port)
        worker = (sys.executable, "-m", "benchmarks.peers.gearman_peer", "work", str(port))
        self._processes.start(*worker, number=workers * slots)
        _connect(self._client, port)

    def stop(self) -> None:
        self._client.shutdown()
        self._processes.stop()
        self._folder.cleanup()

    def call(self, job: str, *arguments: Any) -> Any:
        return self.submit_all(job, [arguments])[0]

    def submit_all(self, job: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        jobs = [gear.Job(job.encode(), pickle.dumps(call, protocol=5)) for call in calls]
        for one in jobs:
            self._client.submitJob(one)
        for _ in jobs:
            if not self._client.ended.acquire(timeout=60):
                raise TimeoutError("no result in 60 s")
        return [pickle.loads(one.data[0]) for one in jobs]  # noqa: S301 - our own worker's


def work(port: int) -> None:
    worker = gear.Worker("bench")
    _connect(worker, port)
    for name in JOBS:
        worker.registerFunction(name)
    while True:
        job = worker.getJob()
        result = JOBS[job.name](*pickle.loads(job.arguments))  # noqa: S301 - our own client's
        job.sendWorkComplete(pickle.dumps(result, protocol=5))


def _connect(one: Any, port: int) -> None:
    one.addServer(HOST, port)
    one.waitForServer()
    for connection in one.active_connections:
        connection.conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


if __name__ == "__main__":
    work(int(sys.argv[2])) if sys.argv[1:2] == ["work"] else serve(Gearman())
