"""Builds with different protocol numbers on one Redis, under load: they never meet in a job, and both sides say so."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import simpledist
from simpledist import policy
from simpledist.broker import Keys
from simpledist.cluster import Cluster, RoleProcess
from tests import standing
from tests.commands import run
from tests.integration.conftest import FUNCTIONS
from tests.links import open_link
from tests.trees import copy_tree
from tests.waiting import wait_until

NUMBER = policy.PROTOCOL + 7
CALLS = 300
THEIRS = f"""
import logging
import simpledist
import sys
from simpledist import policy
assert policy.PROTOCOL == {NUMBER}
logging.basicConfig(level=logging.WARNING)
with simpledist.connect(sys.argv[1]) as dist:
    echo = simpledist.worker_function(dist, "echo", lambda value: value)
    futures = [echo.submit(n) for n in range({CALLS})]
    assert [future.result(30) for future in futures] == list(range({CALLS}))
    print(sum(future.info.where == "remote" for future in futures), {{future.info.why for future in futures}})
"""


@pytest.fixture(scope="module")
def other_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree with another number, and workers that soon ask for the plain lane."""
    tree = tmp_path_factory.mktemp("other")
    copy_tree(tree)
    path = tree / "simpledist" / "policy.py"
    text = path.read_text()
    assert text.count(f"PROTOCOL = {policy.PROTOCOL}\n") == 1
    assert text.count("lanes_seconds: float = 60.0") == 1
    text = text.replace("lanes_seconds: float = 60.0", "lanes_seconds: float = 0.5")
    path.write_text(text.replace(f"PROTOCOL = {policy.PROTOCOL}\n", f"PROTOCOL = {NUMBER}\n"))
    return tree


@pytest.fixture
def mixed() -> Iterator[Cluster]:
    with Cluster("farm", workers=0, slots=2, folder=FUNCTIONS) as one:
        yield one
        standing.roots.difference_update(worker.pid for worker in one.workers)


def worker_of(mixed: Cluster, build: Path | None = None) -> RoleProcess:
    worker = mixed.start_worker(environment={"PYTHONPATH": str(build)} if build else None)
    standing.roots.add(worker.pid)
    return worker


def their_client(mixed: Cluster, build: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", THEIRS, mixed.url],
        cwd=build,
        env={**os.environ, "PYTHONPATH": str(build)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def our_calls(client: simpledist.Client) -> list[simpledist.Info | None]:
    echo = simpledist.worker_function(client, "echo", echo_here)
    futures = [echo.submit(n) for n in range(CALLS)]
    assert [future.result(30) for future in futures] == list(range(CALLS))
    return [future.info for future in futures]


def echo_here(value: int) -> int:
    return value


def test_workers_with_another_number_get_no_calls_of_ours(
    mixed: Cluster, other_build: Path, caplog: pytest.LogCaptureFixture
) -> None:
    worker = worker_of(mixed, other_build)
    with mixed.connect() as client, caplog.at_level(logging.WARNING, "simpledist"):
        assert {info.why for info in our_calls(client) if info} == {"no_worker"}

        def lines_about_it() -> list[str]:
            return [record.getMessage() for record in caplog.records if "protocol" in record.getMessage()]

        wait_until(lines_about_it, 5, "a line")
        lines = lines_about_it()
        assert len(lines) == 1
        assert f"protocol {NUMBER}" in lines[0]
        wait_until(lambda: f"by protocol {policy.PROTOCOL}" in worker.stderr_text(), 10, "the worker says so too")
        report = run("doctor", "--redis", mixed.url).stdout
        assert f"{NUMBER} by {worker.id}" in report


def test_clients_with_another_number_run_their_calls_themselves(mixed: Cluster, other_build: Path) -> None:
    worker_of(mixed)
    client = their_client(mixed, other_build)
    out, err = client.communicate(timeout=60)
    assert client.returncode == 0, err
    assert out.strip() == "0 {'no_worker'}"
    assert err.count("protocol") == 2, "one line, with both numbers"


def test_both_builds_work_side_by_side(mixed: Cluster, other_build: Path) -> None:
    worker_of(mixed)
    worker_of(mixed, other_build)
    theirs = their_client(mixed, other_build)
    with mixed.connect() as client:
        ours = our_calls(client)
        out, err = theirs.communicate(timeout=60)
        assert theirs.returncode == 0, err
        assert out.strip() == f"{CALLS} {{None}}"
        assert {(info.where, info.worker) for info in ours if info} == {("remote", mixed.workers[0].id)}


def test_a_worker_that_started_beside_an_old_one_gets_the_plain_lane_later(mixed: Cluster, other_build: Path) -> None:
    old, keys = worker_of(mixed), Keys()
    with open_link(mixed.url) as link:

        def lane_of(worker: RoleProcess) -> str:
            offer = link.call("HGET", keys.named("offers", "echo"), worker.id)
            return json.loads(offer)["lane"] if offer else ""

        wait_until(lambda: lane_of(old) == "echo", 20, "the first one has the plain lane")
        new = worker_of(mixed, other_build)
        wait_until(lambda: lane_of(new).startswith("echo~"), 20, "the other one has a lane of its own")
        assert old.stop() == 0
        wait_until(lambda: lane_of(new) == "echo", 20, "it moves when the plain lane is free")
        theirs = their_client(mixed, other_build)
        out, err = theirs.communicate(timeout=60)
        assert theirs.returncode == 0, err
        assert out.strip() == f"{CALLS} {{None}}"
