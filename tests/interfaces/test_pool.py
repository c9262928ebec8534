"""`client.pool()` beyond what CPython's own tests ask: where calls run, and what callers see."""

from __future__ import annotations

import concurrent.futures
import itertools
import multiprocessing
import multiprocessing.pool
import os
import sys
import threading
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist import shipped
from simpledist.client.pool import Pool
from simpledist.client.pool_results import AsyncResult
from simpledist.cluster import Cluster
from simpledist.errors import ConfigurationError
from tests.integration.functions import farm
from tests.interfaces.conftest import FUNCTIONS
from tests.interfaces.pooled import slow_pid, square


def slow_touch(file: Path) -> Path:
    time.sleep(0.2)
    file.touch()
    return file


def odd_fails(n: int) -> int:
    if n % 2:
        raise ValueError(n)
    return n


def size(pool: Any) -> int:
    assert len(pool._pool) == pool._processes
    return len(pool._pool)


def where(result: AsyncResult[Any]) -> set[tuple[str, str, str | None]]:
    """The functions' names in Redis, where the jobs ran, and why there."""
    result.wait(30)
    found: set[tuple[str, str, str | None]] = set()
    for future in result.futures:
        assert future.info is not None
        found.add((future.call.spec.function, future.info.where, future.info.why))
    return found


def test_every_way_of_calling_gives_what_the_stdlibs_gives(pool: Pool) -> None:
    pairs = [(n, 2) for n in range(20)]
    with multiprocessing.pool.ThreadPool(2) as stdlibs:
        for one in (stdlibs, pool):
            assert one.apply(pow, (2, 5)) == 32
            assert one.apply(int, ("101",), {"base": 2}) == 5
            assert one.apply_async(pow, (2, 5)).get(30) == 32
            assert one.map(square, range(20)) == [n * n for n in range(20)]
            assert one.map(square, range(20), 7) == [n * n for n in range(20)]
            assert one.map_async(square, iter(range(20))).get(30) == [n * n for n in range(20)]
            assert one.starmap(pow, pairs) == one.starmap_async(pow, pairs, 3).get(30) == [n * n for n in range(20)]
            assert list(one.imap(square, range(20))) == list(one.imap(square, iter(range(20)), 3))
            assert sorted(one.imap_unordered(square, range(20), 3)) == [n * n for n in range(20)]
            assert one.map(square, []) == list(one.imap(square, [])) == list(one.imap_unordered(square, [])) == []


def test_calls_run_on_workers(pool: Pool) -> None:
    factor = 3
    results = [pool.apply_async(square, (3,)), pool.map_async(lambda n: n * factor, range(9), 2)]
    assert [result.get(30) for result in results] == [9, [3 * n for n in range(9)]]
    assert {way for result in results for way in where(result)} == {(shipped.FUNCTION, "remote", None)}
    assert os.getpid() not in set(pool.imap_unordered(slow_pid, [0.0] * 6))


def test_a_function_that_a_worker_offers_goes_by_its_name(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(FUNCTIONS), *sys.path])
    fib = import_module("farm").fib
    try:
        result = pool.map_async(fib, range(10), 4)
        assert result.get(30) == [farm.fib(n) for n in range(10)]
        assert where(result) == {("fib", "remote", None)}
        assert list(pool.imap(fib, iter(range(10)), 4)) == result.get()
    finally:
        del sys.modules["farm"]


def test_without_a_worker_for_any_function_it_runs_here(own_cluster: Cluster) -> None:
    own_cluster.start_worker()
    with own_cluster.connect() as client, client.pool() as pool:
        result = pool.map_async(square, range(8), 2)
        assert result.get(30) == [n * n for n in range(8)]
        assert where(result) == {(shipped.FUNCTION, "local", "no_worker")}


def test_a_worker_that_is_killed_costs_no_outcome(own_cluster: Cluster) -> None:
    victim = own_cluster.start_worker("--any", slots=1)
    own_cluster.start_worker("--any", slots=1)
    with own_cluster.connect() as client, client.pool() as pool:
        result = pool.map_async(slow_pid, [0.05] * 40, 1)
        outcomes = pool.imap_unordered(square, range(20))
        victim.kill()
        assert len(result.get(60)) == 40
        assert sorted(outcomes) == [n * n for n in range(20)]


def test_without_redis_so_many_calls_run_here_at_once() -> None:
    everybody = threading.Barrier(3)
    with simpledist.connect("redis://127.0.0.1:1") as client, client.pool(3) as pool:
        assert size(pool) == 3
        results = [pool.apply_async(everybody.wait, (20,)) for _ in range(3)]
        assert sorted(result.get(30) for result in results) == [0, 1, 2]


def test_it_works_in_memory() -> None:
    heard: list[list[int]] = []
    with simpledist.connect("memory://") as client, client.pool() as pool:
        assert pool.map_async(square, range(5), 2, callback=heard.append).get() == [0, 1, 4, 9, 16]
        assert list(pool.imap_unordered(square, range(5))) == heard[0]


def test_programs_find_how_many_calls_run_at_once(pool: Pool) -> None:
    assert isinstance(pool, multiprocessing.pool.Pool)
    assert size(pool) == 4  # two workers with two slots


def test_processes_below_one_and_initializers_are_refused(client: simpledist.Client) -> None:
    for processes in (0, -1):
        with pytest.raises(ValueError, match="at least 1"):
            client.pool(processes)
    with pytest.raises(ConfigurationError, match="when the function's module is imported"):
        client.pool(2, print)
    with pytest.raises(ConfigurationError, match=r"^pool\(initializer"):
        client.pool(initargs=(1,))


# --- results ---------------------------------------------------------------------------------------------------------


def test_a_result_says_whether_it_is_there(pool: Pool) -> None:
    result = pool.apply_async(time.sleep, (0.5,))
    assert not result.ready()
    with pytest.raises(ValueError, match="not ready"):
        result.successful()
    with pytest.raises(multiprocessing.TimeoutError):
        result.get(0.05)
    result.wait(30)
    assert result.ready()
    assert result.successful()
    failed = pool.apply_async(odd_fails, (1,))
    with pytest.raises(ValueError, match="1"):
        failed.get(30)
    assert failed.ready()
    assert not failed.successful()


def test_an_exception_of_the_function_is_not_taken_for_the_time_that_is_up(pool: Pool) -> None:
    def late() -> None:
        raise TimeoutError("the function's own")

    with pytest.raises(TimeoutError, match="the function's own"):
        pool.apply_async(late).get(30)
    with pytest.raises(TimeoutError, match="the function's own"):
        pool.apply(late)


def test_the_first_exception_of_a_map_in_order_is_raised(pool: Pool) -> None:
    for chunksize in (1, 3):
        with pytest.raises(ValueError, match="1"):
            pool.map(odd_fails, range(8), chunksize)


def test_callbacks_have_run_when_get_returns_and_run_once(pool: Pool) -> None:
    heard: list[object] = []
    caller = threading.get_ident()

    def note(value: object) -> None:
        time.sleep(0.05)
        heard.append(value)

    for n in range(5):
        assert pool.apply_async(square, (n,), callback=note, error_callback=note).get(30) == n * n
    assert pool.map_async(square, range(9), 2, callback=note).get(30) == heard[5]
    with pytest.raises(ValueError, match="1"):
        pool.map_async(odd_fails, range(9), 1, callback=note, error_callback=note).get(30)
    assert heard[:6] == [0, 1, 4, 9, 16, [n * n for n in range(9)]]
    assert isinstance(heard[6], ValueError)
    assert len(heard) == 7
    assert caller == threading.get_ident()


def test_join_returns_when_callbacks_have_run(client: simpledist.Client) -> None:
    heard: list[int] = []
    pool = client.pool()
    for n in range(6):
        pool.apply_async(square, (n,), callback=lambda value: (time.sleep(0.05), heard.append(value)))
    with pytest.raises(ValueError, match="still running"):
        pool.join()
    pool.close()
    pool.join()
    assert sorted(heard) == [n * n for n in range(6)]


def test_a_callback_may_use_its_pool(pool: Pool) -> None:
    found: list[int] = []
    ended = threading.Event()

    def go_on(value: int) -> None:
        found.append(pool.apply(square, (value,)))
        ended.set()

    pool.apply_async(square, (3,), callback=go_on)
    assert ended.wait(30)
    assert found == [81]


# --- imap ------------------------------------------------------------------------------------------------------------


def test_an_endless_iterable_is_drawn_no_further_than_it_is_bounded(pool: Pool) -> None:
    drawn = itertools.count()
    outcomes = pool.imap(square, drawn)
    assert list(itertools.islice(outcomes, 100)) == [n * n for n in range(100)]
    assert next(drawn) < 5000


def test_an_iterable_may_wait_for_outcomes_that_are_taken(pool: Pool) -> None:
    free = threading.Semaphore(3)

    def numbers() -> Iterator[int]:
        for n in range(30):
            assert free.acquire(timeout=30)
            yield n

    for kind in (pool.imap, pool.imap_unordered):
        total = 0
        for value in kind(square, numbers()):
            total += value
            free.release()
        assert total == sum(n * n for n in range(30))


def test_after_an_exception_it_goes_on_and_a_timeout_loses_nothing(pool: Pool) -> None:
    outcomes = pool.imap(odd_fails, range(4))
    assert next(outcomes) == 0
    with pytest.raises(ValueError, match="1"):
        next(outcomes)
    assert next(outcomes) == 2
    slow = pool.imap(slow_touch, [Path("/dev/null")] * 2)
    with pytest.raises(multiprocessing.TimeoutError):
        slow.next(0.01)
    assert len(list(slow)) == 2
    unordered = pool.imap_unordered(slow_touch, [Path("/dev/null")] * 2)
    with pytest.raises(multiprocessing.TimeoutError):
        unordered.next(timeout=0.01)
    assert len(list(unordered)) == 2


@pytest.mark.parametrize("chunksize", [1, 3])
def test_a_reused_buffer_gives_what_the_builtin_map_gives(pool: Pool, chunksize: int) -> None:
    def numbers() -> Iterator[list[int]]:
        buffer = [0]
        for n in range(12):
            buffer[0] = n
            yield buffer

    assert list(pool.imap(sum, numbers(), chunksize)) == list(range(12))
    assert pool.map(sum, numbers(), chunksize) == list(range(12))


def test_several_threads_may_take_from_one_iterator_and_submit(pool: Pool) -> None:
    for kind in (pool.imap, pool.imap_unordered):
        outcomes = kind(square, iter(range(200)))
        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            taken = [threads.submit(list, outcomes) for _ in range(4)]
            mapped = [threads.submit(pool.map, square, range(50)) for _ in range(4)]
            assert sorted(itertools.chain.from_iterable(one.result(60) for one in taken)) == [n * n for n in range(200)]
            assert all(one.result(60) == [n * n for n in range(50)] for one in mapped)


def test_join_has_all_of_it_made_though_no_one_looks(client: simpledist.Client, tmp_path: Path) -> None:
    pool = client.pool()
    pool.imap(slow_touch, (tmp_path / str(n) for n in range(6)))
    pool.close()
    pool.join()
    assert len(list(tmp_path.iterdir())) == 6
