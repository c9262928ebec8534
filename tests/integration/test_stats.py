"""`f.stats()` and `repr(f)`: what the calls of a function came to, whichever way they went, and where they go."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import pytest

import simpledist
from simpledist.cluster import Cluster
from tests import commands
from tests.integration.functions import farm
from tests.waiting import wait_until


@pytest.fixture
def client(cluster: Cluster) -> Iterator[simpledist.Client]:
    with cluster.connect() as one:
        yield one


def kept(number: int) -> int:
    return number


def use(f: Any) -> int:
    """Call a function in every way; return how many calls that were."""
    f(3)
    with contextlib.suppress(TypeError):
        f("no number")
    f.submit(4).result(30)
    assert isinstance(f.submit("no number").exception(30), TypeError)
    assert len(list(f.map(range(10)))) == 10
    assert len(list(f.map([1] * 3000))) == 3000
    for future in [f.submit(1) for _ in range(100)]:
        future.result(30)
    with contextlib.suppress(TypeError):
        list(f.map(["no number"]))
    return 3115


def test_every_way_to_a_worker_is_counted_once(client: simpledist.Client) -> None:
    f = simpledist.worker_function(client, "fib", farm.fib)
    assert f.stats() == simpledist.Stats()
    calls = use(f)
    stats = f.stats()
    assert (stats.calls, stats.remote, stats.local, stats.failed) == (calls, calls, {}, 3)
    assert stats.mean_run_seconds is not None
    assert stats.mean_wait_seconds is not None
    assert 0 <= stats.mean_run_seconds < 1
    assert repr(f).endswith(f": goes to workers; {calls:,} calls>")


@pytest.mark.parametrize("options", [{}, {"policy": "local"}], ids=str)
def test_every_way_here_is_counted_once(options: Any) -> None:
    url = f"redis://127.0.0.1:{commands.free_port()}/0"
    why = "local" if options else "redis_down"
    with simpledist.connect(url) as client:
        f = simpledist.worker_function(client, "fib", farm.fib, **options)
        calls = use(f)
        stats = f.stats()
        assert (stats.calls, stats.remote, dict(stats.local), stats.failed) == (calls, 0, {why: calls}, 3)
        assert stats.mean_run_seconds is not None
        assert stats.mean_run_seconds > 0


def test_a_batch_that_runs_here_and_what_memory_runs_are_counted(own_cluster: Cluster) -> None:
    with own_cluster.connect() as client:
        f = simpledist.worker_function(client, "fib", farm.fib)
        assert len(list(f.map([1] * 500, chunksize=50))) == 500
        assert f.stats().local == {"no_worker": 500}
    with simpledist.connect("memory://") as client:
        f = simpledist.worker_function(client, "fib", farm.fib)
        calls = use(f)
        assert (f.stats().calls, f.stats().remote, f.stats().failed) == (calls, calls, 3)


def test_what_was_cancelled_or_is_under_way_is_not_counted(client: simpledist.Client) -> None:
    f = simpledist.worker_function(client, "sleep", farm.sleep)
    first, *others = [f.submit(0.3) for _ in range(5)]
    assert f.stats().calls == 0
    assert others[-1].cancel()
    first.result(30)
    for one in others[:-1]:
        one.result(30)
    assert f.stats().calls == 4
    assert (f.stats().mean_run_seconds or 0) > 0.29
    assert (f.stats().mean_wait_seconds or 0) > 0.1, "two slots for four"


def test_each_function_has_its_own(client: simpledist.Client) -> None:
    one, other = (simpledist.worker_function(client, "fib", farm.fib) for _ in range(2))
    one(3)
    assert (one.stats().calls, other.stats().calls) == (1, 0)


def test_a_repr_says_what_it_is_and_where_it_goes(own_cluster: Cluster) -> None:
    target, url = f"{farm.__name__}:fib", own_cluster.url
    with own_cluster.connect() as client:
        f = simpledist.worker_function(client, "fib", farm.fib)
        beginning = f"<worker function fib ({target}) of {url}: "
        assert repr(f) == f"{beginning}goes to workers, not asked yet whether any are there>"
        f(3)
        assert repr(f) == f"{beginning}runs here, no live worker offers it; 1 call, 1 here (no_worker)>"
        own_cluster.start_worker()
        wait_until(lambda: f.submit(3).result(30) == 2 and f.stats().remote, 20, "it goes to the worker")
        assert repr(f).startswith(f"{beginning}goes to workers; ")
    assert "runs here, its client was closed; " in repr(f)


def test_the_repr_of_what_stays_here_says_why(own_cluster: Cluster) -> None:
    with own_cluster.connect() as client:
        f = simpledist.worker_function(client, "total", kept, version=2, policy="local")
        assert repr(f) == (
            f"<worker function total@2 (total=tests.integration.test_stats:kept@2) of {own_cluster.url}: runs here, "
            "its function's policy keeps it local (policy=local)>"
        )
    url = f"redis://:secret@127.0.0.1:{commands.free_port()}/0"
    with simpledist.connect(url) as client:
        f = simpledist.worker_function(client, "getpid", os.getpid)
        f()
        assert ": runs here, Redis cannot be reached; 1 call, 1 here (redis_down)>" in repr(f)
        assert "secret" not in repr(f)
