"""Tests of a program that uses simpledist: run `pytest` in this folder. The fixtures come with simpledist."""

from __future__ import annotations

import fns
import pytest

import simpledist
from simpledist.testing import Cluster


def test_without_any_server(simpledist_memory: simpledist.Client) -> None:
    fib = simpledist.worker_function(simpledist_memory, "fib", fns.fib)
    assert list(fib.map(range(5))) == [0, 1, 1, 2, 3]


@pytest.mark.simpledist("fns", slots=2)
def test_on_a_real_worker(simpledist_client: simpledist.Client) -> None:
    primes = simpledist.worker_function(simpledist_client, "primes", fns.primes)
    future = primes.submit(0, 100)
    assert future.result() == 25
    assert future.info is not None
    assert future.info.where == "remote"


@pytest.mark.simpledist("fns:fib", workers=2, slots=1)
def test_a_worker_dies(simpledist_cluster: Cluster) -> None:
    with simpledist.connect() as dist:  # without arguments it leads to this test's cluster
        fib = simpledist.worker_function(dist, "fib", fns.fib)
        futures = [fib.submit(24) for _ in range(6)]
        simpledist_cluster.workers[0].kill()
        assert [future.result() for future in futures] == [46368] * 6
