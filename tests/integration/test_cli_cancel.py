"""An operator's cancel: the job leaves the cluster, and its caller still has its one outcome."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

import simpledist
from simpledist.cluster import Cluster
from simpledist.monitor import Monitor
from tests.commands import complaint, run
from tests.integration.functions import farm
from tests.stage import Stage
from tests.waiting import wait_until

HERE = "here"


def at_home(_: object) -> str:
    """What a caller runs itself, so that a local run shows."""
    return HERE


@pytest.fixture
def monitor(cluster: Cluster) -> Iterator[Monitor]:
    one = Monitor.connect(cluster.url, keep_seconds=0)
    yield one
    one.close()


def cancel(cluster: Cluster, *ids: str) -> subprocess.CompletedProcess[str]:
    return run("cancel", "--redis", cluster.url, *ids)


def test_a_running_job_stops_on_its_worker_and_runs_at_its_caller(
    cluster: Cluster, client: simpledist.Client, monitor: Monitor
) -> None:
    sleep = simpledist.worker_function(client, "sleep", at_home)
    future = sleep.submit(60.0)
    wait_until(lambda: monitor.snapshot().running, 5, "the job's begin")
    id = monitor.snapshot().running[0].id
    done = cancel(cluster, id)
    assert (done.stdout, done.stderr, done.returncode) == (f"{id} is called off\n", "", 0)
    assert future.result(5) == HERE
    assert future.info is not None
    assert (future.info.where, future.info.why) == ("local", "called_off")
    assert not future.cancelled()
    wait_until(lambda: not monitor.snapshot().running, 2, "the end of the job on its worker")
    echo = simpledist.worker_function(client, "echo", farm.echo)
    assert [echo.submit(n).result(5) for n in range(4)] == [0, 1, 2, 3], "its slot works again"


def test_a_queued_job_runs_at_its_caller_and_nowhere_else(
    cluster: Cluster, client: simpledist.Client, monitor: Monitor
) -> None:
    blocked = simpledist.worker_function(client, "sleep", farm.sleep)
    first = [blocked.submit(60.0) for _ in range(2)]
    wait_until(lambda: len(monitor.snapshot().running) == 2, 5, "two busy slots")
    echo = simpledist.worker_function(client, "echo", at_home)
    future = echo.submit("there")
    done = cancel(cluster, future.call.id, future.call.id)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{future.call.id} is called off\n", "named twice, done once"
    assert future.result(5) == HERE
    assert all(one.cancel() for one in first)
    wait_until(lambda: not monitor.snapshot().running, 5, "the end of the two")


def test_what_has_ended_and_what_is_not_known_is_said_and_the_exit_code_is_1(own_cluster: Cluster) -> None:
    stage = Stage(own_cluster.redis)
    stage.worker()
    (ended,) = stage.run()  # no one has read its outcome, so it is still there
    done = cancel(own_cluster, ended)
    stage.broker.ack("c1", [ended])
    stage.broker.leave("w1", final=True)
    stage.close()
    assert "ended already" in complaint(done)
    assert done.returncode == 1
    done = cancel(own_cluster, "nonsense")
    assert complaint(done) == (
        "simpledist cancel: nonsense: no such job is queued or running (simpledist jobs lists them)"
    )
    assert done.returncode == 1


def test_without_a_redis_it_is_one_line_and_the_exit_code_is_1() -> None:
    done = run("cancel", "--redis", "unix:///nowhere/redis.sock", "x-1")
    assert complaint(done).startswith("simpledist: Redis at unix:///nowhere/redis.sock cannot be reached: ")
    assert done.returncode == 1
