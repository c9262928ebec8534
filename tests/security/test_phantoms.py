"""Workers and clients that no one is: rows, offers and heartbeats that somebody wrote into Redis."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import simpledist
from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster
from tests.links import open_link
from tests.security.functions.counted import count
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
YEARS_MS = 10 * 365 * 86_400 * 1000
PHANTOM = "wphantom"


@pytest.fixture(params=[False, True], ids=["alone", "with a distributor"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with Cluster("tests.security.functions.counted", slots=1, folder=ROOT, distributor=request.param) as one:
        yield one


@pytest.fixture
def thief(cluster: Cluster) -> Iterator[Link]:
    with open_link(cluster.url) as link:
        yield link


def copied_as_phantom(thief: Link, worker: str) -> None:
    """All that Redis holds of a worker, under another name, with a heartbeat ten years ahead."""
    keys = Keys()
    offer, row = thief.call("HGET", keys.named("offers", "count"), worker), thief.call("HGET", keys.workers, worker)
    now_ms = int(thief.call("TIME")[0]) * 1000
    thief.call("HSET", keys.named("offers", "count"), PHANTOM, offer)
    thief.call("HSET", keys.workers, PHANTOM, row)
    thief.call("HSET", keys.heartbeats, PHANTOM, now_ms + YEARS_MS)


@pytest.mark.parametrize("has_row", [True, False])
def test_a_worker_with_a_heartbeat_of_the_future_keeps_no_call(
    cluster: Cluster, thief: Link, tmp_path: Path, has_row: bool
) -> None:
    keys = Keys()
    with cluster.connect() as client:
        function = simpledist.worker_function(client, "count", count)
        assert function(str(tmp_path / "before")) == 1
        copied_as_phantom(thief, cluster.workers[0].id)
        if not has_row:
            thief.call("HDEL", keys.workers, PHANTOM)
        cluster.workers[0].stop()
        thief.call("HSET", keys.named("meta", "count"), "idle", f"{PHANTOM} 0", "witness", PHANTOM)
        began = time.monotonic()
        future = function.submit(str(tmp_path / "runs"))
        others = [function.submit(str(tmp_path / "runs")) for _ in range(3)]
        assert {one.result(25) for one in [future, *others]} == {1, 2, 3, 4}
        assert time.monotonic() - began < 20
        assert {one.info.where for one in [future, *others] if one.info} == {"local"}
        began = time.monotonic()
        assert function(str(tmp_path / "runs")) == 5
        assert time.monotonic() - began < 1, "it is known that no one is there"


def test_a_heartbeat_of_the_future_harms_no_worker_that_lives(cluster: Cluster, thief: Link, tmp_path: Path) -> None:
    keys, worker = Keys(), cluster.workers[0]
    with cluster.connect() as client:
        function = simpledist.worker_function(client, "count", count)
        assert function(str(tmp_path / "runs")) == 1
        until = tmp_path / "until"
        future = function.submit(str(tmp_path / "runs"), str(until))
        for _ in range(3):
            now_ms = int(thief.call("TIME")[0]) * 1000
            thief.call("HSET", keys.heartbeats, worker.id, now_ms + YEARS_MS)
            wait_until(lambda n=now_ms: int(thief.call("HGET", keys.heartbeats, worker.id)) < n + 60_000, 5, "it beats")
        until.touch()
        assert future.result(10) == 2
        assert future.info is not None
        assert (future.info.where, future.info.attempts) == ("remote", 1)
    assert "dead" not in json.loads(thief.call("HGET", keys.workers, worker.id))


def test_a_client_whose_last_sign_of_life_is_in_the_future_keeps_no_job(cluster: Cluster, thief: Link) -> None:
    keys = Keys()
    now_ms = int(thief.call("TIME")[0]) * 1000
    thief.call("HSET", keys.clients, "cphantom", f"{now_ms + YEARS_MS} run:1 protocol:3")
    with cluster.connect() as client:  # its nudges look at other clients
        function = simpledist.worker_function(client, "count", count)
        future = function.submit("/dev/null", "/nowhere")

        def of_now() -> bool:
            row = thief.call("HGET", keys.clients, "cphantom")
            return row is None or int(row.split()[0]) < now_ms + 60_000

        wait_until(of_now, 10, "its sign of life counts as one of now")
        future.cancel()
