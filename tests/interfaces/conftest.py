"""A cluster for each module: a worker that offers the farm by name, and one that takes any function."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import simpledist
from simpledist.client.pool import Pool
from simpledist.cluster import Cluster
from tests import standing
from tests.trees import ROOT

FUNCTIONS = ROOT / "tests" / "integration" / "functions"
# What travels with its call may need modules of these tests.
ENVIRONMENT = {"PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster("farm", workers=1, slots=2, folder=FUNCTIONS, environment=ENVIRONMENT) as one:
        one.start_worker("--any", slots=2)
        with standing.shared(one):
            yield one


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A cluster that a test may break: no worker yet."""
    with Cluster("farm", workers=0, slots=1, folder=FUNCTIONS, environment=ENVIRONMENT) as one:
        yield one


@pytest.fixture
def pool(client: simpledist.Client) -> Iterator[Pool]:
    with client.pool() as one:
        yield one
