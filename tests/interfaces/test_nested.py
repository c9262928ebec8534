"""Calls made inside of calls, in a worker's child and in a local run: they run there and never deadlock."""

# joblib and dask have no types.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

import simpledist
import simpledist.joblib  # registers the backend
from simpledist.cluster import Cluster

joblib: Any = import_module("joblib")
dask: Any = import_module("dask")

SECONDS = 60  # what a hang would outlast: the first call of a child imports dask and joblib


def square(n: int) -> int:
    return n * n


def by_submit(client: simpledist.Client) -> Any:
    inner = simpledist.worker_function(client, "inner", square)
    middle = simpledist.worker_function(client, "middle", lambda n: inner.submit(n).result() + 1)
    outer = simpledist.worker_function(client, "outer", lambda n: middle.submit(n).result() + 1)
    return outer.submit(3).result()


def by_map(client: simpledist.Client) -> Any:
    inner = simpledist.worker_function(client, "inner", square)
    outer = simpledist.worker_function(client, "outer", lambda n: sum(inner.map(range(n))))
    return list(outer.map(range(5)))


def by_executor(client: simpledist.Client) -> Any:
    with client.executor() as executor:
        return executor.submit(lambda n: executor.submit(square, n).result() + 2, 3).result()


def by_wait(client: simpledist.Client) -> Any:
    with client.executor() as executor:

        def outer(n: int) -> int:
            futures = [executor.submit(square, k) for k in range(n)]
            done = concurrent.futures.wait(futures).done
            return sum(future.result() for future in (*done, *concurrent.futures.as_completed(futures)))

        return list(executor.map(outer, range(4)))


def by_recursion(client: simpledist.Client) -> Any:
    def fib(n: int) -> int:
        return n if n < 2 else sum(future.result() for future in [again.submit(n - 1), again.submit(n - 2)])

    again: Any = simpledist.worker_function(client, "again", fib)
    return again.submit(7).result()


def by_joblib(_: simpledist.Client) -> Any:
    with joblib.parallel_config(backend="simpledist"):
        return joblib.Parallel()(joblib.delayed(square)(n) for n in range(4))


def by_joblib_in_joblib(_: simpledist.Client) -> Any:
    def inner(n: int) -> Any:
        return joblib.Parallel(backend="simpledist", n_jobs=2)(joblib.delayed(square)(k) for k in range(n))

    return joblib.Parallel(backend="simpledist", n_jobs=2)(joblib.delayed(inner)(n) for n in range(3))


def by_dask(client: simpledist.Client) -> Any:
    with client.executor() as executor:
        total = dask.delayed(sum)([dask.delayed(square)(n) for n in range(4)])
        return [total.compute(scheduler=scheduler) for scheduler in (executor, "threads", "sync")]


def by_dask_in_dask(client: simpledist.Client) -> Any:
    with client.executor() as executor:

        def inner(n: int) -> Any:
            return dask.delayed(sum)([dask.delayed(square)(k) for k in range(n)]).compute(scheduler=executor)

        return dask.delayed(list)([dask.delayed(inner)(n) for n in range(4)]).compute(scheduler=executor)


WAYS: list[tuple[Callable[[simpledist.Client], Any], Any]] = [
    (by_submit, 11),
    (by_map, [0, 0, 1, 5, 14]),
    (by_executor, 11),
    (by_wait, [0, 0, 2, 10]),
    (by_recursion, 13),
    (by_dask, [14, 14, 14]),
    (by_dask_in_dask, [0, 0, 1, 5]),
    (by_joblib, [0, 1, 4, 9]),
    (by_joblib_in_joblib, [[], [0], [0, 1]]),
]


def connected(way: Callable[[simpledist.Client], Any]) -> Any:
    with simpledist.connect() as client:
        return way(client)


@pytest.mark.parametrize(("way", "value"), WAYS, ids=lambda one: getattr(one, "__name__", ""))
def test_calls_in_a_child_run_there(
    client: simpledist.Client, way: Callable[[simpledist.Client], Any], value: Any
) -> None:
    with client.executor() as executor:
        future = executor.submit(connected, way)
        assert future.result(SECONDS) == value
    assert future.info is not None
    assert (future.info.where, future.info.why) == ("remote", None)


@pytest.mark.parametrize(("way", "value"), WAYS[:7], ids=lambda one: getattr(one, "__name__", ""))
def test_calls_in_a_local_run_never_wait_for_the_place_that_it_takes(
    way: Callable[[simpledist.Client], Any], value: Any
) -> None:
    values: list[Any] = []

    def run() -> None:
        with simpledist.connect("redis://127.0.0.1:1") as client:
            values.append(way(client))

    # In a thread, so that a deadlock fails the test and does not hang it.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert values == [value]


def test_a_function_finds_the_backend_that_its_program_has_registered(own_cluster: Cluster) -> None:
    def nested() -> Any:
        # Nothing that this function names imports simpledist.joblib, and no other call has come to this child.
        library: Any = import_module("joblib")
        with library.parallel_config(backend="simpledist"):
            return library.Parallel()(library.delayed(pow)(n, 2) for n in range(4)), library.effective_n_jobs(None)

    own_cluster.start_worker("--any")
    with own_cluster.connect() as client, client.executor() as executor:
        future = executor.submit(nested)
        assert future.result(SECONDS) == ([0, 1, 4, 9], 1)
        assert future.info is not None
        assert future.info.where == "remote"
