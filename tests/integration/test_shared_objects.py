"""Shared objects: each travels once to a worker and is decoded once a process, whatever Redis loses meanwhile."""

from __future__ import annotations

import gc
import itertools
import os
import pickle
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy
import pytest

import simpledist
from simpledist.broker import Keys, Link, facts_of
from simpledist.client.client import Client
from simpledist.cluster import Cluster
from simpledist.code.archive_format import name_of
from tests.integration.conftest import FUNCTIONS
from tests.integration.functions import lending
from tests.links import open_link
from tests.waiting import wait_until

KEYS = Keys()
BLOB_BYTES = 3_000_000


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """One worker with two slots."""
    with Cluster("tests.integration.functions.lending", slots=2, folder=FUNCTIONS.parents[2]) as one:
        yield one


@pytest.fixture
def dist(cluster: Cluster) -> Client:
    return cluster.connect()


@pytest.fixture
def link(cluster: Cluster) -> Iterator[Link]:
    with open_link(cluster.url) as one:
        yield one


def wrapped(dist: Client, function: Any, **options: Any) -> Any:
    return simpledist.worker_function(dist, function.__name__, function, **options)


def model(*rows: int, size: int = BLOB_BYTES) -> lending.Model:
    return lending.Model(list(rows) or [1, 2, 3], secrets.token_bytes(size))


def blobs(link: Link) -> list[bytes]:
    found: list[bytes] = [key for key in link.call("KEYS", "*") if key.endswith(b":blob")]
    return found


def stats(link: Link) -> tuple[int, int]:
    """How many bytes Redis has read and written."""
    facts = facts_of(link.call("INFO", "stats"))
    return int(facts["total_net_input_bytes"]), int(facts["total_net_output_bytes"])


def remote(futures: list[Any]) -> list[Any]:
    values = [future.result(60) for future in futures]
    assert {(future.info.where, future.info.why) for future in futures} == {("remote", None)}
    return values


# --- once ------------------------------------------------------------------------------------------------------------


def test_it_is_put_once_fetched_once_and_decoded_once_a_process(dist: Client, link: Link) -> None:
    one, predict = dist.share(model()), wrapped(dist, lending.predict)
    before = stats(link)
    results = remote([predict.submit(one, x) for x in range(40)])
    results += list(predict.map(itertools.repeat(one), range(40)))
    results += [predict(one, x) for x in range(10)]
    after = stats(link)
    assert [value for value, *_ in results] == [x % 3 + 1 for x in (*range(40), *range(40), *range(10))]
    assert {decoded for _, _, decoded, _ in results} == {1}
    assert len({(pid, its) for _, pid, _, its in results}) == len({pid for _, pid, _, _ in results})
    assert all(BLOB_BYTES <= now - then < 1.2 * BLOB_BYTES for then, now in zip(before, after, strict=True))
    assert len(blobs(link)) == 1


def test_calls_of_many_threads_put_it_once(dist: Client, link: Link) -> None:
    one, predict = dist.share(model()), wrapped(dist, lending.predict)
    before = stats(link)[0]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(predict, [one] * 24, range(24)))
    assert [value for value, *_ in results] == [x % 3 + 1 for x in range(24)]
    assert stats(link)[0] - before < 1.2 * BLOB_BYTES


def test_it_is_found_within_containers_in_keywords_and_beside_itself(dist: Client, link: Link) -> None:
    one, other = dist.share(model(1, 2)), dist.share([10] * 1000)
    total, are_same = wrapped(dist, lending.total), wrapped(dist, lending.are_same)
    assert remote([total.submit({"a": [one, (other, one)]}, lending.Plain(one), n=other)]) == [3 * 3 + 2 * 10_000]
    assert remote([are_same.submit(one, one)]) == [True]
    assert len(blobs(link)) == 2


def test_short_calls_of_a_map_share_it_too(dist: Client) -> None:
    table = dist.share({n: n * n for n in range(1000)})
    total = wrapped(dist, lending.total)
    assert list(total.map(itertools.repeat(table), range(3000))) == [sum(table.values()) + n for n in range(3000)]
    assert total.stats().remote > 2500
    futures = [total.submit(table, n) for n in range(500)]
    assert remote(futures) == [sum(table.values()) + n for n in range(500)]


@pytest.mark.parametrize("size", [10, 100_000, 5_000_000])
def test_values_of_any_kind_and_size(dist: Client, size: int) -> None:
    total = wrapped(dist, lending.total)
    array: Any = dist.share(numpy.arange(size))
    view: Any = dist.share(numpy.arange(2 * size)[::2])
    named = dist.share(secrets.token_bytes(size))
    local = dist.share(lambda: size)
    future = total.submit(int(array[-1]), named)
    assert remote([future]) == [size - 1 + size]
    echo = wrapped(dist, lending.are_same)
    assert remote([echo.submit(array, array), echo.submit(view, view), echo.submit(local, local)]) == [True] * 3


# --- what the function sees ------------------------------------------------------------------------------------------


def test_arrays_in_it_cannot_be_written_to_and_the_callers_stays(dist: Client) -> None:
    array: Any = dist.share(numpy.zeros(100_000))
    with pytest.raises(ValueError, match="read-only"):
        wrapped(dist, lending.write)(array)
    assert not array.any()
    array[0] = 5


def test_a_call_that_runs_here_has_the_very_object(dist: Client, cluster: Cluster) -> None:
    rows = dist.share([1, 2, 3])
    identity = wrapped(dist, lending.identity, policy="local")
    assert identity(rows) == identity.submit(rows).result(10) == id(rows)
    cluster.workers[0].stop()
    away = wrapped(dist, lending.identity)
    assert away(rows) == id(rows)
    assert away.submit(rows).result(10) == id(rows)
    assert list(away.map([rows, rows])) == [id(rows)] * 2


def test_a_call_that_kills_workers_has_it_in_the_throw_away_child(dist: Client) -> None:
    one = dist.share(model(1, 2, 3, 4))
    future = wrapped(dist, lending.kills_workers).submit([one, 5])
    assert future.result(60) == 15
    assert future.info.why == "crashed"


def test_executors_and_pools_share_it(tmp_path: Path) -> None:
    with Cluster(workers=0, slots=2, folder=tmp_path) as cluster:
        cluster.start_worker(arguments=["--any"])
        dist = cluster.connect()
        one = dist.share(model())
        with open_link(cluster.url) as link:
            before = stats(link)[0]
            executor = dist.executor()
            assert remote([executor.submit(lending.total, one, x) for x in range(10)]) == [6 + x for x in range(10)]
            with dist.pool() as pool:
                assert pool.starmap(lending.total, [(one, x) for x in range(10)]) == [6 + x for x in range(10)]
            named = wrapped(dist, lending.total)
            assert remote([named.submit(one, x) for x in range(4)]) == [6 + x for x in range(4)]
            assert stats(link)[0] - before < 1.5 * BLOB_BYTES


def test_the_child_of_a_fork_has_what_was_shared(dist: Client) -> None:
    one, predict = dist.share(model()), wrapped(dist, lending.predict)
    assert predict(one, 1)[0] == 2
    pid = os.fork()
    if pid == 0:
        os._exit(0 if predict(one, 2)[0] == 3 else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert predict(one, 0)[0] == 1


# --- forgotten -------------------------------------------------------------------------------------------------------


def test_what_is_not_shared_any_more_travels_in_its_calls(dist: Client, link: Link) -> None:
    rows, total = dist.share([1] * 1000), wrapped(dist, lending.total)
    assert total(rows) == 1000
    dist.unshare(rows)
    dist.unshare("never shared")
    rows.append(1)
    assert total(rows) == 1001
    assert len(blobs(link)) == 1


def test_it_is_forgotten_when_it_dies_and_at_the_end(dist: Client) -> None:
    one, rows = dist.share(model()), dist.share([1, 2])
    assert wrapped(dist, lending.total)(one, rows) == 9
    dist.unshare(rows)
    assert dist.engine.shared
    del one
    gc.collect()
    wait_until(lambda: not dist.engine.shared, 5, "no call holds it any more")
    dist.share(rows)
    dist.close()
    assert not dist.engine.shared


def test_numbers_and_short_texts_are_not_worth_it(dist: Client) -> None:
    assert [dist.share(one) for one in (5, 2.5, None, True, "text", b"bytes")] == [5, 2.5, None, True, "text", b"bytes"]
    assert not dist.engine.shared


# --- Redis loses, or forges -------------------------------------------------------------------------------------------


def another_worker(cluster: Cluster) -> None:
    """In the place of the first, so that no worker has anything."""
    cluster.start_worker()
    cluster.workers[0].stop()


def test_a_blob_that_redis_has_evicted_is_put_again(dist: Client, cluster: Cluster, link: Link) -> None:
    one, predict = dist.share(model()), wrapped(dist, lending.predict)
    assert predict(one, 0)[0] == 1
    assert link.call("DEL", *blobs(link)) == 1
    assert remote([predict.submit(one, x) for x in range(4)]), "the worker has it still"
    assert blobs(link) == []
    another_worker(cluster)
    assert [value for value, *_ in remote([predict.submit(one, x) for x in range(6)])] == [1, 2, 3, 1, 2, 3]
    assert len(blobs(link)) == 1
    link.call("DEL", *blobs(link))
    cluster.start_worker()
    cluster.workers[1].stop()
    table = list(predict.map(itertools.repeat(one), range(600)))
    assert [value for value, *_ in table] == [x % 3 + 1 for x in range(600)]
    assert predict.stats().local == {}


def test_where_redis_keeps_losing_it_the_call_carries_it(dist: Client, cluster: Cluster, link: Link) -> None:
    predict = wrapped(dist, lending.predict)
    over = threading.Event()

    def evict() -> None:
        with open_link(cluster.url) as its:
            while not over.is_set():
                for key in blobs(its):
                    its.call("DEL", key)

    evictor = threading.Thread(target=evict)
    evictor.start()
    try:
        for x in range(3):
            assert predict(dist.share(model(size=200_000)), x)[0] == x % 3 + 1
    finally:
        over.set()
        evictor.join()
    assert predict.stats().local == {}


def test_a_forged_blob_is_never_decoded(dist: Client, cluster: Cluster, link: Link, tmp_path: Path) -> None:
    one, predict = dist.share(model()), wrapped(dist, lending.predict)
    assert predict(one, 0)[0] == 1
    (key,) = blobs(link)
    proof = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(proof),)

    link.call("SET", key, pickle.dumps(Evil()), "PX", 60_000)
    another_worker(cluster)
    assert [value for value, *_ in remote([predict.submit(one, x) for x in range(3)])] == [1, 2, 3]
    assert not proof.exists()
    data: bytes = link.call("GET", key)
    assert name_of(data) == key.decode().split(":")[2], "it was put again"


def test_an_emptied_redis_gets_it_again(dist: Client, cluster: Cluster, link: Link) -> None:
    one, predict = dist.share(model()), wrapped(dist, lending.predict)
    assert predict(one, 0)[0] == 1
    link.call("FLUSHALL")
    another_worker(cluster)
    wait_until(lambda: predict.submit(one, 1).result(30)[0] == 2 and len(blobs(link)) == 1, 20, "it is there again")


def test_past_the_budget_it_travels_in_its_calls(dist: Client, link: Link) -> None:
    link.call("CONFIG", "SET", "maxmemory", 40_000_000)
    small, big = dist.share(model(1, size=1_000_000)), dist.share(model(2, size=9_500_000))
    total = wrapped(dist, lending.total)
    assert remote([total.submit(small, x) for x in range(3)]) == [1, 2, 3]
    for x in range(3):
        assert remote([total.submit([big, small], x)]) == [3 + x]
    assert len(blobs(link)) == 1


def test_a_full_redis_sends_calls_home(dist: Client, link: Link) -> None:
    total = wrapped(dist, lending.total)
    assert total(1) == 1
    link.call("CONFIG", "SET", "maxmemory", 1_000_000)
    one = dist.share(model(size=200_000))
    futures = [total.submit(one, x) for x in range(4)]
    assert [future.result(30) for future in futures] == [6, 7, 8, 9]
    link.call("CONFIG", "SET", "maxmemory", 0)
    wait_until(lambda: _where(total.submit(one)) == "remote", 20, "calls travel again")


def _where(future: Any) -> str:
    future.result(30)
    return str(future.info.where)


def test_a_worker_that_dies_or_a_call_that_is_cancelled_while_it_comes(dist: Client, cluster: Cluster) -> None:
    predict = wrapped(dist, lending.predict)
    one = dist.share(model(size=30_000_000))
    futures = [predict.submit(one, x) for x in range(8)]
    futures[0].cancel()
    cluster.start_worker()
    cluster.workers[0].kill()
    assert [future.result(60)[0] for future in futures[1:]] == [x % 3 + 1 for x in range(1, 8)]


def test_it_has_to_fit_with_its_call(cluster: Cluster) -> None:
    dist = cluster.connect(max_value_bytes=100_000)
    future = wrapped(dist, lending.total).submit(dist.share(model(size=200_000)))
    assert (future.result(10), future.info.why) == (6, "too_big")


def test_what_cannot_be_encoded_runs_here(dist: Client) -> None:
    class Here:
        def __init__(self) -> None:
            self.lock = threading.Lock()
            self.value = 3

        def __int__(self) -> int:
            return self.value

    here = dist.share(Here())
    future = wrapped(dist, lending.total).submit([here])
    assert (future.result(10), future.info.why) == (3, "unserialisable")


# --- checks ----------------------------------------------------------------------------------------------------------


def test_a_function_that_changes_it_is_named_where_that_is_checked(cluster: Cluster) -> None:
    worker = cluster.start_worker(environment={"SIMPLEDIST_CHECK_SHARED": "1"})
    cluster.workers[0].stop()
    dist = cluster.connect()
    rows = dist.share([1] * 2000)
    grow = wrapped(dist, lending.grow)
    assert {grow(rows) for _ in range(6)} == {2001}, "each call gets it as it was"
    assert "has changed a shared object, a list" in worker.stderr_text()
    assert len(rows) == 2000


def test_a_caller_that_changes_it_is_warned_where_that_is_checked(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SIMPLEDIST_CHECK_SHARED", "1")
    dist = cluster.connect()
    rows, total = dist.share([1] * 2000), wrapped(dist, lending.total)
    assert total(rows) == 2000
    rows.append(1)
    assert total(rows) == 2001
    assert "a list, was changed after it was shared" in caplog.text


def test_memory_urls_copy_it_as_any_argument() -> None:
    with simpledist.connect("memory://") as dist:
        rows = dist.share([1, 2, 3])
        assert wrapped(dist, lending.total)(rows) == 6
        assert not dist.engine.shared
