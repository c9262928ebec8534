"""Calls awaited: thousands at once without a thread each, cancelled both ways, and the loop never stands still."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.cluster import Cluster
from tests.integration.functions import farm
from tests.waiting import wait_until


@pytest.fixture
def echo(client: simpledist.Client) -> simpledist.WorkerFunction[[Any], Any]:
    return simpledist.worker_function(client, "echo", farm.echo)


@pytest.fixture
def sleep(client: simpledist.Client) -> simpledist.WorkerFunction[[float], float]:
    return simpledist.worker_function(client, "sleep", farm.sleep)


@pytest.fixture
def log_run(client: simpledist.Client) -> simpledist.WorkerFunction[[str, str, float], str]:
    return simpledist.worker_function(client, "log_run", farm.log_run)


async def until(condition: Callable[[], object], seconds: float) -> None:
    """As tests.waiting.wait_until, without holding the loop up."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


async def gathered(awaitables: Iterator[Awaitable[Any]]) -> list[Any]:
    return await asyncio.gather(*awaitables)


def test_five_thousand_awaits_take_no_thread_each(echo: simpledist.WorkerFunction[[Any], Any]) -> None:
    seen: set[str] = set()

    async def watch() -> None:
        while True:
            seen.update(thread.name for thread in threading.enumerate() if thread.name.startswith("simpledist"))
            assert threading.active_count() < 10
            await asyncio.sleep(0.002)

    async def ask() -> list[int]:
        watcher = asyncio.ensure_future(watch())
        values = await gathered(echo.submit(n) for n in range(5000))
        watcher.cancel()
        return values

    assert asyncio.run(ask()) == list(range(5000))
    assert seen == {"simpledist-listener", "simpledist-resolve"}


def test_cancelling_the_task_cancels_its_calls(
    log_run: simpledist.WorkerFunction[[str, str, float], str], echo: Any, tmp_path: Path
) -> None:
    futures: list[simpledist.Future[str]] = []

    async def ask() -> float:
        futures.extend(log_run.submit(str(tmp_path), str(n), 60.0) for n in range(2000))
        task = asyncio.ensure_future(gathered(iter(futures)))
        await asyncio.sleep(0.1)  # it has begun to wait for all of them
        await until(lambda: len(list(tmp_path.iterdir())) == 2, 20)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - began

    assert asyncio.run(ask()) < 1.0
    assert all(future.cancelled() for future in futures)
    began = time.monotonic()
    assert echo.submit(1).result(30) == 1  # both slots are free for it
    assert time.monotonic() - began < 2.0
    assert len(list(tmp_path.iterdir())) < 10  # a slot that was freed may begin the next before that is called off


@pytest.mark.parametrize("workers", [1, 0], ids=["remote", "local"])
def test_a_function_that_raises_stop_iteration_raises_runtime_error(own_cluster: Cluster, workers: int) -> None:
    """As a coroutine would; a future of asyncio's refuses StopIteration, and the await would never end."""
    for _ in range(workers):
        own_cluster.start_worker(slots=1)
    with own_cluster.connect() as client:
        stop = simpledist.worker_function(client, "stop", farm.stop)

        async def ask() -> None:
            for future in (stop.submit(7), stop.submit(8)):
                # Without "the function" it would be Python that found StopIteration in a generator of ours.
                with pytest.raises(RuntimeError, match="the function raised StopIteration") as raised:
                    await asyncio.wait_for(future, 20)
                assert isinstance(raised.value.__cause__, StopIteration)
            with pytest.raises(RuntimeError, match="StopIteration"):
                await future  # once more: it is done

        asyncio.run(ask())


def test_an_await_without_a_loop_says_what_to_do(echo: simpledist.WorkerFunction[[Any], Any]) -> None:
    future = echo.submit(1)
    # What to write instead depends on which library for coroutines the program has loaded.
    with pytest.raises(RuntimeError, match=r"no asyncio loop runs here; .*use `.*future\.result"):
        future.__await__().send(None)
    assert future.result(20) == 1


def test_two_loops_await_one_call(sleep: simpledist.WorkerFunction[[float], float]) -> None:
    future = sleep.submit(0.3)
    came: list[float] = []

    async def ask() -> None:
        came.append(await future)

    threads = [threading.Thread(target=lambda: asyncio.run(ask())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert came == [0.3, 0.3]


def test_an_await_that_is_too_late_cancels_its_call(sleep: simpledist.WorkerFunction[[float], float]) -> None:
    async def ask() -> simpledist.Future[float]:
        future = sleep.submit(60.0)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(future, 0.1)
        return future

    assert asyncio.run(ask()).cancelled()


def test_a_cancelled_call_cancels_the_await(sleep: simpledist.WorkerFunction[[float], float]) -> None:
    async def ask() -> None:
        future = sleep.submit(60.0)
        waiting = asyncio.ensure_future(gathered(iter([future])))
        await asyncio.sleep(0)
        assert future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(waiting, 5)

    asyncio.run(ask())


def test_the_loop_goes_on_while_redis_hangs(own_cluster: Cluster) -> None:
    """A server that is stopped answers no one: anyone who cancels thousands of calls must not wait for it."""
    own_cluster.start_worker(slots=1)
    with own_cluster.connect() as client:
        sleep = simpledist.worker_function(client, "sleep", farm.sleep)

        async def ask() -> float:
            futures = [sleep.submit(60.0) for _ in range(500)]
            os.kill(own_cluster.redis.pid, signal.SIGSTOP)
            began = time.monotonic()
            for future in futures:
                assert future.cancel()
            return time.monotonic() - began

        try:
            assert asyncio.run(ask()) < 1.0
        finally:
            os.kill(own_cluster.redis.pid, signal.SIGCONT)
        wait_until(lambda: sleep.submit(0.0).result(30) == 0.0, 20, "the slot is free again")


def test_run_in_executor_takes_ours(client: simpledist.Client) -> None:
    async def ask() -> list[int]:
        loop = asyncio.get_running_loop()
        with client.executor() as executor:
            return await gathered(loop.run_in_executor(executor, abs, -n) for n in range(100))

    assert asyncio.run(ask()) == list(range(100))


def test_an_executors_queued_call_is_cancelled_by_its_await(client: simpledist.Client) -> None:
    async def ask() -> None:
        loop = asyncio.get_running_loop()
        executor = client.executor()
        blockers = [executor.submit(time.sleep, 0.5) for _ in range(2)]
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(loop.run_in_executor(executor, time.sleep, 60), 0.2)
        await gathered(iter(blockers))
        # Nothing of the minute is left: what it stood for was taken off the queue.
        executor.shutdown()

    began = time.monotonic()
    asyncio.run(ask())
    assert time.monotonic() - began < 10
