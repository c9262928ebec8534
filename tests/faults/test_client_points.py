"""A client struck at each named point of a call's way: dead, no one works for it; held up, its calls end as due."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import simpledist
from simpledist import faultpoints
from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster
from tests.faults.functions import work
from tests.faults.history import History, probe
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
GONE_SECONDS = 5.0  # a dead client's jobs are dropped and stopped within

# The point, and at which passing of it there is something in flight.
POINTS = {"client.submitting": 2, "client.submitted": 2, "client.replied": 1, "client.nudging": 2}

# A plain call each for the points of the caller's own thread; futures for those of the listener.
PROGRAM = """
import sys
import simpledist
from tests.faults.functions import work

with simpledist.connect(sys.argv[1]) as client:
    function = simpledist.worker_function(client, "work", work.work)
    futures = [function.submit(n, 0.4) for n in range(21, 27)]
    print(function(1), function(2, 1.2), *(future.result() for future in futures))
"""


def program(cluster: Cluster, fault: str) -> subprocess.Popen[str]:
    environment = {**os.environ, faultpoints.VARIABLE: fault}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, cluster.url], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(("point", "turn"), POINTS.items())
def test_no_one_works_for_a_client_killed_at_a_point(
    cluster: Cluster, client: simpledist.Client, link: Link, history: History, point: str, turn: int
) -> None:
    cluster.start_worker()
    cluster.start_distributor()
    probe(client)
    with program(cluster, f"{point}:kill@{turn}") as killed:
        assert killed.communicate(timeout=30)[0] == ""
    assert killed.returncode == -9
    keys = Keys()
    of_jobs = [keys.named("queued", "work"), keys.named("current", "work")]
    wait_until(lambda: not link.call("EXISTS", *of_jobs), GONE_SECONDS, "nothing waits or runs for it")
    wait_until(lambda: link.call("HLEN", keys.clients) == 1, GONE_SECONDS, "it is forgotten")
    assert max(work.runs(history.log).values(), default=0) <= 1
    probe(client)


def test_a_client_held_up_at_every_point_comes_to_its_outcomes(
    cluster: Cluster, client: simpledist.Client, history: History
) -> None:
    cluster.start_worker()
    probe(client)
    faults = ",".join(f"{point}:pause=1.5@{turn}" for point, turn in POINTS.items())
    with program(cluster, faults) as slow:
        values = slow.communicate(timeout=60)[0]
    assert slow.returncode == 0
    assert values.split("value of ")[1:] == [f"{n} " for n in (1, 2, *range(21, 26))] + ["26\n"]
    assert set(work.runs(history.log).values()) == {1}
    probe(client)


def test_every_point_of_a_client_is_struck() -> None:
    assert set(POINTS) == {point for point in faultpoints.POINTS if point.startswith("client.")}
