"""Functions that kill what runs them: two tries on workers, a throw-away child, then `FunctionCrashed`; alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from simpledist.cluster import Cluster
from simpledist.errors import FunctionCrashed
from tests.faults.conftest import ROOT
from tests.faults.functions import work
from tests.faults.history import History, offered, probe
from tests.waiting import wait_until


@pytest.mark.parametrize("how", ["exit", "segfault"])
def test_who_kills_its_process_kills_two_workers_children_and_a_throw_away_one(
    cluster: Cluster, history: History, tmp_path: Path, how: str
) -> None:
    workers = [cluster.start_worker(), cluster.start_worker()]
    with cluster.connect() as client:
        probe(client)
        until = tmp_path / "until"
        others = [offered(client, "linger").submit(n, str(until)) for n in (1, 2)]
        wait_until(lambda: len(work.runs(history.log)) == 2, 5, "one job runs on each of two slots")
        with pytest.raises(FunctionCrashed):
            offered(client, "die", work.die)(3, how)
        assert work.runs(history.log)[3] == 2, "the throw-away child has no log: its run is the third"
        until.touch()
        assert [future.result(20) for future in others] == [work.value_of(1), work.value_of(2)]
        assert [future.info.attempts for future in others if future.info] == [1, 1], "no one else was disturbed"
        assert all(worker.running for worker in workers)
        probe(client)


@pytest.mark.parametrize("how", ["parent", "group"])
def test_who_kills_its_template_is_stopped_after_two_and_ends_no_worker(
    cluster: Cluster, history: History, how: str
) -> None:
    worker = cluster.start_worker()
    with cluster.connect() as client:
        probe(client)
        for n in (1, 2):  # four templates die within the minute
            with pytest.raises(FunctionCrashed):
                offered(client, "die", work.die)(n, how)
            assert work.runs(history.log)[n] == 2
        assert worker.running
        probe(client)


def test_what_runs_beside_a_killer_of_templates_comes_to_its_own_outcome(cluster: Cluster, history: History) -> None:
    cluster.start_worker()
    with cluster.connect() as client:
        probe(client)
        entries = history.submit(client, range(10, 14), 0.5)
        wait_until(lambda: work.runs(history.log), 5, "some run")
        with pytest.raises(FunctionCrashed):
            offered(client, "die", work.die)(1, "parent")
        for future in entries:
            future.exception(30)
        history.check(most_runs=3)
        probe(client)


PROGRAM = """
import sys
import time

import simpledist
from tests.faults.functions import work

def local(n):
    work.note("home", n)
    time.sleep(60)

with simpledist.connect(sys.argv[1]) as client:
    simpledist.worker_function(client, "crash", local)(1)
"""


def test_a_throw_away_child_does_not_outlive_its_client(cluster: Cluster, history: History) -> None:
    cluster.start_worker()
    environment = {**os.environ, work.LOG_VARIABLE: str(history.log)}
    with subprocess.Popen([sys.executable, "-c", PROGRAM, cluster.url], cwd=ROOT, env=environment) as client:
        wait_until(lambda: history.log.exists() and "home 1 " in history.log.read_text(), 20, "it runs at home")
        throw_away = psutil.Process(int(history.log.read_text().split("home 1 ")[1].split()[0]))
        client.kill()
    wait_until(lambda: not throw_away.is_running(), 5, "it is gone")
