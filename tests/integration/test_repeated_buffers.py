"""Big arrays and bytes that come again: they travel once more, then no more, and no call sees what another one did."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator
from typing import Any

import numpy
import pytest

import simpledist
from simpledist.broker import Link
from simpledist.client.client import Client
from simpledist.cluster import Cluster
from tests.integration.conftest import FUNCTIONS
from tests.integration.functions import lending
from tests.integration.test_shared_objects import another_worker, blobs, remote, stats, wrapped
from tests.links import open_link

BYTES = 3_000_000


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One worker with two slots."""
    with Cluster("tests.integration.functions.lending", slots=2, folder=FUNCTIONS.parents[2]) as one:
        yield one


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """One that a test may break."""
    with Cluster("tests.integration.functions.lending", slots=2, folder=FUNCTIONS.parents[2]) as one:
        yield one


@pytest.fixture
def dist(cluster: Cluster) -> Iterator[Client]:
    with cluster.connect() as one:
        yield one


@pytest.fixture
def link(cluster: Cluster) -> Iterator[Link]:
    with open_link(cluster.url) as one:
        yield one


def array() -> Any:
    return numpy.frombuffer(bytearray(secrets.token_bytes(BYTES)), numpy.uint8)


def test_an_array_travels_twice_however_many_calls_have_it(dist: Client, link: Link) -> None:
    one, described = array(), wrapped(dist, lending.described)
    due = lending.described(one)
    before = stats(link)
    results = remote([described.submit(one) for _ in range(20)])
    results += list(described.map([one] * 20))
    results += list(described.map(itertools.repeat(one, 20)))
    results += [described(one) for _ in range(5)]
    assert results == [due] * 65
    assert described.stats().local == {}
    after = stats(link)
    assert all(2 * BYTES <= now - then < 2.3 * BYTES for then, now in zip(before, after, strict=True))


def test_a_function_writes_to_an_array_of_its_own(dist: Client) -> None:
    one, raised = array(), wrapped(dist, lending.raised)
    one[0] = 5
    results = remote([raised.submit(one) for _ in range(12)])
    results += [raised(one) for _ in range(4)]
    results += list(raised.map([one] * 12, range(1, 13)))
    assert [value for value, _ in results] == [6.0] * 16 + [float(5 + by) for by in range(1, 13)]
    assert len({pid for _, pid in results}) < len(results), "several calls of one process"
    assert one[0] == 5


def test_an_array_that_its_caller_changes_is_sent_as_it_was_then(dist: Client) -> None:
    one, raised = array(), wrapped(dist, lending.raised)
    futures: list[Any] = []
    for number in range(12):
        one[0] = number // 2
        futures.append(raised.submit(one))
    one[0] = 99
    assert [value for value, _ in remote(futures)] == [float(number // 2 + 1) for number in range(12)]


def test_every_call_gets_what_the_first_one_got(dist: Client) -> None:
    fixed = array()
    fixed.flags.writeable = False
    values = [array(), fixed, numpy.asfortranarray(array().reshape(1000, -1)), array()[::2]]
    texts: list[Any] = [secrets.token_bytes(BYTES), bytearray(secrets.token_bytes(BYTES))]
    described = wrapped(dist, lending.described)
    due = lending.described(*values, *texts)
    futures = [described.submit(*values, *texts) for _ in range(6)]
    assert remote(futures) == [due] * 6


def test_bytes_are_one_object_in_a_process(dist: Client) -> None:
    text, identity = secrets.token_bytes(BYTES), wrapped(dist, lending.identity_here)
    remote([identity.submit(text) for _ in range(4)])
    found = remote([identity.submit(text) for _ in range(12)])
    assert len(set(found)) == len({pid for pid, _ in found})


def test_executors_have_it_too(own_cluster: Cluster) -> None:
    own_cluster.start_worker(arguments=["--any"])
    one = array()
    one[0] = 5
    with own_cluster.connect() as dist, open_link(own_cluster.url) as link:
        before = stats(link)[0]
        with dist.executor() as executor:
            futures = [executor.submit(lending.raised, one, by) for by in range(12)]
            assert [value for value, _ in remote(futures)] == [5.0 + by for by in range(12)]
        assert stats(link)[0] - before < 2.3 * BYTES


def test_evicted_or_without_workers_every_call_comes_to_its_value(own_cluster: Cluster) -> None:
    one = array()
    one[0] = 5
    with own_cluster.connect() as dist, open_link(own_cluster.url) as link:
        raised = wrapped(dist, lending.raised)
        assert [value for value, _ in remote([raised.submit(one) for _ in range(4)])] == [6.0] * 4
        assert link.call("DEL", *blobs(link)) == 1
        another_worker(own_cluster)
        assert [value for value, _ in remote([raised.submit(one) for _ in range(6)])] == [6.0] * 6
        assert len(blobs(link)) == 1
        assert raised.stats().local == {}
        own_cluster.workers[-1].stop()
        futures = [raised.submit(one) for _ in range(4)]
        assert [future.result(30)[0] for future in futures] == [6.0] * 4
        assert one[0] == 5


def test_past_the_budget_it_travels_in_its_calls(own_cluster: Cluster) -> None:
    one = array()
    with own_cluster.connect() as dist, open_link(own_cluster.url) as link:
        link.call("CONFIG", "SET", "maxmemory", 4 * BYTES - 1000)
        described = wrapped(dist, lending.described)
        for _ in range(5):
            assert described(one) == lending.described(one)
        assert blobs(link) == []
        assert described.stats().local == {}


def test_a_call_that_kills_workers_has_it_in_the_throw_away_child(own_cluster: Cluster) -> None:
    text = secrets.token_bytes(BYTES)
    with own_cluster.connect() as dist:
        kills = wrapped(dist, lending.kills_workers)
        described = wrapped(dist, lending.described)
        assert remote([described.submit(text) for _ in range(2)]) == [lending.described(text)] * 2
        future = kills.submit([text, 5])
        assert (future.result(60), future.info.why) == (BYTES + 5, "crashed")


def test_a_memory_url_copies_it_as_any_argument() -> None:
    with simpledist.connect("memory://") as dist:
        one, raised = array(), wrapped(dist, lending.raised)
        one[0] = 5
        assert [raised.submit(one).result(10)[0] for _ in range(3)] == [6.0] * 3
        assert one[0] == 5
