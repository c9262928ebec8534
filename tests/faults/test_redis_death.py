"""Redis dies, comes back empty or with its file, hangs, or is cut off, under two hundred waiting calls."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import simpledist
from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster
from tests.faults.conftest import MakeCluster
from tests.faults.functions import work
from tests.faults.history import LATE_SECONDS, History, offered, probe
from tests.faults.proxy import Proxy
from tests.waiting import wait_until


@pytest.mark.parametrize("appendonly", [False, True], ids=["empty", "with its file"])
def test_redis_killed_under_two_hundred_waiting_calls(
    make_cluster: MakeCluster, history: History, appendonly: bool
) -> None:
    cluster = make_cluster(appendonly=appendonly, workers=2)
    client = cluster.connect()
    probe(client)
    history.submit(client, range(200), 0.02)
    wait_until(lambda: len(history.open()) < 190, 10, "some have ended")
    cluster.redis.kill()
    cluster.redis.start()
    history.wait(30)
    assert set(history.where()) == {"remote"}
    history.check(most_runs=3)
    probe(client)


def test_redis_emptied_under_load_again_and_again(cluster: Cluster, history: History) -> None:
    cluster.start_worker()
    client = cluster.connect()
    probe(client)
    with_redis = cluster.redis
    history.submit(client, range(100), 0.02)
    for left in (80, 40):
        wait_until(lambda most=left: len(history.open()) < most, 20, "some have ended")
        _flush(with_redis.url)
    history.wait(30)
    assert set(history.where()) == {"remote"}
    history.check(most_runs=4)
    probe(client)


def test_all_workers_are_back_at_once_when_redis_was_emptied(cluster: Cluster) -> None:
    workers = [cluster.start_worker(slots=1) for _ in range(3)]
    client = cluster.connect()
    probe(client)
    link = Link(cluster.url, name="tests")
    link.connect()
    seconds: list[float] = []
    for _ in range(3):
        link.call("FLUSHALL")
        offered(client, "probe")(1)  # whatever touches Redis first finds it empty
        seconds.append(probe(client))
        seconds.append(wait_until(lambda: link.call("HLEN", Keys().workers) == len(workers), 5, "each is registered"))
    assert sorted(seconds)[len(seconds) // 2] < 0.5, seconds
    assert max(seconds) < 3.0, "a worker that the roll call passed by beats in time"
    wait_until(lambda: link.call("EXISTS", Keys().rollcall) == 0, 2, "the roll call has gone round")
    link.close()
    probe(client)


def test_two_roll_calls_at_a_time_keep_no_worker_from_its_jobs(cluster: Cluster, link: Link) -> None:
    """As after a Redis that has thrown away its epoch twice. A pop asks for roll calls before it asks for jobs."""
    cluster.start_worker()
    client = cluster.connect()
    probe(client)
    now = int(time.time() * 1e6)
    for words in ((now + 1, now + 2), (now + 3, "no number")):
        link.call("RPUSH", Keys().rollcall, *words)
        probe(client)
        wait_until(lambda: link.call("EXISTS", Keys().rollcall) == 0, 2, "the roll calls have gone round")


def test_a_redis_that_hangs_costs_a_call_its_budget_and_two_seconds_at_most(cluster: Cluster, history: History) -> None:
    cluster.start_worker()
    client = cluster.connect()
    probe(client)
    os.kill(cluster.redis.pid, signal.SIGSTOP)
    try:
        entry = history.call(client, 1, timeout=1.0)
        assert entry.where == "local"
        # The first may have ended by its budget a moment before the silence was long enough to be sure of it.
        again = history.call(client, 2, timeout=1.0)
        assert again.where == "local"
        assert again.seconds < 1.0 + LATE_SECONDS
        known = history.call(client, 3, timeout=1.0)
        assert known.where == "local"
        assert known.seconds < 0.5, "a Redis known to be down costs nothing"
    finally:
        os.kill(cluster.redis.pid, signal.SIGCONT)
    history.check(most_runs=1)
    probe(client)


def test_calls_of_many_threads_do_not_wait_for_a_redis_that_hangs_one_after_the_other(
    cluster: Cluster, history: History
) -> None:
    cluster.start_worker()
    client = cluster.connect()
    function = offered(client, "work", work.work, timeout=1.0)
    probe(client)
    os.kill(cluster.redis.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with ThreadPoolExecutor(6) as threads:
            assert list(threads.map(function, range(6))) == [work.value_of(n) for n in range(6)]
        assert time.monotonic() - began < 1.0 + LATE_SECONDS
    finally:
        os.kill(cluster.redis.pid, signal.SIGCONT)
    probe(client)


def test_calls_do_not_wait_for_the_big_value_of_another_beyond_their_budget(cluster: Cluster) -> None:
    """Values over 64 KB have 10 s to pass."""
    encoded = threading.Semaphore(0)

    class Big:
        def __reduce__(self) -> tuple[type, tuple[bytes]]:
            encoded.release()
            return bytes, (bytes(8_000_000),)

    def weighed(n: int) -> Any:
        return weigh(n, Big())

    def hurried(n: int) -> tuple[str, float]:
        began = time.monotonic()
        return hasty(n, 0.0), time.monotonic() - began

    cluster.start_worker()
    client = cluster.connect()
    weigh, hasty = offered(client, "weigh"), offered(client, "work", timeout=1.0)
    probe(client)
    weigh(3, bytes(100_000))  # the connection for it stands
    with ThreadPoolExecutor(5) as threads:
        os.kill(cluster.redis.pid, signal.SIGSTOP)
        try:
            bigs = [threads.submit(weighed, n) for n in range(2)]
            for _ in bigs:
                assert encoded.acquire(timeout=10)
            for value, seconds in threads.map(hurried, range(3)):
                assert value == "local"
                assert seconds < 1.0 + LATE_SECONDS
        finally:
            os.kill(cluster.redis.pid, signal.SIGCONT)
        assert all(one.result(30) for one in bigs)
    probe(client)


def test_a_cut_cable_ends_calls_here_and_what_ran_there_is_cancelled_when_it_heals(
    cluster: Cluster, proxy: Proxy, history: History
) -> None:
    cluster.start_worker()
    with simpledist.connect(proxy.url) as client:
        probe(client)
        patient = [offered(client, "work").submit(n, 60.0) for n in (1, 2)]
        hasty = offered(client, "work", timeout=1.0).submit(3, 60.0)
        wait_until(lambda: len(work.runs(history.log)) == 2, 5, "both slots are taken")
        proxy.dark()
        began = time.monotonic()
        assert hasty.result(10) == "local"
        assert time.monotonic() - began < 3.0
        assert patient[0].cancel()
        assert patient[1].result(20) == "local"
        assert time.monotonic() - began < 9.0
        assert offered(client, "work")(4, 0.0) == "local"
        proxy.relent()
        probe(client)


def _flush(url: str) -> None:
    link = Link(url, name="tests")
    link.connect()
    link.call("FLUSHALL")
    link.close()
