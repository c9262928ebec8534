"""Processes that outlive one test on purpose: the clusters that a module's tests share."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from simpledist.cluster import Cluster
from tests.key_leaks import no_key_stays

roots: set[int] = set()  # of each, everything below it is its own affair


@contextmanager
def shared(cluster: Cluster) -> Generator[Cluster]:
    """Let the workers that this cluster has now outlive a test; at the end, fail if a key stays in its Redis."""
    pids = {worker.pid for worker in cluster.workers}
    roots.update(pids)
    yield cluster
    roots.difference_update(pids)
    no_key_stays(cluster.url)
