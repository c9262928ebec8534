"""A real cluster for each module: real Redis, real worker processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from simpledist.broker import Link
from simpledist.cluster import Cluster
from tests import standing
from tests.key_leaks import no_key_stays
from tests.links import open_link

FUNCTIONS = Path(__file__).parent / "functions"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One worker with two slots that offers everything in functions/farm.py."""
    with Cluster("farm", workers=1, slots=2, folder=FUNCTIONS) as one, standing.shared(one):
        yield one


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A cluster that a test may break: no worker yet."""
    with Cluster("farm", workers=0, slots=2, folder=FUNCTIONS) as one:
        yield one
        if one.redis.running:
            no_key_stays(one.url)


@pytest.fixture
def bare_cluster(tmp_path: Path) -> Iterator[Cluster]:
    """One worker with two slots that takes any function, in an empty folder and with a cache of its own."""
    empty = tmp_path / "empty"
    empty.mkdir()
    with Cluster(workers=0, slots=2, folder=empty) as one:
        one.start_worker(arguments=["--any"], environment={"XDG_CACHE_HOME": str(tmp_path / "cache")})
        yield one


@pytest.fixture
def link(own_cluster: Cluster) -> Iterator[Link]:
    with open_link(own_cluster.url) as one:
        yield one
