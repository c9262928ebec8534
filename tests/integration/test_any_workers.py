"""What people see of calls that travel with their function to a worker with `--any`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import simpledist
from simpledist.cluster import Cluster
from simpledist.shipped import FUNCTION
from tests.commands import complaint, run


@pytest.fixture
def any_cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(workers=0, slots=1, folder=tmp_path) as cluster:
        cluster.start_worker(arguments=["--any"])
        yield cluster


def test_what_travelled_is_counted_under_its_function(any_cluster: Cluster) -> None:
    def halved(x: int) -> float:
        if x == 0:
            raise ValueError("nothing to halve")
        return x / 2

    with any_cluster.connect() as client:
        work = simpledist.worker_function(client, "halved", halved)
        first = work.submit(2)
        assert (first.result(30), work(4)) == (1.0, 2.0)
        assert isinstance(work.submit(0).exception(30), ValueError)
        assert first.info is not None
        assert first.info.where == "remote"
        stats = work.stats()
        assert (stats.calls, stats.remote, stats.failed, stats.local) == (3, 3, 1, {})
        assert "goes with its modules to workers with --any; 3 calls>" in repr(work)


def test_commands_know_that_calls_bring_their_function(any_cluster: Cluster) -> None:
    with any_cluster.connect() as client:
        assert simpledist.worker_function(client, "nothing", print, ship=False)() is None
    called = run("call", "nothing", "--redis", any_cluster.url)
    assert "nothing: no live worker offers it" in complaint(called)
    assert run("errors", "--redis", any_cluster.url).stdout.count("\n") == 1, "the head alone"
    explained = run("explain", "nothing", "--redis", any_cluster.url).stdout
    assert explained.startswith(
        f"nothing: no live worker offers it; calls that bring their function run as {FUNCTION}\n"
    )
    unknown = complaint(run("explain", "never", "--redis", any_cluster.url))
    assert unknown.endswith(f"is known as 'never'; calls that bring their function are counted as {FUNCTION}")
