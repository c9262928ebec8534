"""Clients, worker functions and executors as arguments and in closures: where they arrive they are nested and local."""

from __future__ import annotations

import copy
import math
import pickle
import subprocess
import sys
from typing import Any

import simpledist
from simpledist.cluster import Cluster
from tests.integration.functions import farm


def offered(client: simpledist.Client, name: str) -> Any:
    return simpledist.worker_function(client, name, getattr(farm, name))


def test_a_client_a_function_and_an_executor_travel_as_arguments(client: simpledist.Client) -> None:
    futures = [
        offered(client, "apply").submit(simpledist.worker_function(client, "fib", math.factorial), 5),
        offered(client, "with_client").submit(client, 10),
        offered(client, "with_executor").submit(client.executor(2), [-1, -2]),
    ]
    assert [future.result(30) for future in futures] == [120, (55, "nested"), [1, 2]]
    assert [future.info.where for future in futures] == ["remote"] * 3


def test_a_closure_over_a_function_travels(own_cluster: Cluster) -> None:
    own_cluster.start_worker(arguments=["--any"])
    with own_cluster.connect() as client:
        fib: Any = simpledist.worker_function(client, "fib", math.factorial)

        def twice(n: int) -> int:
            return fib(n) + fib.submit(n).result()

        future = client.executor().submit(twice, 10)
        assert future.result(30) == 2 * math.factorial(10)
        assert future.info is not None
        assert future.info.where == "remote"


def test_a_pickled_client_holds_no_address_and_is_itself_at_home(client: simpledist.Client) -> None:
    data = pickle.dumps(client)
    assert client.config.url.encode() not in data
    assert pickle.loads(data) is client  # noqa: S301
    assert copy.deepcopy(client) is client
    function = pickle.loads(pickle.dumps(offered(client, "fib")))  # noqa: S301
    assert function.engine is client.engine
    assert function(10) == 55


def test_a_client_that_arrives_in_a_program_opens_nothing_and_runs_calls_there(client: simpledist.Client) -> None:
    program = (
        "import pickle, sys\n"
        "function = pickle.load(sys.stdin.buffer)\n"
        "future = function.submit(5)\n"
        "print(future.result(), future.info.why)\n"
    )
    function = simpledist.worker_function(client, "fib", math.factorial)
    done = subprocess.run(
        [sys.executable, "-c", program], input=pickle.dumps(function), capture_output=True, check=True, timeout=60
    )
    assert done.stdout.decode().split() == ["120", "nested"]
    assert b"Redis" not in done.stderr
