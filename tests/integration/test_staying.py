"""Maps that no one takes: short calls run in their caller's own loop, and the rest travels when somebody is there."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

import pytest

import simpledist
from simpledist.broker import Link
from simpledist.cluster import Cluster
from simpledist.job import Policy

HERE = "here"
POLICIES: tuple[Policy, ...] = ("remote", "auto")


def local(_: int) -> str:
    return HERE


def offered(client: simpledist.Client, run: Callable[..., Any] = local, policy: Policy = "remote") -> Any:
    return simpledist.worker_function(client, "echo", run, policy=policy)


def counted(link: Link, why: str) -> int:
    return int(link.call("HGET", "simpledist:meta:echo", f"local:{why}") or 0)


@pytest.mark.parametrize("policy", POLICIES)
def test_short_calls_run_where_they_are_asked_for(own_cluster: Cluster, link: Link, policy: Policy) -> None:
    threads: Counter[int] = Counter()

    def run(n: int) -> int:
        threads[threading.get_ident()] += 1
        return n

    with own_cluster.connect() as client:
        function = offered(client, run, policy)
        assert function(0) == 0  # now they are known to be short
        assert list(function.map(range(3000))) == list(range(3000))
    assert threads[threading.get_ident()] > 2900
    whys = ("no_worker", "cheaper")
    assert sum(counted(link, why) for why in whys) == 3001, "every call is counted, and none twice"


def test_no_redis_is_needed_for_it() -> None:
    threads: set[int] = set()

    def run(n: int) -> int:
        threads.add(threading.get_ident())
        return n

    with simpledist.connect("redis://127.0.0.1:1/0") as client:
        function = offered(client, run)
        function(0)
        outcomes = function.map(range(1000))
        assert next(outcomes) == 0
        assert list(outcomes) == list(range(1, 1000))
    assert threads == {threading.get_ident()}


def test_the_rest_travels_when_a_worker_comes(own_cluster: Cluster) -> None:
    with own_cluster.connect() as client:
        outcomes = offered(client).map(iter(int, 1))
        assert {next(outcomes) for _ in range(1000)} == {HERE}
        own_cluster.start_worker()
        deadline = time.monotonic() + 30
        for value in outcomes:
            if value == 0:
                break
            assert time.monotonic() < deadline, "no call travels"
        outcomes.close()


def test_only_what_ran_is_counted(own_cluster: Cluster, link: Link) -> None:
    ran: list[int] = []
    with own_cluster.connect() as client:
        function = offered(client, ran.append)
        function(0)
        outcomes = function.map(range(2000))
        for _ in range(700):
            next(outcomes)
        outcomes.close()
        assert list(outcomes) == []
    assert counted(link, "no_worker") == len(ran)


@pytest.mark.parametrize("error", [ZeroDivisionError, StopIteration, SystemExit])
def test_whatever_a_call_raises_stands_at_its_place(own_cluster: Cluster, error: type[BaseException]) -> None:
    raising = {299, 300, 511, 512, 999}

    def run(n: int) -> int:
        if n in raising:
            raise error
        return n

    with own_cluster.connect() as client:
        function = offered(client, run)
        function(0)
        outcomes = function.map(range(1000))
        found: list[int | None] = []
        while len(found) < 1000:
            try:
                found.append(next(outcomes))
            except error:
                found.append(None)
        assert next(outcomes, "the end") == "the end"
    assert found == [None if n in raising else n for n in range(1000)]


@pytest.mark.parametrize("at", [0, 1, 300, 511, 999])
def test_ctrl_c_in_a_call_ends_the_map(own_cluster: Cluster, at: int) -> None:
    ran: list[int] = []

    def run(n: int) -> int:
        ran.append(n)
        if n == at:
            raise KeyboardInterrupt
        return n

    with own_cluster.connect() as client:
        outcomes = offered(client, run, "local").map(range(1000))
        with pytest.raises(KeyboardInterrupt):
            list(outcomes)
        assert list(outcomes) == []
    assert ran == list(range(at + 1))


@pytest.mark.parametrize("chunksize", [1, 64, "auto"])
def test_a_map_of_a_closed_client_runs_here_however_its_calls_would_travel(
    own_cluster: Cluster, chunksize: Literal["auto"] | int
) -> None:
    own_cluster.start_worker()
    with own_cluster.connect() as client:
        function = offered(client)
        assert set(function.map(range(300), chunksize=chunksize)) != {HERE}
    assert set(function.map(range(3000), chunksize=chunksize)) == {HERE}
