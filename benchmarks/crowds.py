"""What scale.py only has as rows, for real: one map of 1,000,000 calls, and 1,000 clients at once in one Redis.

    python -m benchmarks.crowds [--calls N] [--clients N]

A map has real workers; its client's memory is looked at all the while. The clients are real as well (threads,
connections, nudges), in one process; what they call stays queued, so that each of them waits. docs/scale.md says what
came out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

import simpledist
from benchmarks import jobs
from benchmarks.figures import redis_info
from simpledist.broker import Broker, Keys, Link
from simpledist.cluster import Cluster
from simpledist.embedded import EmbeddedRedis

MEGABYTE = 1024 * 1024
LOOK_EVERY = 20_000  # calls between two looks at the memory
WATCH_SECONDS = 10


def a_long_map(number: int) -> None:
    """Short calls by the million: time, and what client and Redis hold at most meanwhile."""
    with Cluster("benchmarks.jobs:increment", slots=2) as cluster:
        function = simpledist.worker_function(cluster.connect(), "increment", jobs.increment)
        list(function.map(range(10_000)))
        own = psutil.Process()
        held: list[float] = []
        redis: list[float] = []
        began, cpu = time.perf_counter(), sum(own.cpu_times()[:2])
        for count, value in enumerate(function.map(iter(range(number)))):
            if count % LOOK_EVERY == 0:
                held.append(own.memory_info().rss / MEGABYTE)
                redis.append(float(redis_info(cluster.url, "memory")["used_memory"]) / MEGABYTE)
            assert value == count + 1
        seconds = time.perf_counter() - began
        cpu = sum(own.cpu_times()[:2]) - cpu
    tenth = max(len(held) // 10, 1)
    tenths = ", ".join(f"{max(held[first : first + tenth]):.0f}" for first in range(0, len(held), tenth))
    print(
        f"map of {number:,} calls: {seconds:.1f} s, {number / seconds:,.0f} calls/s, {1e6 * cpu / number:.1f} us a call"
    )
    print(f"  at most, MB: Redis {max(redis):.1f}; the client, tenth by tenth of the way: {tenths}", flush=True)


def many_clients(number: int, calls: int) -> None:
    """Clients that wait, each for some calls of its own: connections, and what their nudges cost Redis."""
    with EmbeddedRedis(port=0, arguments=("--save", "", "--maxclients", str(4 * number))) as server:
        link = Link(server.url, name="benchmarks")
        link.connect()
        broker = Broker(link, Keys())
        row = {"host": "here", "functions": ["increment"], "connection": link.identity, "slots": 1}

        def beat() -> None:
            """The worker that offers the function, and takes no job."""
            broker.beat("w1", link.identity, [], row, ["increment"])

        beat()
        clients: list[simpledist.Client] = []
        futures: list[Any] = []
        began = beaten = time.perf_counter()
        for _ in range(number):
            client = simpledist.connect(server.url)
            function = simpledist.worker_function(client, "increment", jobs.increment)
            futures += [function.submit(n) for n in range(calls)]
            clients.append(client)
            if time.perf_counter() - beaten > 1.0:
                beaten = time.perf_counter()
                beat()
        print(f"{number} clients, {calls} calls each: all there after {time.perf_counter() - began:.1f} s", flush=True)
        _watch(server, "waiting", beat)
        for future in futures:
            future.cancel()
        _watch(server, "idle", beat)
        link.close()
        for client in clients:
            client.close(wait=False)


def _watch(server: EmbeddedRedis, what: str, beat: Callable[[], None]) -> None:
    """Redis' connections, scripts and CPU over some seconds."""
    _for_seconds(3, beat)  # what was just begun comes to rest
    before, cpu, began = _scripts(server.url), _cpu_seconds(server.pid), time.monotonic()
    own = time.process_time()
    _for_seconds(WATCH_SECONDS, beat)
    passed = time.monotonic() - began
    scripts = (_scripts(server.url) - before) / passed
    share = (_cpu_seconds(server.pid) - cpu) / passed
    print(
        f"  {what}: {redis_info(server.url, 'clients')['connected_clients']} connections, {scripts:,.0f} scripts/s, "
        f"{share:.1%} of a core of Redis ({1e6 * share / max(scripts, 1):.0f} us each), "
        f"{(time.process_time() - own) / passed:.1%} of a core in the process of all clients",
        flush=True,
    )


def _for_seconds(seconds: int, beat: Callable[[], None]) -> None:
    for _ in range(seconds):
        beat()
        time.sleep(1.0)


def _scripts(url: str) -> float:
    stats = redis_info(url, "commandstats")
    return sum(float(value.split(",")[0][6:]) for name, value in stats.items() if name.startswith("cmdstat_eval"))


def _cpu_seconds(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.crowds")
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, default=1000)
    options = parser.parse_args(arguments)
    a_long_map(options.calls)
    many_clients(options.clients, 1)
    many_clients(options.clients, 100)


if __name__ == "__main__":
    main()
