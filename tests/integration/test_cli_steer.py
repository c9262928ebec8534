"""disable, enable and forget: functions, as operators steer them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.cluster import Cluster
from tests.commands import complaint, run
from tests.integration.functions import farm
from tests.waiting import wait_until


def steer(cluster: Cluster, *words: str) -> subprocess.CompletedProcess[str]:
    return run(*words[:1], "--redis", cluster.url, *words[1:])


def here(*_: Any) -> str:
    return "here"


def why(future: simpledist.Future[Any]) -> str | None:
    assert future.info is not None
    return future.info.why


def test_a_disabled_function_runs_at_its_callers_until_it_is_enabled(own_cluster: Cluster, tmp_path: Path) -> None:
    own_cluster.start_worker(slots=1)
    with own_cluster.connect() as client:
        act = simpledist.worker_function(client, "act", here)
        echo = simpledist.worker_function(client, "echo", farm.echo, cache=600)
        assert echo(1) == 1
        running = act.submit(str(tmp_path), "job", "wait")
        wait_until((tmp_path / "acts").exists, 10, "its begin")
        queued = [act.submit(str(tmp_path), name, "quick") for name in "ab"]
        wait_until(lambda: "act\t2\t1\t" in run("status", "--redis", own_cluster.url).stdout, 10, "two are queued")
        done = steer(own_cluster, "disable", "act", "echo")
        assert (done.stdout, done.stderr, done.returncode) == (
            "act is disabled; 2 queued jobs went to their callers\n"
            "echo is disabled; 0 queued jobs went to their callers\n",
            "",
            0,
        )
        assert [one.result(10) for one in queued] == ["here", "here"]
        assert [why(one) for one in queued] == ["disabled", "disabled"]
        later = act.submit(str(tmp_path), "c", "quick")
        assert (later.result(10), why(later)) == ("here", "disabled")
        assert not running.done()
        cached = echo.submit(1)
        assert cached.result(10) == 1
        assert cached.info is not None
        assert cached.info.cached
        said = run("status", "--redis", own_cluster.url)
        assert "act was disabled " in said.stderr
        assert "simpledist enable act ends that" in said.stderr
        (tmp_path / "go").touch()
        assert running.result(10) == "job"
        done = steer(own_cluster, "enable", "act", "echo")
        assert (done.stdout, done.stderr, done.returncode) == ("act is enabled\necho is enabled\n", "", 0)
        wait_until(lambda: act(str(tmp_path), "d", "quick") == "d", 10, "it runs on the worker")
    assert sorted({*(tmp_path / "acts").read_text().split()}) == ["d", "job"], "nothing else ran there"
    assert run("status", "--redis", own_cluster.url).stderr == ""


def test_a_mistyped_function_is_forgotten(own_cluster: Cluster) -> None:
    with own_cluster.connect() as client:
        assert simpledist.worker_function(client, "fibb", here)(1) == "here"
    assert "fibb\t" in run("status", "--redis", own_cluster.url).stdout
    done = steer(own_cluster, "forget", "fibb")
    assert (done.stdout, done.stderr, done.returncode) == ("fibb is forgotten\n", "", 0)
    assert "fibb" not in run("status", "--redis", own_cluster.url).stdout


def test_what_is_in_use_is_not_forgotten_and_why_is_said(own_cluster: Cluster) -> None:
    worker = own_cluster.start_worker()
    done = steer(own_cluster, "forget", "fib")
    assert complaint(done) == "simpledist forget: fib: a worker offers it (simpledist workers --function fib)"
    assert done.returncode == 1
    assert worker.stop() == 0
    assert steer(own_cluster, "disable", "fib").returncode == 0
    done = steer(own_cluster, "forget", "fib")
    assert complaint(done).endswith("fib: it is disabled, and would not be any more: first simpledist enable fib")
    assert done.returncode == 1
    assert steer(own_cluster, "enable", "fib").returncode == 0
    assert steer(own_cluster, "forget", "fib").returncode == 0


def test_the_offers_of_a_worker_that_was_killed_keep_nothing(own_cluster: Cluster) -> None:
    worker = own_cluster.start_worker()
    worker.kill()
    wait_until(lambda: steer(own_cluster, "forget", "fib").returncode == 0, 30, "its silence is seen")


@pytest.mark.parametrize("command", ["disable", "enable", "forget"])
def test_a_name_that_is_not_known_or_no_name_is_one_line(own_cluster: Cluster, command: str) -> None:
    own_cluster.start_worker()
    done = steer(own_cluster, command, "ecko")
    assert complaint(done) == f"simpledist {command}: there is no 'ecko': did you mean echo?"
    assert done.returncode == 1
    done = steer(own_cluster, command, "zzzzz")
    assert complaint(done) == f"simpledist {command}: no function 'zzzzz' is known (simpledist status lists them)"
    done = steer(own_cluster, command, "no spaces")
    assert "function name 'no spaces'" in complaint(done)
    assert done.returncode == 2
    done = steer(own_cluster, command)
    assert "Missing argument" in complaint(done)
    assert done.returncode == 2
