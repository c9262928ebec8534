"""`worker_function(..., hard_timeout=)`: a run is ended after that time, anywhere, and its caller gets JobTimeout."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster
from simpledist.errors import ConfigurationError, FunctionCrashed, JobTimeout
from simpledist.job import Info
from tests import commands
from tests.integration.functions import farm
from tests.waiting import wait_until

LONG = 600.0


def wrapped(client: simpledist.Client, local: Callable[..., Any], seconds: float | None = 1.0, **options: Any) -> Any:
    return simpledist.worker_function(client, local.__name__, local, hard_timeout=seconds, **options)


def info_of(future: simpledist.Future[Any]) -> Info:
    future.exception(60)
    assert future.info is not None
    return future.info


def runs_of(folder: Path, name: str) -> int:
    return len((folder / name).read_text().splitlines())


def at_home(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


@pytest.mark.parametrize("way", ["call", "submit", "map", "executor", "await"])
def test_a_run_that_hangs_on_a_worker_ends_and_the_worker_goes_on(own_cluster: Cluster, way: str) -> None:
    worker = own_cluster.start_worker(slots=2)
    with own_cluster.connect() as client:
        sleep = wrapped(client, farm.sleep)
        neighbour = wrapped(client, farm.sleep, None).submit(3.0)
        wait_until(neighbour.running, 10, "it runs")
        began = time.monotonic()
        if way == "call":
            with pytest.raises(JobTimeout, match=r"sleep ran for longer than hard_timeout=1 s, and was ended"):
                sleep(LONG)
        elif way == "submit":
            future = sleep.submit(LONG)
            assert isinstance(future.exception(30), JobTimeout)
            info = info_of(future)
            assert (info.where, info.why, info.worker, info.attempts) == ("remote", None, worker.id, 1)
            assert 0.9 < info.run_seconds < 2.5
        elif way == "map":
            values = sleep.map([0.0, LONG, 0.1])
            assert next(values) == 0.0
            with pytest.raises(JobTimeout):
                next(values)
            assert list(values) == [0.1]
        elif way == "executor":
            with client.executor() as executor:
                assert isinstance(executor.submit(sleep, LONG).exception(30), JobTimeout)
        else:

            async def one() -> None:
                await sleep.submit(LONG)

            with pytest.raises(JobTimeout):
                asyncio.run(one())
        assert 0.9 < time.monotonic() - began < 10
        assert neighbour.result(30) == 3.0
        assert info_of(neighbour).attempts == 1, "it was not harmed"
        assert info_of(sleep.submit(0.0)).worker == worker.id
        assert worker.running


def test_it_is_not_tried_elsewhere_and_people_read_that_it_timed_out(own_cluster: Cluster, tmp_path: Path) -> None:
    for _ in range(2):
        own_cluster.start_worker(slots=1)
    with own_cluster.connect() as client:
        future = wrapped(client, farm.log_run).submit(str(tmp_path), "ran", LONG)
        assert isinstance(future.exception(30), JobTimeout)
        assert wrapped(client, farm.log_run).stats().local == {}
    assert runs_of(tmp_path, "ran") == 1
    said = commands.run("explain", future.call.id, "--redis", own_cluster.url)
    assert "timed out (hard_timeout)" in said.stdout, said
    assert "JobTimeout" in commands.run("errors", "--redis", own_cluster.url).stdout


def test_jobs_behind_one_that_hangs_in_the_same_child_are_done(own_cluster: Cluster, tmp_path: Path) -> None:
    own_cluster.start_worker(slots=1)
    with own_cluster.connect() as client:
        quick = wrapped(client, farm.sleep)
        assert [one.result(30) for one in [quick.submit(0.0) for _ in range(200)]] == [0.0] * 200
        futures = [quick.submit(LONG if number in (20, 21) else 0.0) for number in range(100)]
        late = [number for number, one in enumerate(futures) if isinstance(one.exception(60), JobTimeout)]
        assert late == [20, 21]
        assert {info_of(one).where for one in futures} == {"remote"}


@pytest.mark.parametrize("way", ["no worker", "policy", "closed", "call", "map", "executor"])
def test_a_run_at_its_client_is_in_a_process_of_its_own_which_is_killed(own_cluster: Cluster, way: str) -> None:
    with own_cluster.connect() as client:
        f = wrapped(client, at_home, 1.0, policy="local" if way == "policy" else "remote")
        if way == "closed":
            client.close()
        began = time.monotonic()
        if way == "call":
            assert f(0.0) != os.getpid()
            with pytest.raises(JobTimeout):
                f(LONG)
        elif way == "map":
            values = f.map([0.0, LONG, 0.0])
            assert next(values) != os.getpid()
            with pytest.raises(JobTimeout):
                next(values)
            assert len(list(values)) == 1
        elif way == "executor":
            with client.executor(max_workers=2) as executor:
                first, second = executor.submit(f, LONG), executor.submit(f, 0.0)
                assert second.result(30) != os.getpid()
                assert isinstance(first.exception(30), JobTimeout)
        else:
            first, second = f.submit(0.0), f.submit(LONG)
            assert first.result(30) != os.getpid()
            assert isinstance(second.exception(30), JobTimeout)
            assert info_of(second).where == "local"
        assert time.monotonic() - began < 15


def test_the_time_on_the_cluster_and_the_time_of_a_run_are_two(own_cluster: Cluster) -> None:
    """`timeout=` alone would move what hangs into the caller."""
    own_cluster.start_worker(slots=1)
    with own_cluster.connect() as client:
        began = time.monotonic()
        future = wrapped(client, farm.sleep, 1.0, timeout=0.4).submit(LONG)
        assert isinstance(future.exception(30), JobTimeout)
        assert (info_of(future).where, info_of(future).why) == ("local", "timeout")
        assert 1.3 < time.monotonic() - began < 12


def test_a_call_is_what_it_is_without_it(own_cluster: Cluster) -> None:
    """Arguments as they were, values and exceptions, on a worker and here."""
    for worker in (False, True):
        if worker:
            own_cluster.start_worker(slots=1)
        with own_cluster.connect() as client:
            echo, numbers = wrapped(client, farm.echo, 20.0), [1, 2]
            future = echo.submit(numbers)
            numbers.append(3)
            assert future.result(30) == [1, 2]
            assert info_of(future).where == ("remote" if worker else "local")
            assert echo(value="named") == "named"
            assert wrapped(client, farm.pid, 20.0).submit().result(30) != os.getpid()
            with pytest.raises(LookupError, match="name"):
                wrapped(client, farm.slow_fail, 20.0)("/tmp", "name", 0.0)
            with pytest.raises(FunctionCrashed):
                wrapped(client, farm.die, 20.0)("exit")


def test_no_call_shares_a_job(own_cluster: Cluster, link: Link) -> None:
    own_cluster.start_worker(slots=2)
    with own_cluster.connect() as client:
        assert list(wrapped(client, farm.echo, None).map(range(2000))) == list(range(2000))
        link.call("HSET", Keys().named("meta", "echo"), "submitted", "0")
        echo = wrapped(client, farm.echo)
        assert list(echo.map(range(300), chunksize=100)) == list(range(300))
        assert [one.result(30) for one in [echo.submit(n) for n in range(300)]] == list(range(300))
    assert link.call("HGET", Keys().named("meta", "echo"), "submitted") == b"600"


@pytest.mark.parametrize("worker", [False, True])
def test_what_cannot_be_pickled_is_refused_at_the_call(own_cluster: Cluster, worker: bool) -> None:
    if worker:
        own_cluster.start_worker(slots=1)
    lock = threading.Lock()
    with own_cluster.connect() as client:
        echo = wrapped(client, farm.echo)
        calls: list[Callable[[Any], Any]] = [echo, echo.submit, lambda one: next(echo.map([one]))]
        for call in calls:
            with pytest.raises(ConfigurationError, match=r"echo: hard_timeout= needs .*pickle"):
                call(lock)

        def closing_over_it(value: int) -> str:
            return f"{lock} {value}"

        closure = simpledist.worker_function(client, "echo", closing_over_it, hard_timeout=1)
        with pytest.raises(ConfigurationError, match=r"echo: hard_timeout= needs .*pickle"):
            closure.submit(1)
        with pytest.raises(ConfigurationError, match=r"lock: hard_timeout= needs calls and outcomes .*pickle"):
            wrapped(client, farm.lock)()
        assert echo(1) == 1


def test_it_goes_along_with_code_that_travels(own_cluster: Cluster) -> None:
    worker = own_cluster.start_worker(slots=1, arguments=["--any"])
    with own_cluster.connect() as client:
        away = simpledist.worker_function(client, "not_offered", at_home, hard_timeout=1)
        assert info_of(away.submit(0.0)).worker == worker.id
        future = away.submit(LONG)
        assert isinstance(error := future.exception(30), JobTimeout)
        assert str(error).startswith("not_offered ran for longer")
        assert info_of(future).where == "remote"


def test_who_joins_without_it_is_not_ended(own_cluster: Cluster) -> None:
    own_cluster.start_worker(slots=2)
    with own_cluster.connect() as client:
        with_end = wrapped(client, farm.sleep, 1.0, join=True).submit(2.5)
        without = wrapped(client, farm.sleep, None, join=True).submit(2.5)
        also = wrapped(client, farm.sleep, 1.0, join=True).submit(2.5)
        assert isinstance(with_end.exception(30), JobTimeout)
        assert isinstance(also.exception(30), JobTimeout)
        assert without.result(30) == 2.5


def call_inside(seconds: float) -> str:
    f = simpledist.worker_function(simpledist.connect(), "at_home", at_home, hard_timeout=1)
    try:
        return str(f(seconds) == os.getpid())
    except JobTimeout:
        return "ended"


def test_a_call_inside_of_a_call_is_ended_too(own_cluster: Cluster) -> None:
    own_cluster.start_worker(slots=1, arguments=["--any"])
    with own_cluster.connect() as client, client.executor() as executor:
        futures = [executor.submit(call_inside, seconds) for seconds in (0.0, LONG)]
        assert [one.result(60) for one in futures] == ["False", "ended"]
        assert {info_of(one).where for one in futures} == {"remote"}


@pytest.mark.parametrize("codec", ["pickle", "json"])
def test_a_cluster_for_unit_tests_ends_it_too(codec: str) -> None:
    f = wrapped(simpledist.connect("memory://"), farm.sleep, 1.0, codec=codec)
    assert f(0.0) == 0.0
    with pytest.raises(JobTimeout):
        f(LONG)


@pytest.mark.parametrize("seconds", [0, -1, "2", True, float("nan"), 1e10])
def test_what_is_no_time_is_refused_where_it_is_written(seconds: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"worker_function\('echo'\): hard_timeout=.* seconds: use a positive"):
        wrapped(simpledist.connect("memory://"), farm.echo, seconds)
