"""The cluster in one call: its processes are real, and none of them outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from simpledist.client.options import worker_function
from simpledist.cluster import Cluster
from simpledist.embedded import FAKE, EmbeddedRedis
from simpledist.errors import OperatorError
from tests.waiting import wait_until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cubes.py").write_text("def cube(n):\n    return n**3\n")
    return tmp_path


def test_where_there_is_no_server_at_all_fakeredis_will_do(folder: Path) -> None:
    with EmbeddedRedis(FAKE) as server, Cluster("cubes:cube", slots=2, folder=folder, redis=server) as cluster:
        cube = worker_function(cluster.connect(), "cube", local_cube)
        assert list(cube.map(range(20))) == [n**3 for n in range(20)]


def local_cube(n: int) -> str:
    return f"local {n}"


def test_workers_run_what_clients_call(folder: Path, redis_server: EmbeddedRedis) -> None:
    with Cluster("cubes:cube", workers=2, slots=1, folder=folder, redis=redis_server) as cluster:
        cube = worker_function(cluster.connect(), "cube", local_cube)
        assert list(cube.map(range(5))) == [0, 1, 8, 27, 64]
        assert {worker.running for worker in cluster.workers} == {True}
        assert len({worker.id for worker in cluster.workers}) == 2
    assert {worker.exit_code for worker in cluster.workers} == {0}
    assert redis_server.running, "a server that was given is left to its owner"


def test_a_worker_is_killed_and_another_one_started(folder: Path) -> None:
    with Cluster("cubes:cube", slots=1, folder=folder) as cluster:
        cube = worker_function(cluster.connect(), "cube", local_cube)
        assert cube(3) == 27
        cluster.workers[0].kill()
        assert cluster.workers[0].exit_code == -signal.SIGKILL
        cluster.start_worker()
        assert cube(3) == 27


def test_a_worker_that_cannot_start_is_an_error_with_what_it_wrote(folder: Path) -> None:
    with Cluster(folder=folder) as cluster, pytest.raises(OperatorError, match=r"ended with 2:\n.*nowhere"):
        cluster.start_worker("cubes:nowhere")


def test_a_cluster_without_a_server_of_its_own_says_so() -> None:
    with pytest.raises(OperatorError, match="not its own"):
        _ = Cluster(redis="redis://localhost:1").redis


def test_no_process_outlives_an_owner_that_was_killed(folder: Path) -> None:
    temporary = folder / "temporary"
    temporary.mkdir()
    program = (
        "import sys\n"
        "from simpledist.cluster import Cluster\n"
        "with Cluster('cubes:cube', slots=2) as cluster:\n"
        "    print('ready', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        below = psutil.Process(owner.pid).children(recursive=True)
        assert len(below) >= 5, "server, worker, their keepers, template, children"
        os.kill(owner.pid, signal.SIGKILL)
    wait_until(lambda: not any(_runs(process) for process in below), 10, "the end of all its processes")
    wait_until(lambda: not list(temporary.iterdir()), 10, "the end of its files")


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
