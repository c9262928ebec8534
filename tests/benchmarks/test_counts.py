"""What a call costs in commands, reads and bytes: counts, not times, so that a busy machine changes nothing.

A bound is what was reached, with a little room for a nudge or a beat that comes in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psutil
import pytest

import simpledist
from simpledist.broker import Link
from simpledist.cluster import Cluster
from tests import standing
from tests.integration.conftest import FUNCTIONS
from tests.integration.functions import farm
from tests.waiting import wait_until

# What a script calls is counted by Redis under its own name; these come from outside only.
OUTSIDE = ("evalsha", "eval", "blpop")

# A tenth of a command a job is the aim; reached are 0.02 and 0.005, at 70 bytes a job in each direction.
SUBMIT_COMMANDS, MAP_COMMANDS = 0.1, 0.05
BYTES = 250


@dataclass(frozen=True)
class Counts:
    """What Redis counted while something was done."""

    commands: int  # from outside: each of them a part of a round trip
    reads: int  # of a socket by Redis: round trips, as it sees them
    bytes_in: int
    bytes_out: int


class Meter:
    """Reads Redis' own counters over a connection of its own."""

    def __init__(self, url: str) -> None:
        self.link = Link(url, name="tests")
        self.link.connect()

    def counts(self) -> Counts:
        commands = self._info("commandstats")
        stats = self._info("stats")
        outside = [commands.get(f"cmdstat_{name}", "calls=0,") for name in OUTSIDE]
        return Counts(
            commands=sum(int(one.partition("=")[2].partition(",")[0]) for one in outside),
            reads=int(stats["total_reads_processed"]),
            bytes_in=int(stats["total_net_input_bytes"]),
            bytes_out=int(stats["total_net_output_bytes"]),
        )

    def of(self, act: Callable[[], object]) -> Counts:
        idle = self._between(lambda: None)
        done = self._between(act)
        return Counts(
            commands=done.commands - idle.commands,
            reads=done.reads - idle.reads,
            bytes_in=done.bytes_in - idle.bytes_in,
            bytes_out=done.bytes_out - idle.bytes_out,
        )

    def _between(self, act: Callable[[], object]) -> Counts:
        before = self.counts()
        act()
        after = self.counts()
        return Counts(
            commands=after.commands - before.commands,
            reads=after.reads - before.reads,
            bytes_in=after.bytes_in - before.bytes_in,
            bytes_out=after.bytes_out - before.bytes_out,
        )

    def _info(self, section: str) -> dict[str, str]:
        lines = self.link.call("INFO", section).decode().splitlines()
        return {key: value for key, colon, value in (line.partition(":") for line in lines) if colon}


@pytest.fixture(scope="module")
def quiet_cluster() -> Iterator[Cluster]:
    with Cluster("farm:echo", slots=2, folder=FUNCTIONS) as one:
        standing.roots.add(one.workers[0].pid)
        yield one
        standing.roots.discard(one.workers[0].pid)


@pytest.fixture
def meter(quiet_cluster: Cluster) -> Iterator[Meter]:
    one = Meter(quiet_cluster.url)
    yield one
    one.link.close()


@pytest.fixture
def echo(quiet_cluster: Cluster) -> Iterator[Any]:
    with quiet_cluster.connect() as client:
        function: Any = simpledist.worker_function(client, "echo", farm.echo)
        assert [function(i) for i in range(100)] == list(range(100))  # now it is known to be quick
        yield function


def test_a_single_call(meter: Meter, echo: Any) -> None:
    number = 200
    counts = meter.of(lambda: [echo(i) for i in range(number)])
    # submit and the client's pop in one write, the worker's pop, complete; a call that is slow to come back is one more
    # for the listener.
    assert counts.commands / number <= 4.6
    assert counts.reads / number <= 3.8
    assert counts.bytes_in / number <= 1150
    assert counts.bytes_out / number <= 550


def test_submits_in_a_loop(meter: Meter, echo: Any) -> None:
    number = 3000

    def act() -> None:
        futures = [echo.submit(i) for i in range(number)]
        assert [future.result() for future in futures] == list(range(number))

    counts = meter.of(act)
    assert counts.commands / number <= SUBMIT_COMMANDS
    assert counts.bytes_in / number <= BYTES
    assert counts.bytes_out / number <= BYTES


def test_a_map(meter: Meter, echo: Any) -> None:
    number = 5000
    counts = meter.of(lambda: list(echo.map(range(number))))
    assert counts.commands / number <= MAP_COMMANDS
    assert counts.bytes_in / number <= BYTES
    assert counts.bytes_out / number <= BYTES


def test_an_idle_worker_asks_once_a_second_at_most(quiet_cluster: Cluster, meter: Meter) -> None:
    process = psutil.Process(quiet_cluster.workers[0].pid)
    beats = quiet_cluster.workers[0].id

    def beat() -> bytes:
        return meter.link.call("HGET", "simpledist:heartbeats", beats)

    def next_beat() -> int:
        last = beat()
        wait_until(lambda: beat() != last, 10.0, "the next beat")
        return int(beat())

    first = next_beat()  # from beat to beat: whole periods
    cpu, commands = sum(process.cpu_times()[:2]), meter.counts().commands
    seconds = ([next_beat() for _ in range(3)][-1] - first) / 1000
    assert (meter.counts().commands - commands) / seconds <= 1.0
    assert (sum(process.cpu_times()[:2]) - cpu) / seconds < 0.01
