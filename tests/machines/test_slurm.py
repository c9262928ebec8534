"""The job array of deploy/slurm under a real Slurm: it serves, follows its time limit, and drains at a word."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import simpledist
from simpledist.cluster import Cluster
from simpledist.monitor import Monitor, WorkerState
from simpledist.wire.key_file import new_secret
from tests.deploy.files import DEPLOY
from tests.integration.conftest import FUNCTIONS
from tests.integration.functions import farm
from tests.machines.slurm import Slurm, slurm
from tests.waiting import wait_until

FILE = str(DEPLOY / "slurm" / "workers.sbatch")
START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Array:
    """A cluster without workers, and a Slurm that may start some for it."""

    slurm: Slurm
    cluster: Cluster
    monitor: Monitor
    key: Path
    folder: Path

    def submit(self, *words: str) -> int:
        """Submit as a person does: from the folder with the modules, with address and key set."""
        surroundings = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "SIMPLEDIST_REDIS_URL": self.cluster.url,
            "SIMPLEDIST_SECRET_FILE": str(self.key),
        }
        return self.slurm.submit(f"--output={self.folder}/%A_%a.log", *words, cwd=FUNCTIONS, more=surroundings)

    def wrapped(self, *words: str, options: str) -> int:
        """Submit a job of one worker with these options."""
        return self.submit(*words, "--wrap", f"exec srun simpledist-worker farm --slots 1 {options}")

    def workers(self) -> list[WorkerState]:
        return [one for one in self.monitor.snapshot().workers if one.live]

    def wait_for(self, number: int) -> list[WorkerState]:
        wait_until(lambda: len(self.workers()) == number, START_SECONDS, f"{number} workers")
        return self.workers()

    def wait_for_end(self, job: int, seconds: float) -> float:
        """Return after how many seconds the last task of a job had ended."""
        return wait_until(lambda: not self.slurm.states(job), seconds, f"the end of job {job}")

    def output(self) -> str:
        return "".join(path.read_text() for path in self.folder.glob("*.log"))


@pytest.fixture(scope="module")
def own_slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    with slurm(tmp_path_factory.mktemp("slurm")) as one:
        yield one


@pytest.fixture
def array(own_slurm: Slurm, tmp_path: Path) -> Iterator[Array]:
    key = tmp_path / "key"
    key.touch(0o600)
    key.write_text(new_secret())
    with Cluster(folder=FUNCTIONS, secret_file=str(key)) as cluster:
        monitor = Monitor.connect(cluster.url, keep_seconds=0.0)
        yield Array(own_slurm, cluster, monitor, key, tmp_path)
        monitor.close()


def test_an_array_serves_and_what_runs_is_finished_when_it_is_cancelled(array: Array) -> None:
    job = array.submit("--array=1-2", "--cpus-per-task=2", FILE, "farm")
    assert [one.slots for one in array.wait_for(2)] == [2, 2]
    assert all(re.fullmatch(r"slurm-\d+", one.label) for one in array.workers())
    sleep = simpledist.worker_function(array.cluster.connect(), "sleep", farm.sleep)
    futures = [sleep.submit(3.0) for _ in range(4)]
    wait_until(lambda: sum(one.busy for one in array.workers()) == 4, 20, "four running jobs")
    array.slurm.run("scancel", str(job))
    assert [future.result(30) for future in futures] == [3.0] * 4
    assert [future.info.where for future in futures if future.info is not None] == ["remote"] * 4
    array.wait_for_end(job, 30)
    assert array.output().count("has left") == 2


def test_a_worker_leaves_in_time_for_the_time_limit_of_its_job(array: Array) -> None:
    """A minute, less a grace of 20 seconds, less the 10 that are spared."""
    began = time.monotonic()
    job = array.wrapped("--time=00:01:00", options="--lifetime auto --grace 20")
    array.wait_for(1)
    array.wait_for_end(job, 60)
    assert 20 < time.monotonic() - began < 50
    assert "its lifetime is over" in array.output()
    assert array.output().count("has left") == 1


def test_slurms_notice_drains_a_worker(array: Array) -> None:
    job = array.wrapped("--time=00:02:00", "--signal=TERM@100", options="--grace 5")
    array.wait_for(1)
    sleep = simpledist.worker_function(array.cluster.connect(), "sleep", farm.sleep)
    assert sleep(0.1) == 0.1
    assert array.wait_for_end(job, 60) < 60
    assert array.output().count("has left") == 1


def test_an_idle_worker_gives_its_node_back(array: Array) -> None:
    job = array.wrapped(options="--idle-exit 3s")
    array.wait_for(1)
    array.wait_for_end(job, 30)
    assert "it was idle for 3 s" in array.output()
    assert f"JobId={job} " in array.slurm.run("scontrol", "show", "job", str(job))
    assert "JobState=COMPLETED" in array.slurm.run("scontrol", "show", "job", str(job))
