"""Another Redis becomes the primary under calls: by REPLICAOF, by Sentinel's word, and because the old one is dead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from simpledist.broker import Link
from simpledist.embedded import EmbeddedRedis
from tests import servers
from tests.commands import complaint, run
from tests.faults.conftest import MakeCluster
from tests.faults.history import History, probe
from tests.faults.sentinels import Trio
from tests.waiting import wait_until


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[Trio]:
    with Trio(tmp_path) as one:
        yield one


@pytest.mark.parametrize("version", [servers.OLDEST, servers.NEWER])
def test_a_redis_that_becomes_a_replica_and_a_primary_again(
    make_cluster: MakeCluster, history: History, version: str
) -> None:
    binary = servers.server(version)
    with EmbeddedRedis(binary, port=0) as other, EmbeddedRedis(binary) as redis:
        cluster = make_cluster(redis=redis, workers=1, distributor=True)
        client = cluster.connect()
        probe(client)
        history.submit(client, range(60), 0.05)
        wait_until(lambda: len(history.open()) < 55, 10, "some have ended")
        operator = Link(redis.url, name="tests")
        operator.connect()
        operator.call("REPLICAOF", "127.0.0.1", str(other.port))
        wait_until(
            lambda: b"master_link_status:up" in operator.call("INFO", "replication"), 10, "it has the other's data"
        )
        refused = history.call(client, 100)
        assert (refused.where, refused.why) == ("local", "redis_down")
        patient = cluster.start_worker(ready=False)
        wait_until(lambda: "waiting for Redis" in patient.stderr_text(), 10, "a worker waits")
        operator.call("REPLICAOF", "NO", "ONE")
        operator.close()
        history.wait(30)
        assert set(history.where()) <= {"remote", "redis_down"}
        history.check(most_runs=3)
        probe(client)
        cluster.wait_ready(patient)
        for process in (*cluster.workers, *cluster.distributors):
            assert process.stderr_text().count("waiting for Redis") == 1, process.stderr_text()


def test_a_killed_primary_behind_sentinels(trio: Trio, make_cluster: MakeCluster, history: History) -> None:
    cluster = make_cluster(redis=trio.url, workers=1, distributor=True)
    client = cluster.connect()
    probe(client)
    history.submit(client, range(80), 0.05)
    wait_until(lambda: len(history.open()) < 75, 10, "some have ended")
    old = trio.primary
    old.kill()
    history.call(client, 100)
    trio.wait_promoted(old)
    probe(client)
    history.wait(30)
    assert set(history.where()) <= {"remote", "redis_down"}
    history.check(most_runs=3)


def test_a_failover_whose_old_primary_lives_on(trio: Trio, make_cluster: MakeCluster, history: History) -> None:
    cluster = make_cluster(redis=trio.url, workers=1)
    client = cluster.connect()
    probe(client)
    history.submit(client, range(80), 0.05)
    wait_until(lambda: len(history.open()) < 75, 10, "some have ended")
    trio.fail_over()
    probe(client)
    history.wait(30)
    assert set(history.where()) <= {"remote", "redis_down"}
    history.check(most_runs=3)
    # Commands reach it by the same URL, and with what is wrong in one they end by a line.
    doctor = run("doctor", "--redis", trio.url)
    assert f"primary at 127.0.0.1:{trio.primary.port}" in doctor.stdout, doctor.stdout
    unknown = complaint(run("status", "--redis", trio.url.replace("/main", "/other")))
    assert "knows no service 'other'" in unknown
    locked_out = complaint(run("status", "--redis", trio.url.replace("sentinel-word", "wrong")))
    assert "Sentinel" in locked_out
    assert "wrong" not in locked_out
