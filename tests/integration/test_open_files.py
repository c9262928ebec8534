"""A program with more open files than `select` can name calls as any other."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator

import pytest

import simpledist
from simpledist.cluster import Cluster
from tests.integration.functions import farm

SELECTABLE = 1024


@pytest.fixture
def many_open_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = SELECTABLE + 200
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    files = [os.open(os.devnull, os.O_RDONLY)]
    while files[-1] < SELECTABLE:
        files.append(os.dup(files[0]))
    yield
    for one in files:
        os.close(one)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_open_files")
def test_a_program_with_a_thousand_open_files_calls_as_any_other(cluster: Cluster) -> None:
    with cluster.connect() as client:
        fib = simpledist.worker_function(client, "fib", farm.fib)
        assert fib(20) == 6765
        future = fib.submit(20)
        assert future.result(20) == 6765
        assert future.info is not None
        assert future.info.where == "remote"
        assert list(fib.map([5] * 200)) == [5] * 200
