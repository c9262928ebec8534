"""A cluster for each module: a worker that offers the farm by name, and one that takes any function."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import simpledist
from simpledist.cluster import Cluster
from tests import standing
from tests.key_leaks import no_key_stays

ROOT = Path(__file__).parents[2]
FUNCTIONS = ROOT / "tests" / "integration" / "functions"
# What travels with its call may need modules of these tests.
ENVIRONMENT = {"PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster("farm", workers=1, slots=2, folder=FUNCTIONS, environment=ENVIRONMENT) as one:
        one.start_worker("--any", slots=2)
        pids = {worker.pid for worker in one.workers}
        standing.roots.update(pids)
        yield one
        standing.roots.difference_update(pids)
        no_key_stays(one.url)


@pytest.fixture
def client(cluster: Cluster) -> Iterator[simpledist.Client]:
    with cluster.connect() as one:
        yield one


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A cluster that a test may break: no worker yet."""
    with Cluster("farm", workers=0, slots=1, folder=FUNCTIONS, environment=ENVIRONMENT) as one:
        yield one
