"""An operator's drain: workers finish what they run and end, and their callers see it at once."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.cluster import Cluster
from simpledist.monitor import Monitor
from tests.commands import MAIN, complaint, run
from tests.integration.functions import farm
from tests.waiting import wait_until


def drain(cluster: Cluster, *words: str) -> subprocess.CompletedProcess[str]:
    return run("drain", "--redis", cluster.url, *words)


def conditions(cluster: Cluster) -> dict[str, str]:
    """Worker -> how it is."""
    monitor = Monitor.connect(cluster.url, keep_seconds=0)
    try:
        return {one.id: one.condition for one in monitor.snapshot().workers}
    finally:
        monitor.close()


def here(*_: Any) -> str:
    return "here"


@pytest.mark.parametrize("slots", [1, 2], ids=["busy", "one slot free"])
def test_what_runs_ends_there_new_calls_run_here_and_the_worker_ends_with_0(
    own_cluster: Cluster, tmp_path: Path, slots: int
) -> None:
    worker = own_cluster.start_worker(slots=slots)
    with own_cluster.connect() as client:
        act = simpledist.worker_function(client, "act", farm.act)
        job = act.submit(str(tmp_path), "job", "wait")
        wait_until((tmp_path / "acts").exists, 10, "its begin")
        done = drain(own_cluster, worker.id)
        assert (done.stderr, done.returncode) == ("", 0)
        assert done.stdout.startswith(f"worker {worker.id} (")
        assert done.stdout.endswith(") drains\n")
        wait_until(lambda: conditions(own_cluster)[worker.id] == "draining", 5, "its row says so")
        assert drain(own_cluster, worker.id).returncode == 0, "asked once more, it drains as before"
        echo = simpledist.worker_function(client, "echo", here)
        assert echo(1) == "here"
        assert worker.running
        (tmp_path / "go").touch()
        assert job.result(10) == "job"
        assert job.info is not None
        assert job.info.where == "remote"
    assert worker.wait() == 0
    assert conditions(own_cluster) == {}


def test_the_first_signal_after_it_changes_nothing_and_the_second_stops(own_cluster: Cluster, tmp_path: Path) -> None:
    worker = own_cluster.start_worker()
    with own_cluster.connect() as client:
        job = simpledist.worker_function(client, "act", here).submit(str(tmp_path), "job", "wait")
        wait_until((tmp_path / "acts").exists, 10, "its begin")
        assert drain(own_cluster, "--all").returncode == 0
        wait_until(lambda: conditions(own_cluster)[worker.id] == "draining", 5, "its row says so")
        worker.send_signal(signal.SIGTERM)
        assert conditions(own_cluster)[worker.id] == "draining"
        assert not job.done()
        worker.send_signal(signal.SIGTERM)
        assert job.result(10) == "here"
    assert worker.wait() == 1


def test_wait_returns_when_all_on_a_host_or_with_a_label_have_left(own_cluster: Cluster) -> None:
    first, second = (own_cluster.start_worker(arguments=["--name", name]) for name in ("blue", "green"))
    done = drain(own_cluster, "blue", "--wait")
    assert (done.stderr, done.returncode) == ("", 0)
    assert [line.split(") ")[-1] for line in done.stdout.splitlines()] == ["drains", "has left"]
    assert first.wait(1) == 0
    host = _host(own_cluster)
    done = drain(own_cluster, "--host", host, "--wait")
    assert (done.stderr, done.returncode) == ("", 0)
    assert f"worker {second.id} (green on {host}, pid {second.pid}) has left" in done.stdout
    assert second.wait(1) == 0


def _host(cluster: Cluster) -> str:
    monitor = Monitor.connect(cluster.url)
    try:
        return monitor.snapshot().workers[0].host
    finally:
        monitor.close()


def test_wait_says_which_worker_died_before_it_had_drained(own_cluster: Cluster, tmp_path: Path) -> None:
    own_cluster.start_distributor()
    worker = own_cluster.start_worker()
    with own_cluster.connect() as client:
        job = simpledist.worker_function(client, "act", here).submit(str(tmp_path), "job", "wait")
        wait_until((tmp_path / "acts").exists, 10, "its begin")
        line = [sys.executable, "-m", MAIN, "drain", "--redis", own_cluster.url, "--all", "--wait"]
        with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline().endswith(") drains\n")
            worker.kill()
            output, errors = process.communicate(timeout=30)
        assert (output, process.returncode) == ("", 1)
        assert "died before it had drained" in errors
        assert job.result(10) == "here"


def test_a_worker_without_a_child_hears_it_too(tmp_path: Path) -> None:
    # Children are spawned, for the module starts a thread, and only the template gets the lock.
    (tmp_path / "locked.py").write_text(
        "import fcntl, threading, time\n"
        "threading.Thread(target=time.sleep, args=(999,), daemon=True).start()\n"
        "f = open('lock', 'w'); fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "def sq(x): return x * x\n"
    )
    with Cluster("locked", workers=0, slots=1, folder=tmp_path) as cluster:
        worker = cluster.start_worker()
        assert conditions(cluster)[worker.id] == "no child"
        assert drain(cluster, worker.id).returncode == 0
        assert worker.wait(5) == 0


def test_what_means_no_live_worker_is_said_and_the_exit_code_is_1(own_cluster: Cluster) -> None:
    worker = own_cluster.start_worker(arguments=["--name", "blue"])
    done = drain(own_cluster, "bleu")
    assert complaint(done) == "simpledist drain: there is no 'bleu': did you mean blue?"
    assert done.returncode == 1
    done = drain(own_cluster, "--host", "nowhere")
    assert complaint(done) == "simpledist drain: no live worker runs on 'nowhere' (simpledist workers lists them)"
    assert done.returncode == 1
    assert worker.running
    assert drain(own_cluster, "blue", "--wait").returncode == 0
    done = drain(own_cluster, "--all")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0), "there is nothing to drain"


@pytest.mark.parametrize("words", [[], ["--all", "w1"], ["--all", "--host", "h"], ["--host", "h", "w1"]], ids=str)
def test_it_asks_which_workers_are_meant(words: list[str]) -> None:
    done = run("drain", *words)
    assert "Name workers, or give --all or --host HOST" in complaint(done)
    assert done.returncode == 2
