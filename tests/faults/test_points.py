"""Worker and child struck at each named point of a job's way, by a kill or by a long pause."""

from __future__ import annotations

import pytest

from simpledist import faultpoints
from tests.faults.conftest import MakeCluster
from tests.faults.history import History, probe
from tests.waiting import wait_until

# The point, and how often the job may have begun in the end.
WORKER_POINTS = {
    "worker.popped": 1,
    "worker.claimed": 1,
    "worker.begun": 2,
    "worker.ended": 2,
    "worker.completed": 1,
}


@pytest.mark.parametrize(("point", "most_runs"), WORKER_POINTS.items())
def test_a_worker_killed_at_a_point_loses_nothing(
    make_cluster: MakeCluster, history: History, point: str, most_runs: int
) -> None:
    cluster = make_cluster(slots=1)
    client = cluster.connect()
    victim = cluster.start_worker(environment={faultpoints.VARIABLE: f"{point}:kill"})
    history.submit(client, range(1, 4))
    wait_until(lambda: not victim.running, 10, "it is killed at its point")
    cluster.start_worker()
    history.wait(10)
    history.check(most_runs=most_runs)
    probe(client)


def test_a_worker_that_pauses_between_pop_and_claim_finds_its_job_pushed_back(
    make_cluster: MakeCluster, history: History
) -> None:
    cluster = make_cluster()
    cluster.start_worker(environment={faultpoints.VARIABLE: "worker.popped:pause=2.5"})
    client = cluster.connect()
    history.submit(client, range(1, 4))
    history.wait(10)
    assert set(history.where()) == {"remote"}
    history.check(most_runs=1)
    probe(client)


@pytest.mark.parametrize("point", ["child.begins", "child.ends"])
def test_children_that_die_at_a_point_are_no_reason_to_raise(
    make_cluster: MakeCluster, history: History, point: str
) -> None:
    cluster = make_cluster()
    worker = cluster.start_worker(environment={faultpoints.VARIABLE: f"{point}:kill"})
    client = cluster.connect()
    entry = history.call(client, 1)
    assert (entry.where, entry.why) == ("local", "crashed")
    assert worker.running
    history.check(most_runs=3)
    worker.stop()
    cluster.start_worker()
    probe(client)


def test_a_worker_killed_while_it_drains_gives_its_jobs_back_all_the_same(
    make_cluster: MakeCluster, history: History
) -> None:
    cluster = make_cluster()
    victim = cluster.start_worker(environment={faultpoints.VARIABLE: "worker.draining:kill"})
    client = cluster.connect()
    history.submit(client, range(1, 3), 1.0)
    wait_until(lambda: victim.id and "begins" in history.log.read_text() if history.log.exists() else False, 5, "runs")
    cluster.start_worker()
    assert victim.stop() == -9
    history.wait(10)
    assert set(history.where()) == {"remote"}
    history.check(most_runs=2)
    probe(client)
