"""`simpledist-worker --lifetime, --idle-exit, --jobs, --alive`: it drains by itself, ends with 0, and loses nothing."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.cluster import Cluster
from tests import commands
from tests.integration.functions import farm
from tests.waiting import wait_until


def sleep(client: simpledist.Client) -> Any:
    return simpledist.worker_function(client, "sleep", farm.sleep)


def test_a_lifetime_ends_while_a_job_runs_which_is_finished(own_cluster: Cluster) -> None:
    began = time.monotonic()
    worker = own_cluster.start_worker(slots=1, arguments=["--lifetime", "3s"])
    with own_cluster.connect() as client:
        running = sleep(client).submit(4.0)
        assert running.result(30) == 4.0
        assert running.info is not None
        assert (running.info.where, running.info.attempts) == ("remote", 1)
        assert worker.wait(20) == 0
        assert 3.5 < time.monotonic() - began < 15
        assert "its lifetime is over" in worker.stderr_text()
        late = sleep(client).submit(0.0)
        assert late.result(30) == 0.0
        assert late.info is not None
        assert late.info.where == "local"


def test_a_function_that_takes_longer_than_what_is_left_is_offered_no_more(own_cluster: Cluster) -> None:
    own_cluster.start_worker(slots=1, arguments=["--lifetime", "9s", "--grace", "0"])
    with own_cluster.connect() as client:
        long = sleep(client)
        assert [long.submit(3.0).result(30) for _ in range(2)] == [3.0, 3.0]  # after them less than 3 s are left
        fib = simpledist.worker_function(client, "fib", farm.fib)
        late, near = long.submit(2.9), fib.submit(10)
        for future, value, where in ((near, 55, "remote"), (late, 2.9, "local")):
            assert future.result(30) == value
            assert future.info is not None
            assert future.info.where == where


def test_an_idle_worker_ends_and_a_busy_one_does_not(own_cluster: Cluster) -> None:
    worker = own_cluster.start_worker(slots=1, arguments=["--idle-exit", "2"])
    with own_cluster.connect() as client:
        call = sleep(client).submit(3.0)
        assert call.result(30) == 3.0
        assert call.info is not None
        assert call.info.where == "remote"
        assert worker.running
        assert worker.wait(20) == 0
    assert "it was idle for 2 s" in worker.stderr_text()


def test_without_redis_no_worker_is_idle(own_cluster: Cluster) -> None:
    worker = own_cluster.start_worker(slots=1, arguments=["--idle-exit", "2"])
    own_cluster.redis.stop()
    time.sleep(4.0)
    assert worker.running
    own_cluster.redis.start()
    assert worker.wait(30) == 0


def test_a_redis_that_is_gone_for_good_is_waited_for_for_minutes_only(own_cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("from simpledist import policy\npolicy.GONE_SECONDS = 8.0\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    options = ["--idle-exit", "8", "--grace", "1"]
    idle, busy = (own_cluster.start_worker(slots=1, arguments=options, environment={"PYTHONPATH": path}) for _ in "ab")
    with own_cluster.connect() as client:
        call = sleep(client).submit(3.0)
        wait_until(call.running, 10, "a worker has it")
        own_cluster.redis.kill()
        gone = time.monotonic()
        for worker in (idle, busy):
            assert worker.wait(60) == 0
            assert re.search(r"has left: it was idle for \d+ s, without Redis$", worker.stderr_text().rstrip())
            assert 7.0 < time.monotonic() - gone < 60
        assert call.result(30) == 3.0


@pytest.mark.parametrize("slots", [1, 2])
def test_after_so_many_jobs_it_ends_and_what_waits_runs_elsewhere(own_cluster: Cluster, slots: int) -> None:
    worker = own_cluster.start_worker(slots=slots, arguments=["--jobs", "3"])
    with own_cluster.connect() as client:
        log_run = simpledist.worker_function(client, "pid", os.getpid)
        pids = [future.result(30) for future in [log_run.submit() for _ in range(40)]]
        assert worker.wait(20) == 0
    assert "it has had its 3 jobs" in worker.stderr_text()
    there = sum(pid != os.getpid() for pid in pids)
    assert 3 <= there <= 3 + 2 * slots, "those that a child had begun"


def test_the_file_is_there_while_the_worker_lives_and_stays_old_when_its_loop_stands_still(
    own_cluster: Cluster, tmp_path: Path
) -> None:
    file = tmp_path / "alive"
    worker = own_cluster.start_worker(slots=1, arguments=["--alive", str(file)])
    first = file.stat().st_mtime
    wait_until(lambda: file.stat().st_mtime > first, 5, "it is touched again")
    own_cluster.redis.stop()
    away = file.stat().st_mtime
    wait_until(lambda: file.stat().st_mtime > away, 8, "also while Redis is away")
    worker.send_signal(signal.SIGSTOP)
    time.sleep(0.3)
    stands = file.stat().st_mtime
    time.sleep(2.5)
    assert file.stat().st_mtime == stands
    worker.send_signal(signal.SIGCONT)
    own_cluster.redis.start()
    worker.stop()
    assert not file.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--lifetime", "auto"],
            "--lifetime auto: no end of a Slurm job is known here; say how long, as --lifetime 55m.",
        ),
        (["--lifetime", "5x"], "'5x' is no number of seconds."),
        (["--lifetime", "-5m"], "-300.0 is not in the range"),
        (["--lifetime", "0.1m", "--idle-exit", "nanh"], "nan is no number of seconds."),
        (["--jobs", "0"], "0 is not in the range"),
        (["--stagger", "5"], "--stagger means nothing without --lifetime."),
        (["--alive", "/none/such"], "--alive /none/such cannot be written: No such file or directory"),
    ],
)
def test_what_means_nothing_is_refused_in_one_line(own_cluster: Cluster, arguments: list[str], words: str) -> None:
    done = commands.run("--redis", own_cluster.url, *arguments, "operator:neg", module=commands.WORKER)
    assert done.returncode == 2
    assert words in commands.complaint(done)
