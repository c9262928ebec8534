"""`make links`: a worker behind a real slow link, and what came of big values that went over it.

Two network namespaces, joined by a pair of virtual interfaces whose rate the kernel's token bucket holds (tc tbf):
Redis is in one, the worker in the other. The client speaks to Redis by its Unix socket. It takes root, `ip` and `tc`,
and three minutes. Ends with 1 where a healthy worker was given up, a call ran twice or at its caller, or a value is
wrong.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import simpledist
from simpledist.broker import Keys, Link
from simpledist.embedded import EmbeddedRedis
from tests.faults.conftest import ROOT, TARGETS
from tests.faults.functions import work
from tests.faults.history import offered, probe
from tests.links import open_link
from tests.waiting import wait_until

SERVER_ADDRESS, WORKER_ADDRESS, PORT = "10.213.57.1", "10.213.57.2", 6379
MEGABYTE = 1_000_000
SECONDS = 240.0
LOOK_SECONDS = 0.2  # so often the rows of the workers are read
LATENCY = "50ms"  # as long may bytes wait in the bucket's queue; what comes then is dropped, as by a router


@dataclass(frozen=True, slots=True)
class Case:
    """Calls that are made at once over a link of so many Mbit/s."""

    megabits: int
    what: str  # argument or result
    calls: int
    megabytes: int

    def futures(self, client: simpledist.Client, first: int) -> list[Any]:
        size, numbers = self.megabytes * MEGABYTE, range(first, first + self.calls)
        if self.what == "result":
            return [offered(client, "big", work.big).submit(n, size) for n in numbers]
        return [offered(client, "weigh", work.weigh).submit(n, bytes(size)) for n in numbers]

    def is_right(self, n: int, value: Any) -> bool:
        size = self.megabytes * MEGABYTE
        if self.what == "result":
            return value == n.to_bytes(8, "big") + bytes(size)
        return value[:2] == (n, size)


CASES = [
    Case(100, "argument", 1, 150),
    Case(100, "result", 1, 150),
    Case(10, "argument", 1, 15),
    Case(10, "result", 1, 15),
    Case(10, "argument", 8, 5),
    Case(10, "result", 8, 5),
]


def run(*command: str) -> None:
    subprocess.run(command, check=True)


class Joined:
    """Two namespaces and the link between them; use it in a `with` block."""

    def __init__(self) -> None:
        names = (f"sd{os.getpid()}s", f"sd{os.getpid()}w")
        self.server, self.worker = names

    def __enter__(self) -> Joined:
        for name in (self.server, self.worker):
            run("ip", "netns", "add", name)
        run(
            "ip",
            "link",
            "add",
            self.server,
            "netns",
            self.server,
            "type",
            "veth",
            "peer",
            self.worker,
            "netns",
            self.worker,
        )
        for name, address in ((self.server, SERVER_ADDRESS), (self.worker, WORKER_ADDRESS)):
            self._in(name, "ip", "address", "add", f"{address}/30", "dev", name)
            self._in(name, "ip", "link", "set", name, "up")
        return self

    def __exit__(self, *_: object) -> None:
        for name in (self.server, self.worker):
            run("ip", "netns", "delete", name)

    def set_rate(self, megabits: int) -> None:
        for name in (self.server, self.worker):
            rate = ("rate", f"{megabits}mbit", "burst", "32kb", "latency", LATENCY)
            self._in(name, "tc", "qdisc", "replace", "dev", name, "root", "tbf", *rate)

    @staticmethod
    def _in(name: str, *command: str) -> None:
        run("ip", "netns", "exec", name, *command)


@contextlib.contextmanager
def worker_of(namespace: str, arguments: Sequence[str], log: Path) -> Generator[subprocess.Popen[bytes]]:
    command = ["ip", "netns", "exec", namespace, sys.executable, "-m", "simpledist.cli.worker", *arguments]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, work.LOG_VARIABLE: str(log)}) as process:
        try:
            yield process
        finally:
            process.terminate()


def wait(futures: list[Any], link: Link) -> tuple[float, int]:
    """Return how long they took, and how many workers were given up for dead meanwhile."""
    began, dead, next_look = time.monotonic(), set[bytes](), 0.0

    def all_done() -> bool:
        nonlocal next_look
        if time.monotonic() >= next_look:
            next_look = time.monotonic() + LOOK_SECONDS
            rows = link.call("HGETALL", Keys().workers)
            dead.update(id for id, row in zip(rows[::2], rows[1::2], strict=True) if b'"dead"' in row)
        return all(future.done() for future in futures)

    with contextlib.suppress(AssertionError):  # the row says which calls have not ended
        wait_until(all_done, SECONDS, "the calls of a case end")
    return time.monotonic() - began, len(dead)


def row_of(case: Case, first: int, client: simpledist.Client, link: Link, log: Path, until: Path) -> tuple[str, bool]:
    """Make the calls of a case while another runs all the time; return its line, and whether it is well."""
    until.unlink(missing_ok=True)
    beside = offered(client, "linger").submit(first + 99, str(until))
    futures = case.futures(client, first)
    seconds, dead = wait(futures, link)
    until.touch()
    beside.exception(30)
    runs = work.runs(log)
    right = all(case.is_right(n, future.result(0)) for n, future in enumerate(futures, first) if future.done())
    remote = sum(future.info is not None and future.info.where == "remote" for future in [*futures, beside])
    second = sum(max(runs.get(n, 0) - 1, 0) for n in [*range(first, first + case.calls), first + 99])
    least = case.calls * case.megabytes * 8 / case.megabits
    values = f"{case.calls} x {case.megabytes} MB, {case.what}"
    took = f"{seconds:.0f} ({least:.0f} at least)"
    line = f"| {case.megabits} Mbit/s | {values} | {took} | {remote} of {case.calls + 1} | {second} | {dead} |"
    return line, (right, remote, second, dead) == (True, case.calls + 1, 0, 0)


def main() -> int:
    well = True
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sd-links-")))
        joined = stack.enter_context(Joined())
        program = folder / "redis-server"
        program.write_text(f'#!/bin/sh\nexec ip netns exec {joined.server} redis-server "$@"\n')
        program.chmod(0o700)
        outside = ("--bind", SERVER_ADDRESS, "--port", str(PORT), "--protected-mode", "no")
        redis = stack.enter_context(EmbeddedRedis(str(program), arguments=outside))
        secret, log = folder / "secret", folder / "runs"
        run(sys.executable, "-m", "simpledist.cli.main", "secret", str(secret))
        url = f"redis://{SERVER_ADDRESS}:{PORT}/0"
        arguments = ["--redis", url, "--secret-file", str(secret), "--log-level", "error", "--slots", "9", *TARGETS]
        stack.enter_context(worker_of(joined.worker, arguments, log))
        client = stack.enter_context(simpledist.connect(redis.url, secret_file=str(secret)))
        link = stack.enter_context(open_link(redis.url))
        probe(client, 30)
        print("| link | values | seconds | remote | second runs | given up for dead |\n|---|---|---|---|---|---|")
        for at, case in enumerate(CASES, 1):
            joined.set_rate(case.megabits)
            line, is_well = row_of(case, at * 1000, client, link, log, folder / "until")
            print(line, flush=True)
            well = well and is_well
    print("passed" if well else "FAILED")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
