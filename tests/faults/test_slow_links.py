"""A worker behind a slow link works slowly, and nothing worse: no false death, no second run, nothing small that waits.

The link is one for all of a role's connections. Of each test the total of bytes and the rate say how long it must take.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster
from simpledist.embedded import EmbeddedRedis
from tests.faults.conftest import MakeCluster
from tests.faults.functions import work
from tests.faults.history import offered, probe
from tests.faults.throttle import Throttle
from tests.waiting import wait_until

RATE = 400_000.0  # bytes a second


def begin_throttled(cluster: Cluster, *, slots: int = 2) -> Throttle:
    """A link that is fast until the worker behind it has come up."""
    throttle = Throttle(cluster.url, 0.0).__enter__()
    cluster.start_worker(slots=slots, arguments=["--redis", throttle.url])
    return throttle


@pytest.fixture
def slow(cluster: Cluster, client: simpledist.Client) -> Iterator[Throttle]:
    """A worker of two slots behind a slow link; the client's own is fast."""
    throttle = begin_throttled(cluster)
    try:
        probe(client)
        throttle.set_rate(RATE)
        yield throttle
        throttle.set_rate(0.0)
    finally:
        throttle.__exit__()


def expelled(link: Link) -> list[str]:
    """The workers that were given up for dead."""
    rows: list[bytes] = link.call("HVALS", Keys().workers)
    return [row.decode() for row in rows if b'"dead"' in row]


def test_many_results_on_a_slow_link_all_come_and_run_once(
    slow: Throttle, client: simpledist.Client, link: Link, runs_log: Path
) -> None:
    size = 50_000
    futures = [offered(client, "big").submit(n, size) for n in range(40)]
    for n, future in enumerate(futures):
        assert future.result(60) == n.to_bytes(8, "big") + bytes(size)
        assert (future.info.where, future.info.attempts) == ("remote", 1)
    assert set(work.runs(runs_log).values()) == {1}
    assert not expelled(link)


def test_a_result_that_takes_longer_than_any_silence_holds_up_no_one(
    slow: Throttle, client: simpledist.Client, link: Link, runs_log: Path, tmp_path: Path
) -> None:
    slow.set_rate(0.0)
    until = tmp_path / "until"
    beside = offered(client, "linger").submit(900, str(until))
    wait_until(lambda: work.runs(runs_log).get(900), 10, "the long job begins")
    slow.set_rate(RATE)
    size = 5_000_000  # 12.5 s and more
    big = offered(client, "big").submit(1, size)
    wait_until(lambda: slow.up.carried > 400_000, 20, "the big result is on its way")
    for n in range(10, 13):
        began = time.monotonic()
        small = offered(client, "work").submit(n)
        assert small.result(20) == work.value_of(n)
        assert (small.info.where, time.monotonic() - began < 3.0) == ("remote", True), "it waits for a slice or two"
    assert not big.done()
    assert big.result(60) == (1).to_bytes(8, "big") + bytes(size)
    until.touch()
    assert beside.result(20) == work.value_of(900)
    for future in (big, beside):
        assert (future.info.where, future.info.attempts) == ("remote", 1)
    assert set(work.runs(runs_log).values()) == {1}
    assert not expelled(link)


def test_calls_that_take_longer_than_any_silence_to_arrive_hold_up_no_one(
    slow: Throttle, client: simpledist.Client, link: Link, runs_log: Path
) -> None:
    data = [bytes([n]) * 2_500_000 for n in range(2)]  # 12.5 s and more together
    futures = [offered(client, "weigh").submit(n, one) for n, one in enumerate(data)]
    for n, future in enumerate(futures):
        assert future.result(60)[:2] == (n, 2_500_000)
        assert (future.info.where, future.info.attempts) == ("remote", 1)
    assert set(work.runs(runs_log).values()) == {1}
    assert not expelled(link)


def test_a_call_that_is_cancelled_while_it_arrives_leaves_its_slot_to_others(
    cluster: Cluster, client: simpledist.Client, runs_log: Path
) -> None:
    throttle = begin_throttled(cluster, slots=1)
    with throttle:
        probe(client)
        throttle.set_rate(RATE)
        future = offered(client, "weigh").submit(1, bytes(20_000_000))
        wait_until(lambda: throttle.down.carried > 400_000, 20, "it is on its way")
        assert future.cancel()
        throttle.set_rate(4 * RATE)
        after = offered(client, "work").submit(2)
        assert after.result(10) == work.value_of(2)
        assert (after.info.where, work.runs(runs_log)) == ("remote", {2: 1})


def test_a_worker_that_drains_gives_back_what_has_not_arrived(
    cluster: Cluster, client: simpledist.Client, runs_log: Path
) -> None:
    throttle = begin_throttled(cluster, slots=1)
    with throttle:
        probe(client)
        throttle.set_rate(RATE)
        future = offered(client, "weigh").submit(1, bytes(5_000_000))
        wait_until(lambda: throttle.down.carried > 400_000, 20, "it is on its way")
        slow_one = cluster.workers[0]
        cluster.start_worker(slots=1)
        slow_one.send_signal(signal.SIGTERM)
        assert future.result(20)[:2] == (1, 5_000_000)
        assert future.info.where == "remote"
        assert slow_one.wait(20) == 0
        assert work.runs(runs_log) == {1: 1}


LIMITS = {
    "a command": ("--proto-max-bulk-len", "1mb"),
    "what a client sends": ("--client-query-buffer-limit", "1mb"),
    "what a client is sent": ("--client-output-buffer-limit", "normal 1mb 1mb 1"),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_servers_limit_on(limit: str, make_cluster: MakeCluster, runs_log: Path) -> None:
    """Big values pass by it, or end their own job alone; nothing else waits for them."""
    with EmbeddedRedis(arguments=LIMITS[limit]) as redis, make_cluster(redis=redis, workers=1).connect() as client:
        probe(client)
        big: Any = offered(client, "big", work.big).submit(1, 5_000_000)
        weighed: Any = offered(client, "weigh", work.weigh).submit(2, bytes(5_000_000))
        small = offered(client, "work").submit(3)
        assert small.result(10) == work.value_of(3)
        assert small.info.where == "remote"
        assert big.result(20) == (1).to_bytes(8, "big") + bytes(5_000_000)
        assert weighed.result(20)[:2] == (2, 5_000_000)
        whys = {(future.info.where, future.info.why) for future in (big, weighed)}
        assert whys == ({("local", "undeliverable")} if limit == "a command" else {("remote", None)})
        probe(client)


@pytest.mark.parametrize("right", ["-rename", "-append", "-getrange", "-rpush", "-set", "-hmget"])
def test_a_right_that_is_taken_from_a_worker_ends_jobs_and_holds_up_no_one(
    right: str, cluster: Cluster, link: Link
) -> None:
    link.call("ACL", "SETUSER", "worker", "on", ">secret", "~*", "+@all")
    cluster.start_worker(arguments=["--redis", cluster.url.replace("unix://", "unix://worker:secret@")])
    with cluster.connect() as client:
        probe(client)
        link.call("ACL", "SETUSER", "worker", right)
        futures = [
            offered(client, "big", work.big).submit(1, 2_000_000),
            offered(client, "weigh", work.weigh).submit(2, bytes(2_000_000)),
            offered(client, "work", work.work).submit(3),
        ]
        assert all(future.wait_done(30) for future in futures)
        assert futures[0].result() == (1).to_bytes(8, "big") + bytes(2_000_000)
        assert futures[1].result()[:2] == (2, 2_000_000)
        assert futures[2].result() == work.value_of(3)
        link.call("ACL", "SETUSER", "worker", "+@all")
        probe(client, 20)
