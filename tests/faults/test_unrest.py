"""Load while the ground moves: connections killed, scripts flushed, a slow wire, distributors that come and go."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager

import pytest

import simpledist
from simpledist.broker import Link
from simpledist.cluster import Cluster
from tests.faults.history import History, probe
from tests.faults.proxy import Proxy


@contextmanager
def again_and_again(seconds: float, act: Callable[[], object]) -> Generator[None]:
    """`act` every so many seconds, in a thread, for as long as the block lasts."""
    ended = threading.Event()

    def loop() -> None:
        while not ended.wait(seconds):
            act()

    thread = threading.Thread(target=loop, name="unrest")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def a_hundred_run_remotely(
    cluster: Cluster, history: History, unrest: AbstractContextManager[None], *, each: float, within: float, most: int
) -> None:
    """Calls of `each` seconds, all done `within` so many under the unrest, none run more than `most` times."""
    cluster.start_worker()
    client = cluster.connect()
    probe(client)
    with unrest:
        history.submit(client, range(100), each)
        history.wait(within)
    assert set(history.where()) == {"remote"}
    history.check(most_runs=most)
    probe(client)


def test_killed_connections(cluster: Cluster, history: History, link: Link) -> None:
    kills = again_and_again(0.3, lambda: link.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))
    a_hundred_run_remotely(cluster, history, kills, each=0.02, within=30, most=10)


def test_flushed_scripts(cluster: Cluster, history: History, link: Link) -> None:
    flushes = again_and_again(0.05, lambda: link.call("SCRIPT", "FLUSH"))
    a_hundred_run_remotely(cluster, history, flushes, each=0.01, within=20, most=1)


def test_a_slow_wire(cluster: Cluster, proxy: Proxy, history: History) -> None:
    cluster.start_worker(arguments=["--redis", proxy.url])
    with simpledist.connect(proxy.url) as client:
        probe(client)
        proxy.slow(0.2)
        history.submit(client, range(8), 0.01)
        history.wait(30)
        assert set(history.where()) == {"remote"}
        history.check(most_runs=1)
        proxy.relent()
        probe(client)


def test_distributors_that_come_and_go(cluster: Cluster, history: History) -> None:
    cluster.start_worker()
    client = cluster.connect()
    probe(client)
    history.submit(client, range(150), 0.02)
    for _ in range(2):
        cluster.start_distributor()
        cluster.start_distributor()
        for one in cluster.distributors:
            one.kill()
    cluster.start_distributor()
    history.wait(30)
    assert set(history.where()) == {"remote"}
    history.check(most_runs=1)
    probe(client)


@pytest.mark.parametrize("percent", [5])
def test_every_twentieth_reply_lost(cluster: Cluster, history: History, percent: int) -> None:
    with Proxy(cluster.url) as proxy:
        cluster.start_worker(arguments=["--redis", proxy.url])
        with simpledist.connect(proxy.url) as client:
            probe(client)
            count = itertools.count()

            def cut() -> None:
                proxy.strike("*", "cut" if next(count) % 2 else "truncate")

            with again_and_again(0.25, cut):
                history.submit(client, range(60), 0.02)
                history.wait(60)
            proxy.relent()
            history.check(most_runs=20)
            probe(client)
