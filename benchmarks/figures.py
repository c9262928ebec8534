"""Figures of simpledist alone: memory, commands, start, import. Each takes the URL of an empty Redis."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, cast

import psutil

import simpledist
from benchmarks import jobs
from simpledist import job, wire
from simpledist.broker import Broker, Keys, Link
from simpledist.cluster import Cluster
from simpledist.wire.keyring import Keyring

MEGABYTE = 1024 * 1024
TARGETS = tuple(f"benchmarks.jobs:{name}" for name in jobs.JOBS)


def redis_call(url: str, *command: str) -> Any:
    link = Link(url, name="benchmarks")
    link.connect()
    try:
        return link.call(*command)
    finally:
        link.close()


def flush(url: str) -> None:
    redis_call(url, "FLUSHALL")


def redis_info(url: str, section: str) -> dict[str, str]:
    text = cast(bytes, redis_call(url, "INFO", section)).decode()
    return {key: value for key, colon, value in (line.partition(":") for line in text.splitlines()) if colon}


def redis_version(url: str) -> str:
    return redis_info(url, "server")["redis_version"]


def auto(url: str) -> dict[str, float]:
    """A map of calls that are cheaper here than any way elsewhere, against the plain loop; also with nobody there."""
    found: dict[str, float] = {}
    with Cluster("benchmarks.jobs:microsecond", redis=url, slots=2) as cluster:
        found["with workers"] = _against_the_loop(cluster.url)
    found["no worker"] = _against_the_loop(url)
    found["no Redis"] = _against_the_loop("redis://127.0.0.1:1/0")
    return found


def _against_the_loop(url: str) -> float:
    number = 100_000
    with simpledist.connect(url) as client:
        function = simpledist.worker_function(client, "microsecond", jobs.microsecond, policy="auto")
        list(function.map(range(2000)))
        seconds: list[float] = []
        for run in (lambda: list(map(jobs.microsecond, range(number))), lambda: list(function.map(range(number)))):
            began = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - began)
    return seconds[1] / seconds[0]


def seconds(url: str) -> dict[str, float]:
    """What simpledist is for: jobs of a second, with everything around them switched on."""
    with Cluster(TARGETS, redis=url, slots=8, web=True) as cluster:
        function = simpledist.worker_function(cluster.connect(), "rest", jobs.rest)
        function(0.01)
        page = subprocess.Popen(  # an open dashboard asks for its state each second
            [sys.executable, "-c", _LOOKER, cluster.dashboard_url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            began = time.perf_counter()
            list(function.map([1.0] * 45))
            return {"ours": (time.perf_counter() - began) / 6.0}
        finally:
            page.kill()
            page.wait()


_LOOKER = "import sys, time, urllib.request\nwhile True:\n    urllib.request.urlopen(sys.argv[1]).read(); time.sleep(1)"


def peak(megabytes: int) -> Callable[[str], dict[str, float]]:
    """The most that each process held while a value was echoed, above what it holds anyway, in values."""

    def measure(url: str) -> dict[str, float]:
        with Cluster(TARGETS, redis=url, slots=1) as cluster:
            client = subprocess.Popen(
                [sys.executable, "-c", _ECHO, url, str(megabytes)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            assert client.stdin is not None
            assert client.stdout is not None
            client.stdout.readline()
            parent = psutil.Process(cluster.workers[0].pid)
            # The template never sees a value: its children do.
            child = next(one for one in parent.children(recursive=True) if not one.children())
            processes = {"client": client.pid, "parent": parent.pid, "child": child.pid}
            before = {who: _forget_peak(pid) for who, pid in processes.items()}
            client.stdin.write(b"\n")
            client.stdin.flush()
            client.stdout.readline()
            value = megabytes * MEGABYTE
            found = {who: (_status(pid, "VmHWM") - before[who]) / value for who, pid in processes.items()}
            client.stdin.close()
            client.wait()
            client.stdout.close()
        return found

    return measure


_ECHO = """
import os, sys
import simpledist
from benchmarks import jobs
client = simpledist.connect(sys.argv[1])
echo = simpledist.worker_function(client, "echo", jobs.echo)
echo(b"x" * 100_000)
print(flush=True)
sys.stdin.readline()
value = os.urandom(1024) * (int(sys.argv[2]) * 1024)
future = echo.submit(value)
assert future.result() == value and future.info.where == "remote"
print(flush=True)
sys.stdin.readline()
client.close()
"""


def _forget_peak(pid: int) -> float:
    with open(f"/proc/{pid}/clear_refs", "w") as file:
        file.write("5")
    return _status(pid, "VmRSS")


def _status(pid: int, field: str) -> float:
    """Bytes, as Linux counts them."""
    with open(f"/proc/{pid}/status") as file:
        line = next(line for line in file if line.startswith(field))
    return int(line.split()[1]) * 1024.0


def redis_memory(url: str) -> dict[str, float]:
    """Bytes that Redis' `used_memory` grows by for each of 10,000 jobs queued, and for each that is finished and read.

    Everything counts: job, call, ledger, list, and the tables of keys and TTLs, whose doubling moves the figure by 7 %.
    """
    number = 10_000
    link = Link(url, name="benchmarks")
    link.connect()
    broker = Broker(link, Keys())
    row = {"host": "here", "functions": ["increment"], "connection": "-"}
    broker.beat("w1", "-", [], row, ["increment"])
    before = _used(url)
    body, fingerprint = wire.encode_arguments("pickle", (3,)), wire.fingerprint(jobs.increment)
    sealed = wire.seal_call(
        "increment", "pickle", body, Keyring(), fingerprint, nonce=wire.nonce(), sealed_at_ms=0
    ).data
    client = job.new_client_id()
    for first in range(0, number, 1000):
        broker.submit("increment", client, "-", [(f"{client}-{first + i:x}", sealed) for i in range(1000)])
    queued = (_used(url) - before) / number
    link.close()
    flush(url)
    with Cluster(TARGETS, redis=url, slots=2) as cluster:
        client_ = cluster.connect()
        function = simpledist.worker_function(client_, "increment", jobs.increment)
        list(function.map(range(1000)))
        before = _settled(url)
        list(function.map(range(number)))
        left = (_settled(url) - before) / number
    return {"queued": queued, "finished": max(left, 0.0)}


def _used(url: str) -> float:
    return float(redis_info(url, "memory")["used_memory"])


def _settled(url: str) -> float:
    """Memory once what was read has been acknowledged: keys of jobs are gone."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and redis_call(url, "EXISTS", "simpledist:job:x") is not None:
        keys = cast("list[bytes]", redis_call(url, "KEYS", "simpledist:job:*"))
        if not keys:
            break
        time.sleep(0.05)
    return _used(url)


def commands(url: str) -> dict[str, float]:
    """Commands that reach Redis over a connection, a job; those inside scripts cost no round trip."""
    with Cluster(TARGETS, redis=url, slots=2) as cluster:
        function = simpledist.worker_function(cluster.connect(), "increment", jobs.increment)
        list(function.map(range(100)))
        single = _outside(url, lambda: [function(i) for i in range(200)]) / 200
        loop = _outside(url, lambda: [one.result() for one in [function.submit(i) for i in range(5000)]]) / 5000
        mapped = _outside(url, lambda: list(function.map(range(10_000)))) / 10_000
    return {"single call": single, "submit loop": loop, "map": mapped}


def _outside(url: str, act: Callable[[], object]) -> float:
    """How many commands came from outside meanwhile: all calls but those that scripts made."""
    before = _calls(url)
    act()
    after = _calls(url)
    return sum(after.values()) - sum(before.values())


_ONLY_OUTSIDE = ("evalsha", "eval", "blpop", "client", "info", "set_beside")


def _calls(url: str) -> dict[str, float]:
    stats = redis_info(url, "commandstats")
    found = {key.removeprefix("cmdstat_"): float(value.split(",")[0][6:]) for key, value in stats.items()}
    return {name: calls for name, calls in found.items() if name.partition("|")[0] in _ONLY_OUTSIDE}


def idle(url: str) -> dict[str, float]:
    """A worker that waits, looked at for as long as four beats."""
    with Cluster(TARGETS, redis=url, slots=2) as cluster:
        process = psutil.Process(cluster.workers[0].pid)
        family = [process, *process.children(recursive=True)]
        time.sleep(0.5)
        cpu, calls, began = _cpu(family), _calls(url), time.monotonic()
        time.sleep(10.0)
        passed = time.monotonic() - began
        used, came = _cpu(family) - cpu, sum(_calls(url).values()) - sum(calls.values()) - 1
    return {"commands": came / passed, "CPU %": 100 * used / passed}


def _cpu(family: list[psutil.Process]) -> float:
    return sum(sum(one.cpu_times()[:2]) for one in family)


def start(url: str) -> dict[str, float]:
    """From the command line to the first job done, seen by a client that waits at its queue."""
    link = Link(url, name="benchmarks")
    link.connect()
    keys = Keys()
    with Cluster(redis=url) as cluster:
        client = cluster.connect()
        function = simpledist.worker_function(client, "nothing", jobs.nothing)
        function()
        began = time.perf_counter()
        cluster.start_worker("benchmarks.jobs:nothing", slots=2, ready=False)
        while not link.call("HLEN", keys.named("offers", "nothing")):
            time.sleep(0.002)
        future = function.submit()
        future.result()
        passed = time.perf_counter() - began
        assert future.info is not None
        assert future.info.where == "remote"
    link.close()
    return {"ours": passed}


def imports(url: str) -> dict[str, float]:
    """Milliseconds above bare Python; ours up to the first function wrapped (its first call loads redis)."""
    programs = {
        "bare": "pass",
        "redis": "import redis",
        "simpledist": "import simpledist",
        "first function": "import simpledist; simpledist.worker_function(simpledist.connect(), 'f', divmod)",
    }
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(7):
        for name, program in programs.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True)
            seconds[name].append(time.perf_counter() - began)
    middle = {name: statistics.median(numbers) * 1000 for name, numbers in seconds.items()}
    return {name: number - middle["bare"] for name, number in middle.items() if name != "bare"}


def memory(url: str) -> dict[str, float]:
    """Megabytes of a worker's processes after some jobs."""
    with Cluster(TARGETS, redis=url, slots=2) as cluster:
        function = simpledist.worker_function(cluster.connect(), "increment", jobs.increment)
        list(function.map(range(2000)))
        parent = psutil.Process(cluster.workers[0].pid)
        template = parent.children()[0]
        children = template.children()
        return {
            "parent": _pss(parent.pid),
            "template": _pss(template.pid),
            "child": statistics.mean(_pss(one.pid) for one in children),
        }


def _pss(pid: int) -> float:
    with open(f"/proc/{pid}/smaps_rollup") as file:
        line = next(line for line in file if line.startswith("Pss:"))
    return int(line.split()[1]) / 1024
