"""The pytest plugin: fixtures that give a user's tests a real private cluster, or one in memory.

Loaded by pytest itself (entry point `pytest11`) in every run wherever simpledist is installed: it imports nothing of
simpledist until a fixture is asked for.

    @pytest.mark.simpledist("fns:fib", slots=2)          # the worker's targets, and options of Cluster
    def test_on_a_worker(simpledist_cluster): ...        # real Redis, worker and processes, in under a second

    def test_without_any(simpledist_memory): ...         # connect("memory://")

While one of these is in use, `simpledist.connect()` without arguments leads to it. `Cluster` is here as well, for
fixtures of your own with a wider scope.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from simpledist.client.client import Client
    from simpledist.cluster import Cluster

__all__ = ["Cluster", "simpledist_client", "simpledist_cluster", "simpledist_memory"]

MARK = "simpledist"


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known, so that --strict-markers accepts it."""
    config.addinivalue_line(
        "markers",
        f"{MARK}(*targets, workers=1, slots=None, folder=None, distributor=False, ...): what the workers of "
        "simpledist_cluster offer, and options of simpledist.testing.Cluster",
    )


@pytest.fixture
def simpledist_cluster(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Give this test a cluster: Redis, and a worker if a `simpledist` mark names targets; `start_worker` adds more.

    Workers import what the test can import. What they wrote is shown with a test that fails.
    """
    mark = request.node.get_closest_marker(MARK)
    targets, options = (mark.args, dict(mark.kwargs)) if mark is not None else ((), {})
    path = os.pathsep.join(entry or os.curdir for entry in sys.path)
    options["environment"] = {"PYTHONPATH": path, **options.get("environment", {})}
    with import_module("simpledist.cluster").Cluster(targets, **options) as cluster:
        _lead_here(monkeypatch, cluster.url, cluster.namespace)
        yield cluster
        for process in [*cluster.workers, *cluster.distributors]:
            sys.stderr.write(process.stderr_text())


@pytest.fixture
def simpledist_client(simpledist_cluster: Cluster) -> Client:
    """Give this test a client of `simpledist_cluster`, closed with the cluster."""
    return simpledist_cluster.connect()


@pytest.fixture
def simpledist_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Give this test a client of memory://: no server, no worker, and each call runs at once."""
    _lead_here(monkeypatch, "memory://", None)
    with import_module("simpledist").connect() as client:
        yield client


def _lead_here(monkeypatch: pytest.MonkeyPatch, url: str, namespace: str | None) -> None:
    monkeypatch.setenv("SIMPLEDIST_REDIS_URL", url)
    monkeypatch.delenv("SIMPLEDIST_SECRET_FILE", raising=False)
    if namespace is None:
        monkeypatch.delenv("SIMPLEDIST_NAMESPACE", raising=False)
    else:
        monkeypatch.setenv("SIMPLEDIST_NAMESPACE", namespace)


def __getattr__(name: str) -> Any:
    if name == "Cluster":
        return import_module("simpledist.cluster").Cluster
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
