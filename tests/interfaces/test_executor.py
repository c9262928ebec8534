"""`client.executor()` beyond what CPython's own tests ask: which way a callable goes, and where it runs."""

from __future__ import annotations

import concurrent.futures
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist import shipped
from simpledist.client.executor import Executor
from simpledist.cluster import Cluster
from simpledist.errors import ConfigurationError
from tests.integration.functions import farm
from tests.interfaces.conftest import FUNCTIONS
from tests.waiting import wait_until


@pytest.fixture
def executor(client: simpledist.Client) -> Iterator[Executor]:
    with client.executor() as one:
        yield one


@pytest.fixture
def offered_fib(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], int]]:
    """`farm.fib` as the worker has imported it. Other tests go by it that this process cannot import `farm`."""
    monkeypatch.setattr(sys, "path", [str(FUNCTIONS), *sys.path])
    yield import_module("farm").fib
    del sys.modules["farm"]


def way(future: concurrent.futures.Future[Any]) -> tuple[str, str, str | None]:
    """The function's name in Redis, where it ran, and why there."""
    assert isinstance(future, simpledist.Future)
    concurrent.futures.wait([future], timeout=30)
    assert future.info is not None
    return future.call.spec.function, future.info.where, future.info.why


def test_a_function_that_a_worker_offers_goes_by_its_name(
    executor: Executor, offered_fib: Callable[[int], int]
) -> None:
    future = executor.submit(offered_fib, 20)
    assert future.result(30) == 6765
    assert way(future) == ("fib", "remote", None)
    assert list(executor.map(offered_fib, range(10), chunksize=4)) == [farm.fib(n) for n in range(10)]


def test_a_function_of_a_module_that_goes_by_value_travels(
    executor: Executor, offered_fib: Callable[[int], int]
) -> None:
    module, cloudpickle = sys.modules["farm"], import_module("cloudpickle")
    cloudpickle.register_pickle_by_value(module)
    try:
        future = executor.submit(offered_fib, 20)
        assert future.result(30) == 6765
        assert way(future) == (shipped.FUNCTION, "remote", None)
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    assert way(executor.submit(offered_fib, 20)) == ("fib", "remote", None)


def test_the_same_name_with_other_code_travels(executor: Executor) -> None:
    # It is tests.integration.functions.farm here and farm on the worker: another function, as far as can be known.
    assert way(executor.submit(farm.fib, 20)) == (shipped.FUNCTION, "remote", None)


def test_a_worker_function_goes_by_its_name(client: simpledist.Client, executor: Executor) -> None:
    fib = simpledist.worker_function(client, "fib", farm.fib)
    assert way(executor.submit(fib, 20)) == ("fib", "remote", None)


def test_closures_methods_and_builtins_travel(executor: Executor) -> None:
    factor = 3

    def triple(x: int) -> int:
        return x * factor

    futures = [executor.submit(triple, 5), executor.submit(pow, 2, 5), executor.submit("a-b".split, "-")]
    assert [future.result(30) for future in futures] == [15, 32, ["a", "b"]]
    assert {way(future) for future in futures} == {(shipped.FUNCTION, "remote", None)}


def test_what_cannot_travel_runs_here(executor: Executor) -> None:
    event = threading.Event()
    assert way(executor.submit(event.set)) == (shipped.FUNCTION, "local", "unserialisable")
    assert event.is_set()


def test_without_a_worker_for_any_function_it_runs_here(own_cluster: Cluster) -> None:
    own_cluster.start_worker()
    with own_cluster.connect() as client, client.executor() as executor:
        assert way(executor.submit(pow, 2, 5)) == (shipped.FUNCTION, "local", "no_worker")


def test_a_worker_of_another_minor_is_not_asked(own_cluster: Cluster) -> None:
    own_cluster.start_worker("simpledist.any=simpledist.shipped:run@2.7")
    with own_cluster.connect() as client, client.executor() as executor:
        assert way(executor.submit(pow, 2, 5)) == (shipped.FUNCTION, "local", "no_worker")


def test_it_works_in_memory() -> None:
    with simpledist.connect("memory://") as client, client.executor() as executor:
        assert way(executor.submit(pow, 2, 5)) == (shipped.FUNCTION, "remote", None)
        assert list(executor.map(abs, [-1, -2, -3], chunksize=2)) == [1, 2, 3]


def test_without_redis_max_workers_calls_run_here_at_once() -> None:
    everybody = threading.Barrier(3)
    with simpledist.connect("redis://127.0.0.1:1") as client, client.executor(3) as executor:
        futures = [executor.submit(everybody.wait, 20) for _ in range(3)]
        assert sorted(future.result(30) for future in futures) == [0, 1, 2]
        assert {way(future)[1] for future in futures} == {"local"}


def test_cancel_is_false_while_it_runs_on_a_worker(executor: Executor, tmp_path: Path) -> None:
    future = executor.submit(farm.log_run, str(tmp_path), "x", 1.0)
    wait_until(lambda: list(tmp_path.iterdir()), 20, "it runs")
    assert not future.cancel()
    assert future.running()
    assert not future.done()
    assert future.exception(30) is None
    assert not future.running()
    assert not future.cancel()


def test_running_is_known_within_a_nudge(executor: Executor) -> None:
    future = executor.submit(time.sleep, 3)
    wait_until(future.running, 2.5, "a nudge brings the word")


def lines_in(file: Path) -> int:
    return len(file.read_text().splitlines()) if file.exists() else 0


def test_a_queued_call_can_be_cancelled(executor: Executor, tmp_path: Path) -> None:
    blockers = [executor.submit(farm.act, str(tmp_path), "blocker", "wait") for _ in range(2)]
    wait_until(lambda: lines_in(tmp_path / "acts") == 2, 20, "both slots are busy")
    future = executor.submit(farm.act, str(tmp_path), "queued", "60")
    assert future.cancel()
    assert future.cancelled()
    (tmp_path / "go").touch()
    assert concurrent.futures.wait(blockers, timeout=30).not_done == set()


def test_shutdown_returns_when_callbacks_have_run(client: simpledist.Client) -> None:
    done: list[int] = []

    def slow_note(future: concurrent.futures.Future[int]) -> None:
        time.sleep(0.05)
        done.append(future.result())

    with client.executor() as executor:
        for n in range(5):
            executor.submit(abs, -n).add_done_callback(slow_note)
    assert sorted(done) == list(range(5))


def test_a_callback_may_shut_its_executor_down(client: simpledist.Client) -> None:
    executor = client.executor()
    ended = threading.Event()

    def end(_: object) -> None:
        executor.shutdown()
        ended.set()

    executor.submit(abs, -1).add_done_callback(end)
    assert ended.wait(20)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, ValueError])
def test_what_a_callback_raises_is_no_outcome(
    executor: Executor, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    begun, heard = threading.Event(), list[str]()

    def fails(_: Any) -> None:
        begun.set()
        raise error("of a callback")

    future = executor.submit(time.sleep, 0.2)
    future.add_done_callback(fails)
    future.add_done_callback(lambda _: heard.append("the next one"))
    assert future.result(30) is None  # this thread may be the one that runs them
    assert begun.wait(30)
    executor.shutdown()
    assert heard == ["the next one"]
    assert "exception calling callback" in caplog.text


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit])
def test_what_ends_a_thread_and_comes_from_a_callback_of_a_done_future_is_raised_as_in_the_stdlib(
    executor: Executor, error: type[BaseException]
) -> None:
    def fails(_: Any) -> None:
        raise error("of a callback")

    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        for pool in (threads, executor):
            future = pool.submit(abs, -1)
            assert future.result(30) == 1
            with pytest.raises(error):  # this thread's own: the callback runs where it is added
                future.add_done_callback(fails)


def test_the_outcomes_of_a_map_are_there_after_shutdown(client: simpledist.Client) -> None:
    with client.executor() as executor:
        outcomes = executor.map(abs, range(-9, 0))
        in_chunks = executor.map(abs, range(-9, 0), chunksize=2)
    assert list(outcomes) == list(in_chunks) == list(range(9, 0, -1))


def test_a_done_future_keeps_no_arguments(executor: Executor) -> None:
    future = executor.submit(len, b"x" * 100_000)
    assert future.result(30) == 100_000
    assert future.call.args == ()
    assert future.call.body == b""


def test_map_consumes_only_as_far_ahead_as_asked(executor: Executor) -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for n in range(1000):
            taken.append(n)
            yield n

    results = executor.map(abs, numbers(), buffersize=3)
    assert len(taken) == 3
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert len(taken) == 8
    for size, error in ((0, ValueError), (1.5, TypeError)):
        with pytest.raises(error):
            executor.map(abs, [], buffersize=size)  # type: ignore[arg-type]


def test_map_cancels_what_was_started_when_its_iterable_raises(executor: Executor) -> None:
    def numbers() -> Iterator[float]:
        yield from [0.3] * 600
        raise LookupError("no more")

    with pytest.raises(LookupError):
        executor.map(time.sleep, numbers())
    executor.shutdown(wait=False, cancel_futures=True)


def slow_touch(file: Path) -> Path:
    time.sleep(0.2)
    file.touch()
    return file


@pytest.mark.parametrize("chunksize", [1, 2])
def test_a_map_at_which_no_one_looks_is_made(client: simpledist.Client, tmp_path: Path, chunksize: int) -> None:
    files = [tmp_path / str(n) for n in range(8)]
    with client.executor() as executor:
        executor.map(slow_touch, files, chunksize=chunksize)
    assert sorted(tmp_path.iterdir()) == files


def test_a_map_that_is_dropped_half_way_cancels_the_rest(client: simpledist.Client, tmp_path: Path) -> None:
    files = [tmp_path / f"{n:02}" for n in range(40)]
    with client.executor() as executor:
        outcomes = executor.map(slow_touch, files)
        assert next(outcomes) == files[0]
        del outcomes
    assert 1 <= len(list(tmp_path.iterdir())) < 20


def test_an_initializer_is_refused_with_the_remedy(client: simpledist.Client) -> None:
    with pytest.raises(ConfigurationError, match="when the function's module is imported"):
        client.executor(initializer=print)
    with pytest.raises(ConfigurationError):
        client.executor(initargs=(1,))


def test_both_sides_of_a_fork_use_their_executor(client: simpledist.Client) -> None:
    executor = client.executor()
    pending = executor.submit(time.sleep, 0.3)
    pid = os.fork()
    if pid == 0:
        fine = False
        try:
            fine = executor.submit(pow, 2, 3).result(20) == 8
            executor.shutdown()
        finally:
            os._exit(0 if fine else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert pending.result(20) is None
    executor.shutdown()


def test_a_program_that_ends_still_gets_done_what_its_executor_took(cluster: Cluster, tmp_path: Path) -> None:
    script = f"""
import simpledist, pathlib
def write(name):
    import time
    time.sleep(0.3)
    pathlib.Path({str(tmp_path)!r}, name).write_text("done")
executor = simpledist.connect({cluster.url!r}).executor()
for n in range(3):
    executor.submit(write, str(n))
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["0", "1", "2"]


def test_the_worker_command_needs_a_target_or_any() -> None:
    command = [sys.executable, "-m", "simpledist.cli.worker"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert "--any" in result.stderr
