"""`status`, `workers`, `jobs` and `errors`: what they say of a busy cluster, piped and in a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

import simpledist
from simpledist import policy
from simpledist.broker import Broker, Keys, Link
from simpledist.cluster import Cluster
from simpledist.monitor import Monitor
from tests.commands import MAIN, run
from tests.integration.functions import farm
from tests.waiting import wait_until

errors_command, jobs_command, workers_command = (
    import_module(f"simpledist.cli.{name}") for name in ("errors", "jobs", "workers")
)


@pytest.fixture(scope="module")
def busy(cluster: Cluster) -> Iterator[list[str]]:
    """Two sleepers that run and three that are queued, a call that raised twice; the ids of the sleepers."""
    with cluster.connect() as client:
        fail = simpledist.worker_function(client, "fail", farm.fail)
        for _ in range(2):
            with pytest.raises(ValueError, match="value"):
                fail("value")
        sleep = simpledist.worker_function(client, "sleep", farm.sleep)
        futures = [sleep.submit(600.0) for _ in range(5)]  # longer than all tests that look at them
        monitor = Monitor.connect(cluster.url, keep_seconds=0)
        wait_until(lambda: len(monitor.snapshot().running) == 2, 10, "two busy slots")
        yield [one.call.id for one in futures]
        assert all(one.cancel() for one in futures)
        wait_until(lambda: not monitor.snapshot().running, 5, "the end of the two")
        monitor.close()


def rows(cluster: Cluster, *words: str, stderr: str = "") -> list[dict[str, str]]:
    """The piped output of a command: a header, then a line a row, with tabs."""
    done = run(*words, "--redis", cluster.url)
    assert (done.returncode, done.stderr) == (0, stderr)
    heads, *lines = [line.split("\t") for line in done.stdout.splitlines()]
    return [dict(zip(heads, line, strict=True)) for line in lines]


def test_status_has_a_line_a_function(cluster: Cluster, busy: list[str]) -> None:
    found = {row["function"]: row for row in rows(cluster, "status")}
    assert found["sleep"]["queued"] == "3"
    assert found["sleep"]["running"] == "2"
    assert found["sleep"]["workers"] == "1"
    assert float(found["sleep"]["oldest_wait_seconds"]) >= 0
    assert set(found["fib"].values()) == {"fib", "0", "1", "0.0"}


def test_status_as_json_is_the_schema_to_the_letter(cluster: Cluster, busy: list[str]) -> None:
    done = run("status", "--json", "--redis", cluster.url)
    assert done.returncode == 0
    report = json.loads(done.stdout)
    assert list(report) == ["schema", "redis", "functions", "workers"]
    assert report["schema"] == 1
    assert report["redis"]["ok"] is True
    (sleep,) = (one for one in report["functions"] if one["name"] == "sleep")
    assert {**sleep, "oldest_wait_seconds": 0} == {
        "name": "sleep",
        "version": None,
        "queued": 3,
        "running": 2,
        "workers": 1,
        "oldest_wait_seconds": 0,
        "disabled": False,
        "demand": 5.0,
        "waiting_at_clients": 0,
        "running_at_clients": 0.0,
    }
    (worker,) = report["workers"]
    assert set(worker) == {"id", "label", "host", "pid", "slots", "busy", "beat_age_seconds", "functions", "tags"}
    assert (worker["id"], worker["slots"], worker["busy"]) == (cluster.workers[0].id, 2, 2)


def test_workers_says_how_each_is(cluster: Cluster, busy: list[str]) -> None:
    (row,) = rows(cluster, "workers")
    assert (row["worker"], row["pid"], row["health"]) == (cluster.workers[0].id, str(cluster.workers[0].pid), "alive")
    assert (row["busy"], row["slots"]) == ("2", "2")
    assert "fib" in row["functions"].split(" ")
    assert len(rows(cluster, "workers", "--function", "fib")) == 1
    assert rows(cluster, "workers", "--function", "nobody") == []


def test_jobs_lists_what_runs_and_what_is_queued(cluster: Cluster, busy: list[str]) -> None:
    found = rows(cluster, "jobs")
    assert [row["state"] for row in found] == ["running"] * 2 + ["queued"] * 3
    assert [row["job"] for row in found[2:]] == busy[2:]
    assert {row["job"] for row in found[:2]} == set(busy[:2])
    assert {row["worker"] for row in found[:2]} == {cluster.workers[0].id}
    assert {row["worker"] for row in found[2:]} == {"-"}


@pytest.mark.parametrize(
    ("words", "number"),
    [
        (["--function", "sleep"], 5),
        (["--function", "fib"], 0),
        (["--state", "queued"], 3),
        (["--state", "running"], 2),
        (["--worker", "nobody"], 0),
    ],
    ids=str,
)
def test_jobs_are_filtered(cluster: Cluster, busy: list[str], words: list[str], number: int) -> None:
    assert len(rows(cluster, "jobs", *words)) == number
    if "--worker" not in words:
        assert len(rows(cluster, "jobs", *words, "--worker", cluster.workers[0].id)) == (
            0 if "queued" in words else min(number, 2)
        )


def test_jobs_are_bounded_and_say_so(cluster: Cluster, busy: list[str]) -> None:
    said = "".join(
        f"simpledist jobs: 1 of {number} jobs that {kind} are shown (--limit)\n"
        for number, kind in ((2, "run"), (3, "are queued"))
    )
    assert len(rows(cluster, "jobs", "--limit", "1", stderr=said)) == 2


def test_errors_are_grouped(cluster: Cluster, busy: list[str]) -> None:
    (row,) = rows(cluster, "errors")
    assert (row["count"], row["function"], row["error"]) == ("2", "fail", "ValueError")
    assert "in fail" in row["place"]
    assert float(row["last_seconds"]) <= float(row["first_seconds"])
    assert rows(cluster, "errors", "--function", "fib") == []


def test_errors_tell_one_traceback_of_a_group(cluster: Cluster, busy: list[str]) -> None:
    done = run("errors", "--traceback", "--redis", cluster.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert "fail: ValueError at farm.py" in done.stdout
    assert "2 times" in done.stdout
    assert "    ValueError: value" in done.stdout


@pytest.mark.parametrize("command", ["status", "workers", "jobs", "errors"])
def test_in_a_terminal_it_is_a_table_with_times_for_people(cluster: Cluster, busy: list[str], command: str) -> None:
    ours, theirs = pty.openpty()
    line = [sys.executable, "-m", MAIN, command, "--redis", cluster.url]
    environment = {**os.environ, "TERM": "dumb", "COLUMNS": "200"}
    process = subprocess.Popen(line, stdout=theirs, stderr=subprocess.PIPE, env=environment)
    _, errors = process.communicate(timeout=20)
    os.close(theirs)
    output = b""
    try:
        while data := os.read(ours, 65536):
            output += data
    except OSError:
        pass  # the other end is closed: that was all
    os.close(ours)
    assert (process.returncode, errors) == (0, b"")
    assert b"\t" not in output
    time = {"status": rb"\d m?s", "workers": rb"now|\d s ago", "jobs": rb"\d m?s", "errors": rb"now|\d s ago"}[command]
    assert re.search(time, output), output
    assert b"seconds" not in output
    assert b"fail" in output or b"sleep" in output


@pytest.mark.parametrize("command", ["status", "workers", "jobs", "errors"])
def test_a_redis_that_is_away_is_one_line_and_exit_code_1(command: str) -> None:
    done = run(command, "--redis", "unix:///nowhere/redis.sock")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("simpledist: Redis at unix:///nowhere/redis.sock cannot be reached: ")
    assert len(done.stderr.splitlines()) == 1


def as_json(cluster: Cluster, *words: str) -> dict[str, Any]:
    done = run(*words, "--json", "--redis", cluster.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout)


def test_workers_as_json(cluster: Cluster, busy: list[str]) -> None:
    report = as_json(cluster, "workers")
    assert list(report) == ["schema", "workers"]
    assert report["schema"] == 1
    (worker,) = report["workers"]
    assert list(worker) == [*workers_command.HEADS, "problems", "distributions"]
    assert (worker["worker"], worker["pid"], worker["busy"]) == (cluster.workers[0].id, cluster.workers[0].pid, 2)
    assert isinstance(worker["beat_seconds"], float)
    assert "fib" in worker["functions"]
    assert worker["problems"] == []


def test_jobs_as_json(cluster: Cluster, busy: list[str]) -> None:
    report = as_json(cluster, "jobs", "--function", "sleep")
    assert list(report) == ["schema", "jobs", "running", "queued"]
    assert (report["schema"], report["running"], report["queued"]) == (1, 2, 3)
    assert [list(one) for one in report["jobs"]] == [list(jobs_command.HEADS)] * 5
    last = report["jobs"][-1]
    assert (last["job"], last["state"], last["worker"], last["slot"]) == (busy[-1], "queued", None, None)


def test_errors_as_json_with_tracebacks_if_they_are_asked_for(cluster: Cluster, busy: list[str]) -> None:
    report = as_json(cluster, "errors")
    assert list(report) == ["schema", "errors"]
    (group,) = report["errors"]
    assert list(group) == list(errors_command.HEADS)
    assert (report["schema"], group["count"], group["error"]) == (1, 2, "ValueError")
    (group,) = as_json(cluster, "errors", "--traceback")["errors"]
    assert "ValueError: value" in group["traceback"]


def test_names_from_strangers_stay_in_their_line(own_cluster: Cluster) -> None:
    link = Link(own_cluster.url)
    link.connect()
    broker = Broker(link, Keys())
    row = {
        "label": "a\tb\x1b[31m\nc\u202e",
        "host": "h\r",
        "pid": "x",
        "functions": ["f"],
        "slots": -3,
        "connection": "-",
        "protocol": policy.PROTOCOL,
    }
    broker.beat("w-1", "-", [], row, ["f"])
    (shown,) = rows(own_cluster, "workers")
    assert shown["worker"] == "w-1"
    assert not any(character in "".join(shown.values()) for character in "\x1b\r\u202e")
    assert (shown["pid"], shown["slots"]) == ("0", "0")
    broker.leave("w-1", final=True)
    link.close()


def test_a_mistyped_name_gets_a_suggestion(cluster: Cluster, busy: list[str]) -> None:
    for words in (["jobs", "--function", "slep"], ["workers", "--function", "slep"], ["errors", "--function", "slep"]):
        said = f"simpledist {words[0]}: there is no 'slep': did you mean sleep?\n"
        assert rows(cluster, *words, stderr=said) == []


def test_ids_behind_two_dashes_are_no_options(cluster: Cluster) -> None:
    done = run("cancel", "--redis", cluster.url, "--", "-no-such-job", "--nor-this")
    assert done.returncode == 1
    assert "-no-such-job: no such job" in done.stderr
    assert "--nor-this: no such job" in done.stderr
