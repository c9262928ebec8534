"""Joined calls: identical calls in flight are run once, no matter who makes them, and whatever dies meanwhile."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.cluster import Cluster
from simpledist.job import Info
from tests.integration.functions import farm
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


def joined(client: simpledist.Client, local: Callable[..., Any] = farm.log_run, **options: Any) -> Any:
    return simpledist.worker_function(client, local.__name__, local, join=True, **options)


def runs(folder: Path, name: str) -> int:
    path = folder / name
    return len(path.read_text().splitlines()) if path.exists() else 0


def info_of(future: simpledist.Future[Any]) -> Info:
    assert future.info is not None
    return future.info


@pytest.fixture
def clients(cluster: Cluster) -> Iterator[list[simpledist.Client]]:
    with ExitStack() as stack:
        yield [stack.enter_context(cluster.connect()) for _ in range(4)]


# --- one run -------------------------------------------------------------------------------------------------------


def test_a_hundred_clients_that_ask_the_same_cause_one_run(cluster: Cluster, tmp_path: Path) -> None:
    with ExitStack() as stack:
        functions = [joined(stack.enter_context(cluster.connect())) for _ in range(100)]
        began = time.monotonic()
        futures = [one.submit(str(tmp_path), "one", 2.0) for one in functions]
        assert [future.result(30) for future in futures] == ["one"] * 100
        assert time.monotonic() - began < 20
        assert runs(tmp_path, "one") == 1
        assert sum(info_of(future).joined for future in futures) == 99
        assert {info_of(future).where for future in futures} == {"remote"}


def test_identical_calls_of_one_client_are_one_run(clients: list[simpledist.Client], tmp_path: Path) -> None:
    one = joined(clients[0])
    futures = [one.submit(str(tmp_path), "one", 0.5) for _ in range(20)]
    assert list(one.map([str(tmp_path)] * 5, ["one"] * 5, [0.5] * 5)) == ["one"] * 5
    assert one(str(tmp_path), "one", 0.5) == "one"
    assert [future.result(30) for future in futures] == ["one"] * 20
    assert runs(tmp_path, "one") in (1, 2)  # the plain call came when the others had ended


def test_every_caller_gets_the_exception(clients: list[simpledist.Client], tmp_path: Path) -> None:
    futures = [joined(client, farm.slow_fail).submit(str(tmp_path), "one", 0.5) for client in clients]
    for future in futures:
        with pytest.raises(LookupError, match="one"):
            future.result(30)
    assert runs(tmp_path, "one") == 1


@pytest.mark.parametrize("size", [10, 50_000, 200_000])
def test_every_caller_reads_a_value_of_its_own(clients: list[simpledist.Client], size: int) -> None:
    def values(client: simpledist.Client) -> list[simpledist.Future[Any]]:
        sleeps = simpledist.worker_function(client, "sleep_and_echo", farm.sleep_and_echo, join=True)
        return [sleeps.submit(0.4, b"x" * size) for _ in range(3)]

    futures = [future for client in clients for future in values(client)]
    found = [future.result(30) for future in futures]
    assert found == [[b"x" * size]] * len(futures)
    assert len({id(value) for value in found}) == len(futures)
    assert sum(info_of(future).joined for future in futures) == len(futures) - 1


def test_a_call_after_the_end_of_another_is_run_anew(clients: list[simpledist.Client], tmp_path: Path) -> None:
    for client in clients[:3]:
        assert joined(client)(str(tmp_path), "one", 0) == "one"
    assert runs(tmp_path, "one") == 3


def test_calls_that_differ_in_arguments_version_or_code_are_not_joined(clients: list[simpledist.Client]) -> None:
    def other(seconds: float) -> float:
        return seconds + 1

    sleep = joined(clients[0], farm.sleep)
    futures = [sleep.submit(0.3), sleep.submit(0.4), sleep.submit(seconds=0.3)]
    futures.append(simpledist.worker_function(clients[1], "sleep", other, join=True).submit(0.3))
    futures.append(simpledist.worker_function(clients[2], "sleep", farm.sleep).submit(0.3))
    assert [future.result(30) for future in futures] == [0.3, 0.4, 0.3, 0.3, 0.3]
    assert not any(info_of(future).joined for future in futures)


def test_what_cannot_be_keyed_runs_as_ever_and_is_said_once(
    client: simpledist.Client, caplog: pytest.LogCaptureFixture
) -> None:
    echo = joined(client, farm.echo)
    with caplog.at_level(logging.WARNING, "simpledist"):
        for _ in range(3):
            assert isinstance(echo(ValueError("no form")), ValueError)
        wait_until(lambda: caplog.records, 10, "another thread logs the line")
    assert [record.getMessage() for record in caplog.records] == [
        "function echo: calls like this one are neither joined nor cached: a builtins.ValueError has no canonical form"
    ]


# --- callers that go -----------------------------------------------------------------------------------------------


def test_a_call_that_is_given_up_does_not_end_it_for_the_others(
    clients: list[simpledist.Client], tmp_path: Path
) -> None:
    first, second, third = (joined(client) for client in clients[:3])
    futures = [one.submit(str(tmp_path), "one", 1.0) for one in (first, first, second, second, third)]
    wait_until(lambda: runs(tmp_path, "one") == 1, 10, "it runs")
    assert futures[0].cancel()
    assert futures[2].cancel()
    assert futures[4].cancel()
    assert [futures[1].result(30), futures[3].result(30)] == ["one", "one"]
    assert runs(tmp_path, "one") == 1


def test_when_all_have_given_it_up_it_is_stopped(clients: list[simpledist.Client], tmp_path: Path) -> None:
    futures = [joined(client).submit(str(tmp_path), "one", 60) for client in clients for _ in range(2)]
    wait_until(lambda: runs(tmp_path, "one") == 1, 10, "it runs")
    assert all(future.cancel() for future in futures)
    began = time.monotonic()
    sleep = simpledist.worker_function(clients[0], "sleep", farm.sleep)
    assert list(sleep.map([0.0, 0.0])) == [0.0, 0.0]
    assert time.monotonic() - began < 5.0


def test_a_spent_budget_ends_only_the_call_that_it_belongs_to(clients: list[simpledist.Client], tmp_path: Path) -> None:
    patient = joined(clients[0]).submit(str(tmp_path), "one", 1.5)
    wait_until(lambda: runs(tmp_path, "one") == 1, 10, "it runs")
    hasty = [
        simpledist.worker_function(client, "log_run", farm.log_run, join=True, timeout=0.2) for client in clients[:2]
    ]
    futures = [one.submit(str(tmp_path), "one", 1.5) for one in hasty]
    assert [future.result(30) for future in futures] == ["one", "one"]
    assert [info_of(future).why for future in futures] == ["timeout", "timeout"]
    assert patient.result(30) == "one"
    assert info_of(patient).where == "remote"
    assert runs(tmp_path, "one") == 3


CALLER = """
import sys
import simpledist
from tests.integration.functions import farm
with simpledist.connect(sys.argv[1]) as client:
    one = simpledist.worker_function(client, "log_run", farm.log_run, join=True)
    print(one(sys.argv[2], "one", 3.0), flush=True)
"""


def test_the_first_caller_is_killed_and_the_others_get_the_outcome_of_its_run(
    clients: list[simpledist.Client], cluster: Cluster, tmp_path: Path
) -> None:
    first = subprocess.Popen([sys.executable, "-c", CALLER, cluster.url, str(tmp_path)], cwd=ROOT)
    try:
        wait_until(lambda: runs(tmp_path, "one") == 1, 15, "its call runs")
        futures = [joined(client).submit(str(tmp_path), "one", 3.0) for client in clients]
        wait_until(lambda: all(future.joined for future in futures), 5, "the others have joined it")
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert [future.result(30) for future in futures] == ["one"] * 4
    assert runs(tmp_path, "one") == 1


def test_a_client_that_closes_leaves_the_job_to_the_others(
    clients: list[simpledist.Client], cluster: Cluster, tmp_path: Path
) -> None:
    with cluster.connect() as first:
        joined(first).submit(str(tmp_path), "one", 1.0)
        wait_until(lambda: runs(tmp_path, "one") == 1, 10, "it runs")
        futures = [joined(client).submit(str(tmp_path), "one", 1.0) for client in clients]
        wait_until(lambda: all(future.joined for future in futures), 5, "the others have joined it")
        first.close(wait=False)
    assert [future.result(30) for future in futures] == ["one"] * 4
    assert runs(tmp_path, "one") == 1


# --- faults ----------------------------------------------------------------------------------------------------------


def test_the_worker_is_killed_and_another_runs_it_once_for_all(own_cluster: Cluster, tmp_path: Path) -> None:
    first = own_cluster.start_worker(slots=1)
    with ExitStack() as stack:
        functions = [joined(stack.enter_context(own_cluster.connect())) for _ in range(10)]
        futures = [one.submit(str(tmp_path), "one", 4.0) for one in functions for _ in range(2)]
        wait_until(lambda: runs(tmp_path, "one") == 1, 10, "it runs")
        own_cluster.start_worker(slots=1)
        first.kill()
        assert [future.result(30) for future in futures] == ["one"] * 20
        assert {info_of(future).where for future in futures} == {"remote"}
        assert runs(tmp_path, "one") == 2


def test_without_any_worker_left_each_caller_runs_it_here(own_cluster: Cluster, tmp_path: Path) -> None:
    worker = own_cluster.start_worker(slots=1)
    with own_cluster.connect() as client:
        futures = [joined(client).submit(str(tmp_path), "one", 0.5) for _ in range(3)]
        wait_until(lambda: runs(tmp_path, "one") == 1, 10, "it runs")
        worker.kill()
        assert [future.result(30) for future in futures] == ["one"] * 3
        assert {info_of(future).why for future in futures} == {"no_worker"}


def test_redis_restarts_empty_while_twenty_wait_for_one(own_cluster: Cluster, tmp_path: Path) -> None:
    own_cluster.start_worker(slots=1)
    with ExitStack() as stack:
        functions = [joined(stack.enter_context(own_cluster.connect())) for _ in range(10)]
        futures = [one.submit(str(tmp_path), "one", 2.0) for one in functions for _ in range(2)]
        wait_until(lambda: sum(future.joined for future in futures) == 19, 10, "nineteen have joined")
        wait_until(lambda: runs(tmp_path, "one") == 1, 10, "it runs")
        own_cluster.redis.kill()
        own_cluster.redis.start()
        assert [future.result(60) for future in futures] == ["one"] * 20
        assert {info_of(future).where for future in futures} == {"remote"}
        # Once more than without the fault, and again for clients that find Redis only when that run has ended.
        assert runs(tmp_path, "one") <= 4


def test_a_joined_call_that_kills_its_child_crashes_for_each_caller(own_cluster: Cluster) -> None:
    own_cluster.start_worker(slots=2)
    home = os.getpid()
    with own_cluster.connect() as first, own_cluster.connect() as second:
        calls = [
            simpledist.worker_function(one, "die_on_worker", farm.die_on_worker, join=True) for one in (first, second)
        ]
        futures = [one.submit(home) for one in calls]
        assert [future.result(60) for future in futures] == ["at home", "at home"]
        assert {info_of(future).why for future in futures} == {"crashed"}


def test_threads_that_join_and_give_up_at_random_all_get_their_outcome(clients: list[simpledist.Client]) -> None:
    wrong: list[object] = []

    def call(number: int) -> None:
        sleep = joined(clients[number % len(clients)], farm.sleep)
        for turn in range(15):
            future = sleep.submit(0.01 * (turn % 3))
            if (number + turn) % 5 == 0 and future.cancel():
                continue
            if future.result(30) != 0.01 * (turn % 3):
                wrong.append(future)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []
