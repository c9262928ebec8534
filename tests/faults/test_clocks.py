"""Wall clocks that are wrong or jump: of workers, of a client, of Redis itself. Only Redis' counts, and it may jump."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import simpledist
from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster
from simpledist.embedded import EmbeddedRedis
from tests import servers
from tests.faults.clocks import Clock
from tests.faults.conftest import ROOT, MakeCluster
from tests.faults.functions import work
from tests.faults.history import History, probe
from tests.waiting import wait_until

HOUR = 3600.0


def test_workers_and_a_distributor_whose_clocks_are_off_or_jump(
    make_cluster: MakeCluster, history: History, tmp_path: Path
) -> None:
    distributors = Clock(tmp_path / "distributor", "-5h")
    cluster = make_cluster(environment=distributors.environment, distributor=True)
    future, jumping = Clock(tmp_path / "future", "+3650d"), Clock(tmp_path / "jumping")
    workers = [cluster.start_worker(environment=clock.environment) for clock in (future, jumping)]
    client = cluster.connect()
    probe(client)
    history.submit(client, range(100), 0.05)
    for left, offset in ((80, "+2h"), (60, "-1h"), (40, "-3650d"), (20, "+0")):
        wait_until(lambda most=left: len(history.open()) < most, 20, "some have ended")
        jumping.jump(offset)
    history.wait(20)
    assert set(history.where()) == {"remote"}
    history.check(most_runs=1)
    link = Link(cluster.url, name="tests")
    link.connect()
    rows = [json.loads(link.call("HGET", Keys().workers, worker.id)) for worker in workers]
    link.close()
    assert not any("dead" in row for row in rows), rows
    assert rows[0]["started"] / 1000 > time.time() + 3000 * 24 * HOUR, "its clock was off"
    probe(client)


def test_a_client_whose_clock_jumps(cluster: Cluster, history: History, tmp_path: Path) -> None:
    cluster.start_worker()
    clock = Clock(tmp_path / "clock", "-3650d")
    program = [sys.executable, "-m", "tests.faults.programs.calling", cluster.url, "0", "8", "0.05"]
    environment = {**os.environ, **clock.environment}
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as process:
        assert process.stdout is not None
        lines: list[dict[str, object]] = []
        for line in process.stdout:
            lines.append(json.loads(line))
            clock.jump({2: "+2h", 4: "-1h", 6: "+3650d"}.get(len(lines), "+0"))
    assert process.returncode == 0
    assert [one["came"] for one in lines] == [
        repr(work.Wrong(n)) if n % 7 == 6 else repr(work.value_of(n)) for n in range(8)
    ]
    assert {one["where"] for one in lines} == {"remote"}
    assert all(0 <= float(str(one[name])) < 10 for one in lines for name in ("queued_seconds", "run_seconds")), lines
    assert max(float(str(one["clock"])) for one in lines) > time.time() + 3000 * 24 * HOUR, "its clock jumped"
    assert max(work.runs(history.log).values()) == 1
    probe(cluster.connect())


@pytest.fixture
def jumping_redis(tmp_path: Path) -> Iterator[tuple[EmbeddedRedis, Clock]]:
    clock = Clock(tmp_path / "clock")
    binary = servers.server(servers.OLDEST)  # Debian's, with jemalloc, clashes with libfaketime
    with pytest.MonkeyPatch.context() as patch:
        for name, value in clock.environment.items():
            patch.setenv(name, value)
        redis = EmbeddedRedis(binary).start()
    with redis:
        yield redis, clock


# It ends at its latest time: keys that were made there would live too long for anyone who looks from an earlier one.
@pytest.mark.parametrize("offsets", [["+60s"], ["-60s", "+0"]], ids=["forth", "back and forth"])
def test_redis_own_clock_jumps(
    jumping_redis: tuple[EmbeddedRedis, Clock], make_cluster: MakeCluster, history: History, offsets: list[str]
) -> None:
    redis, clock = jumping_redis
    cluster = make_cluster(redis=redis, workers=2)
    client = cluster.connect()
    probe(client)
    history.submit(client, range(60), 0.05)
    for left, offset in zip((50, 30), offsets, strict=False):
        wait_until(lambda most=left: len(history.open()) < most, 20, "some have ended")
        before = _redis_seconds(redis.url)
        clock.jump(offset)
        assert abs(_redis_seconds(redis.url) - before) > 50
    history.wait(30)
    assert set(history.where()) <= {"remote", "no_worker"}
    history.check(most_runs=3)
    probe(client)


# Only back: what goes forth ends the lives of keys, and the workers' too.
@pytest.mark.parametrize("offset", ["-2h", "-2d"])
def test_joined_and_cached_calls_while_redis_own_clock_jumps(
    jumping_redis: tuple[EmbeddedRedis, Clock], make_cluster: MakeCluster, history: History, offset: str
) -> None:
    """Their outcomes carry a time: before, across and after the jump each call comes to its own value."""
    redis, clock = jumping_redis
    cluster = make_cluster(redis=redis, workers=2)
    client = cluster.connect()
    probe(client)
    function = simpledist.worker_function(client, "work", work.work, join=True, cache=30)
    numbers = [n for n in range(100, 140) if n % 7 != 6]
    futures = [function.submit(n, 0.2) for n in numbers]
    wait_until(lambda: sum(future.done() for future in futures) > 4, 20, "some have ended")
    clock.jump(offset)
    futures += [function.submit(n, 0.2) for n in numbers]
    assert [future.result(30) for future in futures] == [work.value_of(n) for n in numbers] * 2
    assert {future.info.where for future in futures if future.info} == {"remote"}
    assert [function(n, 0.2) for n in numbers[:5]] == [work.value_of(n) for n in numbers[:5]]
    probe(client)
    function.cache_clear()
    clock.jump("+0")  # keys that were made now would seem to live too long from an earlier time


def _redis_seconds(url: str) -> int:
    link = Link(url, name="tests")
    link.connect()
    seconds = int(link.call("TIME")[0])
    link.close()
    return seconds
