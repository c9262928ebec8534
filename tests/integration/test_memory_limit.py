"""`simpledist-worker --memory`: a job that takes more is stopped, tried elsewhere, and not run by its caller itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.cluster import Cluster
from simpledist.job import Info
from tests import commands
from tests.integration.functions import farm
from tests.waiting import wait_until

MB = 2**20
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process holds")


def wrapped(client: simpledist.Client, local: Callable[..., Any], **options: Any) -> Any:
    return simpledist.worker_function(client, local.__name__, local, **options)


def info_of(future: simpledist.Future[Any]) -> Info:
    future.exception(60)
    assert future.info is not None
    return future.info


def test_a_job_that_takes_too_much_is_stopped_and_its_neighbours_live_on(own_cluster: Cluster) -> None:
    worker = own_cluster.start_worker(slots=2, arguments=["--memory", "200M"])
    with own_cluster.connect() as client:
        neighbour = wrapped(client, farm.sleep).submit(4.0)
        wait_until(neighbour.running, 10, "it runs")
        future = wrapped(client, farm.hold).submit(400, 1.5)
        pid, megabytes = future.result(60)
        assert (megabytes, pid != os.getpid()) == (400, True), "its caller did not hold it"
        info = info_of(future)
        assert (info.where, info.why) == ("local", "memory")
        assert info.detail is not None
        assert "--memory allows 200 MB" in info.detail
        assert info.detail.endswith(f"(worker {worker.id})")
        assert neighbour.result(30) == 4.0
        assert (info_of(neighbour).worker, info_of(neighbour).attempts) == (worker.id, 1)
        small = wrapped(client, farm.hold).submit(20, 0.6)
        assert info_of(small).worker == worker.id
        assert worker.running
    assert "used" in worker.stderr_text()
    lines = commands.run("doctor", "--redis", own_cluster.url).stdout
    assert "it used more memory than its worker has or allows (memory)" in lines


def test_a_second_try_is_on_another_worker(own_cluster: Cluster) -> None:
    small = own_cluster.start_worker(slots=1, arguments=["--memory", "100M"])
    with own_cluster.connect() as client:
        big = own_cluster.start_worker(slots=1, arguments=["--memory", "1G"])
        hold = wrapped(client, farm.hold)
        futures = [hold.submit(300, 1.0) for _ in range(6)]
        assert [one.result(60)[1] for one in futures] == [300] * 6
        assert {info_of(one).worker for one in futures} == {big.id}
        assert max(info_of(one).attempts for one in futures) == 2
        # What this one stopped and another brought to its end are no strikes.
        (row,) = [
            one
            for one in json.loads(commands.run("workers", "--json", "--redis", own_cluster.url).stdout)["workers"]
            if one["worker"] == small.id
        ]
        assert (row["health"], row["problems"]) == ("alive", [])


def test_what_a_job_has_started_counts_too_and_ends_with_it(own_cluster: Cluster, tmp_path: Path) -> None:
    own_cluster.start_worker(slots=1, arguments=["--memory", "150M"])
    with own_cluster.connect() as client:
        future = wrapped(client, farm.hold_below, ship=False).submit(str(tmp_path), 400, 2.0)
        assert future.result(60) == "done"
        assert info_of(future).why == "memory"
    first, _ = map(int, (tmp_path / "pids").read_text().split())
    wait_until(lambda: not Path(f"/proc/{first}").exists(), 10, "it is gone")


@pytest.mark.parametrize("way", ["submit", "map"])
def test_of_calls_that_travel_together_only_one_is_to_blame(own_cluster: Cluster, way: str) -> None:
    own_cluster.start_worker(slots=1, arguments=["--memory", "200M"])
    with own_cluster.connect() as client:
        hold = wrapped(client, farm.hold)
        assert [one.result(30)[1] for one in [hold.submit(0, 0.0) for _ in range(300)]] == [0] * 300
        megabytes = [0] * 60 + [400] + [0] * 60
        seconds = [1.0 if one else 0.0 for one in megabytes]
        if way == "map":
            assert [one[1] for one in hold.map(megabytes, seconds, chunksize=40)] == megabytes
            assert hold.stats().local == {"memory": 1}
            return
        futures = [hold.submit(*one) for one in zip(megabytes, seconds, strict=True)]
        assert [one.result(60)[1] for one in futures] == megabytes
        assert [info_of(one).why for one in futures] == [None] * 60 + ["memory"] + [None] * 60


@pytest.mark.parametrize("way", ["call", "submit", "map"])
def test_a_memory_error_of_a_worker_is_met_in_a_process_of_its_own(own_cluster: Cluster, way: str) -> None:
    """The caller would allocate the same once more, and might be killed for it."""
    own_cluster.start_worker(slots=1)
    with own_cluster.connect() as client:
        short = wrapped(client, farm.short_of_memory)
        if way == "call":
            pid = short(os.getpid())
        elif way == "submit":
            pid = (future := short.submit(os.getpid())).result(30)
            assert (info_of(future).where, info_of(future).why) == ("local", "memory")
        else:
            pid = next(short.map([os.getpid()]))
        assert pid != os.getpid()
        with pytest.raises(MemoryError, match="memory"):
            wrapped(client, farm.fail)("memory")


def test_pages_that_children_share_with_their_template_count_in_part(own_cluster: Cluster) -> None:
    """Two children of a template that has loaded 150 MB hold 150 MB each, and together 150."""
    own_cluster.start_worker("loaded", slots=4, arguments=["--memory", "100M"])
    with own_cluster.connect() as client:
        seconds = simpledist.worker_function(client, "touch", farm.sleep)
        futures = [seconds.submit(1.0) for _ in range(4)]
        assert {info_of(one).where for one in futures} == {"remote"}


def test_a_child_that_keeps_too_much_is_replaced_after_its_job(own_cluster: Cluster) -> None:
    own_cluster.start_worker(slots=1, arguments=["--memory", "150M"])
    with own_cluster.connect() as client:
        leak = wrapped(client, farm.leak)
        began, pids = time.monotonic(), set[int]()
        futures = [leak.submit(60) for _ in range(6)]
        pids = {one.result(60) for one in futures}
        assert len(pids) > 2
        assert time.monotonic() - began < 50


@pytest.mark.parametrize(
    ("size", "words"), [("2X", "'2X' is no size: use 500M"), ("1M", "use at least 32M"), ("-2G", "is no size")]
)
def test_what_is_no_size_is_refused(size: str, words: str) -> None:
    done = commands.run("farm", f"--memory={size}", module=commands.WORKER)
    assert done.returncode == 2
    assert words in commands.complaint(done)


def test_the_pages_show_what_a_slot_may_take(own_cluster: Cluster) -> None:
    own_cluster.start_distributor(web=True)
    worker = own_cluster.start_worker(slots=1, arguments=["--memory", "1.5GiB"])
    assert own_cluster.dashboard_url is not None
    with own_cluster.connect() as client:
        assert wrapped(client, farm.hold)(50, 1.0)[1] == 50

    def page() -> str:
        program = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"
        url = f"{own_cluster.dashboard_url}workers/{worker.id}"
        return subprocess.run([sys.executable, "-c", program, url], capture_output=True, text=True, check=True).stdout

    wait_until(lambda: "1.5 GB allowed" in page() and "at most" in page(), 15, "limit and peak are shown")
