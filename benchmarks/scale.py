"""What one machine cannot hold, simulated over the real verbs: 10,000 workers, 1,000 clients, 1,000,000 queued jobs.

    python -m benchmarks.scale [--jobs N] [--workers N]

A small cluster and the big one live in one server, each in a namespace; every step is done in both in turn, so that a
busy moment of the machine hits both. Costs are CPU of the Redis process, scripts and sockets, as Linux counts
it in nanoseconds. docs/scale.md says what came out.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psutil

from simpledist.broker import Broker, Keys, Link
from simpledist.broker.records import Claimed, Ended, Wish
from simpledist.distributor.duties import Duties
from simpledist.embedded import EmbeddedRedis

FUNCTIONS = 300
OFFERED = 10  # functions that each worker offers; one offers them all
EVERYWHERE = "everywhere"  # a function that every worker offers
CALL = b"x" * 100
BEAT_SECONDS = 2.5
SLOW_US = 10_000


@dataclass(frozen=True)
class Size:
    workers: int
    clients: int
    functions: int
    jobs: int


SMALL = Size(1, 1, 1, 1000)


class Simulation:
    """A cluster that consists of rows, ledgers and one connection."""

    def __init__(self, server: EmbeddedRedis, size: Size, namespace: str) -> None:
        self.size = size
        self.link = Link(server.url, name="benchmarks")
        self.link.connect()
        self.broker = Broker(self.link, Keys(namespace))
        self.process = psutil.Process(server.pid)
        self.clients = [f"{i:016x}" for i in range(size.clients)]
        self.functions = [f"f{i}" for i in range(size.functions)]
        self._numbers = 0
        self._nonces = 0
        self._alive_until = 0.0
        self._last = "", list[str]()

    def fill(self) -> None:
        self.call("CONFIG", "SET", "slowlog-log-slower-than", str(SLOW_US))
        self.call("CONFIG", "SET", "slowlog-max-len", "1000")
        for i in range(self.size.workers):
            self.beat(i, register=True)
        spread = self.size.jobs // 3 // self.size.functions
        for function in self.functions[1:]:
            self.stay_alive()
            self.submit(spread, function=function)
        while self.queued() < self.size.jobs:
            self.stay_alive()
            self.submit(1000)

    def stay_alive(self) -> None:
        """The worker that works beats, and every client is heard of, often enough to be served."""
        self.beat(0)
        if time.monotonic() > self._alive_until:
            self._alive_until = time.monotonic() + 20.0
            for client in self.clients:
                self.broker.nudge(client, self.link.identity, [])

    def queued(self) -> int:
        names = [("ZCARD", self.broker.keys.named("queued", function)) for function in self.functions]
        return sum(cast("list[int]", self.link.pipeline(names)))

    def call(self, *command: str) -> Any:
        return self.link.call(*command)

    # --- steps ---------------------------------------------------------------------------------------------------

    def beat(self, number: int, *, register: bool = False) -> None:
        connection = self.link.identity  # an open one: closed ones make suspects
        offered = [self.functions[(number + k) % len(self.functions)] for k in range(OFFERED if number else FUNCTIONS)]
        offered = [*dict.fromkeys(offered), EVERYWHERE]
        row = {"host": "here", "pid": number, "functions": offered, "slots": 8, "connection": connection}
        known = not register and self.broker.beat(f"w{number}", connection, []).known
        if not known:  # new, or silent for so long that a nudge has expelled it
            self.broker.beat(f"w{number}", connection, [], row, offered)

    def submit(self, number: int, *, function: str = "f0") -> None:
        client = self.clients[self._numbers // 1000 % len(self.clients)]
        calls = [(f"{client}-{self._numbers + i}", CALL) for i in range(number)]
        self._numbers += number
        self._last = client, [id for id, _ in calls[-100:]]
        words = self.broker.submit(function, client, self.link.identity, calls).words
        assert set(words) == {"queued"}

    def submit_in_vain(self) -> None:
        """Submit a call that is signed by a key that no worker has."""
        wish = Wish(key="f" * 8)
        calls = [(f"{self.clients[0]}-x", CALL)]
        (word,) = self.broker.submit(EVERYWHERE, self.clients[0], self.link.identity, calls, wish=wish).words
        assert str(word).startswith("key ")

    def claim(self, number: int) -> list[Claimed]:
        self._nonces += 1
        return self.broker.claim("w0", f"n{self._nonces}", "f0", [], range(number))

    def complete(self, claimed: list[Claimed]) -> None:
        self._nonces += 1
        ended = [Ended(one.held, "value", CALL, 5) for one in claimed]
        words, _ = self.broker.complete("w0", f"n{self._nonces}", ended)
        assert set(words) == {"succeeded"}

    def ack(self, claimed: list[Claimed]) -> None:
        by_client: dict[str, list[str]] = {}
        for one in claimed:
            by_client.setdefault(one.held.id.partition("-")[0], []).append(one.held.id)
        for client, ids in by_client.items():
            self.broker.ack(client, ids)
            self.call("DEL", self.broker.keys.reply(client))

    def nudge(self) -> None:
        client, ids = self._last
        self.broker.nudge(client, self.link.identity, [("f0", id) for id in ids])

    # --- what it costs -------------------------------------------------------------------------------------------

    def cpu_us(self) -> float:
        """CPU that the server has used so far."""
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0]) / 1000


def measure(sims: list[Simulation], step: Callable[[Simulation], object], *, times: int, jobs: int) -> list[float]:
    """Microseconds of Redis a job for each simulation: the median of `times` steps, done in turn."""
    found: list[list[float]] = [[] for _ in sims]
    for _ in range(times):
        for index, sim in enumerate(sims):
            sim.stay_alive()
            before = sim.cpu_us()
            step(sim)
            found[index].append((sim.cpu_us() - before) / jobs)
    return [statistics.median(numbers) for numbers in found]


def compare(name: str, sims: list[Simulation], step: Callable[[Simulation], object], *, times: int, jobs: int) -> None:
    small, big = measure(sims, step, times=times, jobs=jobs)
    print(f"{name:44} {small:9.1f} {big:9.1f} us   x{big / small:.2f}", flush=True)


def beats(sims: list[Simulation]) -> None:
    """What part of a core Redis needs for the beats of all workers."""
    for sim in sims:
        for i in range(sim.size.workers):
            sim.beat(i)
    costs = measure(sims, lambda sim: [sim.beat(i) for i in range(min(sim.size.workers, 1000))], times=10, jobs=1)
    for sim, cost in zip(sims, costs, strict=True):
        each = cost / min(sim.size.workers, 1000)
        share = each * sim.size.workers / BEAT_SECONDS / 1e6
        print(f"beats of {sim.size.workers} workers: {each:.1f} us each, {share:.1%} of a core", flush=True)


def ticks(sim: Simulation, times: int) -> None:
    """One pass over the duties: how long it takes, and how much of that Redis works."""
    for i in range(sim.size.workers):
        sim.beat(i)
    duties = Duties(sim.broker)
    seconds: list[float] = []
    redis: list[float] = []
    for _ in range(times):
        time.sleep(0.25)
        sim.stay_alive()
        before, began = sim.cpu_us(), time.perf_counter()
        duties.do()
        seconds.append(time.perf_counter() - began)
        redis.append((sim.cpu_us() - before) / 1e6)
    told = ", of which Redis ".join(
        f"{1000 * statistics.median(numbers):.1f} (most: {1000 * max(numbers):.1f})" for numbers in (seconds, redis)
    )
    print(f"duties tick, ms: {told}", flush=True)


def batch(sim: Simulation, number: int) -> None:
    sim.submit(number)
    claimed = sim.claim(number)
    sim.complete(claimed)
    sim.ack(claimed)


def _submit_and_nudge(sim: Simulation) -> None:
    sim.submit(100)
    sim.nudge()


SINGLE: dict[str, Callable[[Simulation], object]] = {
    "PING, for comparison": lambda sim: sim.call("PING"),
    "submit, one": lambda sim: sim.submit(1),
    "claim, one": lambda sim: sim.claim(1),
    "submit, claim, complete, ack, one": lambda sim: batch(sim, 1),
}


def main() -> None:
    options = _options()
    big_size = Size(options.workers, 1000, FUNCTIONS, options.jobs)
    with EmbeddedRedis(port=0, arguments=("--save", "")) as server:
        small, big = Simulation(server, SMALL, "small"), Simulation(server, big_size, "big")
        sims = [small, big]
        for sim in sims:
            began = time.perf_counter()
            sim.fill()
            used = float(_info(sim, "used_memory")) / sim.size.jobs
            print(f"{sim.size}: filled in {time.perf_counter() - began:.0f} s, {used:,.0f} bytes of Redis a queued job")
        print(f"{'CPU of Redis a job':44} {'small':>9} {'big':>9}")
        for name, step in SINGLE.items():
            compare(name, sims, lambda sim, step=step: [step(sim) for _ in range(50)], times=11, jobs=50)
        compare("submit, claim, complete, ack, by 100", sims, lambda sim: batch(sim, 100), times=41, jobs=100)
        compare("submit 100 and nudge for them", sims, _submit_and_nudge, times=30, jobs=100)
        beats(sims)
        in_vain = "submit a call that no worker can open"
        compare(in_vain, sims, lambda sim: [sim.submit_in_vain() for _ in range(50)], times=11, jobs=50)
        ticks(big, 30)
        print(f"slower than {SLOW_US / 1000:g} ms: {_slow(big)}")
        for sim in sims:
            sim.link.close()


def _info(sim: Simulation, field: str) -> str:
    text = cast(bytes, sim.call("INFO")).decode()
    return next(line.partition(":")[2] for line in text.splitlines() if line.startswith(field + ":"))


def _slow(sim: Simulation) -> dict[str, int]:
    """Entries of Redis' slow log by command."""
    found: dict[str, int] = {}
    for entry in cast("list[Any]", sim.call("SLOWLOG", "GET", "1000")):
        name = cast(bytes, entry[3][0]).decode()
        found[name] = found.get(name, 0) + 1
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.scale")
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=10_000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
