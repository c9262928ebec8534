"""explain: what becomes of a function's calls, or of a job."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.cluster import Cluster
from simpledist.monitor import Monitor
from tests.commands import complaint, run
from tests.integration.functions import farm
from tests.waiting import wait_until


def at_home(seconds: float) -> float:
    """What a caller runs itself, at once."""
    return seconds


def explain(cluster: Cluster, what: str) -> str:
    done = run("explain", "--redis", cluster.url, what)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def as_json(cluster: Cluster, what: str) -> dict[str, Any]:
    done = run("explain", "--redis", cluster.url, what, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert list(report) == ["schema", "functions", "job"]
    assert report["schema"] == 1
    return report


def test_a_function_and_its_jobs_from_queued_to_ended(own_cluster: Cluster) -> None:
    worker = own_cluster.start_worker(slots=2, arguments=["--name", "blue"])
    with own_cluster.connect() as client:
        sleep = simpledist.worker_function(client, "sleep", at_home)
        assert sleep(0.2) == 0.2
        (about,) = as_json(own_cluster, "sleep")["functions"]
        assert (about["function"], about["why_local"], about["slots"], about["free_slots"]) == ("sleep", None, 2, 2)
        assert about["begins_in_seconds"] == 0.0
        assert about["mean_run_seconds"] == pytest.approx(0.2, abs=0.15)
        (its,) = about["workers"]
        assert (its["worker"], its["label"], its["lane"], its["tags"]) == (worker.id, "blue", "sleep", [])
        assert len(its["digest"]) == 16
        assert "a call that is made now begins at once" in explain(own_cluster, "sleep")
        futures = [sleep.submit(600.0) for _ in range(5)]
        monitor = Monitor.connect(own_cluster.url, keep_seconds=0)
        wait_until(lambda: len(monitor.snapshot().running) == 2, 10, "two busy slots")
        (about,) = as_json(own_cluster, "sleep")["functions"]
        mean = about["mean_run_seconds"]
        assert (about["queued"], about["running"], about["free_slots"]) == (3, 2, 0)
        assert about["begins_in_seconds"] == pytest.approx(4 * mean / 2, abs=0.01)
        assert "sleep: calls run on workers, 0 of 2 slots free" in explain(own_cluster, "sleep")
        last = futures[-1].call.id
        job = as_json(own_cluster, last)["job"]
        assert (job["state"], job["place"], job["queued"]) == ("queued", 2, 3)
        assert job["begins_in_seconds"] == pytest.approx(3 * mean / 2, abs=0.01)
        assert f"{last}: a job of sleep, queued for " in explain(own_cluster, last)
        assert ", 2 jobs of 3 before it" in explain(own_cluster, last)
        runs = monitor.snapshot().running[0].id
        assert f"{runs}: a job of sleep, running on worker {worker.id}, slot " in explain(own_cluster, runs)
        assert run("disable", "--redis", own_cluster.url, "sleep").returncode == 0
        assert "sleep: calls run at their callers (disabled): " in explain(own_cluster, "sleep")
        monitor.close()
        assert sum(one.cancel() for one in futures) == 2, "the others went home"


def test_a_function_without_a_worker_says_how_to_start_one(own_cluster: Cluster) -> None:
    with own_cluster.connect() as client:
        assert simpledist.worker_function(client, "fibb", farm.fib, version=3)(10) == 55
    shown = explain(own_cluster, "fibb")
    assert "fibb@3: calls run at their callers (no_worker): no live worker offers it: start one " in shown
    assert as_json(own_cluster, "fibb@3")["functions"][0]["begins_in_seconds"] is None


def test_calls_that_another_key_keeps_at_their_callers_are_counted(own_cluster: Cluster, tmp_path: Path) -> None:
    own_cluster.start_worker()
    other = tmp_path / "key"
    other.write_text("b" * 64)
    other.chmod(0o600)
    with simpledist.connect(own_cluster.url, secret_file=str(other)) as client:
        sleep = simpledist.worker_function(client, "sleep", at_home)
        assert [sleep(0.0) for _ in range(3)] == [0.0] * 3
    shown = explain(own_cluster, "sleep")
    assert "sleep: calls run on workers, 2 of 2 slots free" in shown
    assert "  3 calls ran at their callers in the last hour (key): " in shown
    assert as_json(own_cluster, "sleep")["functions"][0]["local_runs"] == {"key": 3}


def test_what_is_not_known_is_said_with_what_may_be_meant(own_cluster: Cluster) -> None:
    own_cluster.start_worker()
    done = run("explain", "--redis", own_cluster.url, "ecko")
    assert complaint(done) == "simpledist explain: there is no 'ecko': did you mean echo?"
    assert done.returncode == 1
    done = run("explain", "--redis", own_cluster.url, "c1-99")
    assert complaint(done) == "simpledist explain: no function and no job is known as 'c1-99'"
    assert done.returncode == 1
    done = run("explain")
    assert "Missing argument" in complaint(done)
    assert done.returncode == 2
