"""What a caller sees while the cluster is whole: every row of the README's table that needs no fault."""

from __future__ import annotations

import asyncio
import concurrent.futures
import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist import policy
from simpledist.cluster import Cluster
from simpledist.errors import FunctionCrashed, RemoteTraceback
from tests.integration.functions import farm
from tests.waiting import wait_until

LOCAL = "local"


def offered(client: simpledist.Client, name: str, local: Callable[..., Any] | None = None, **options: Any) -> Any:
    return simpledist.worker_function(client, name, local or (lambda *_, **__: LOCAL), **options)


def outcome(future: simpledist.Future[Any]) -> tuple[Any, str, str | None]:
    value = future.result(30)
    assert future.info is not None
    return value, future.info.where, future.info.why


def test_a_call_runs_on_a_worker(client: simpledist.Client) -> None:
    assert offered(client, "fib")(20) == 6765


def test_info_is_none_until_done_and_then_tells_where_it_ran(client: simpledist.Client) -> None:
    future = offered(client, "sleep").submit(0.2)
    assert future.info is None
    assert future.result() == 0.2
    assert future.info is not None
    assert future.info.where == "remote"
    assert future.info.why is None
    assert future.info.attempts == 1
    assert 0.15 < future.info.run_seconds < 2.0
    assert future.info.worker
    assert future.info.worker.startswith("w")


def test_a_function_that_no_one_offers_runs_here_at_once(client: simpledist.Client) -> None:
    nobody = offered(client, "nobody")
    began = time.monotonic()
    assert outcome(nobody.submit(1)) == (LOCAL, "local", "no_worker")
    assert nobody(1) == LOCAL
    assert time.monotonic() - began < 1.0


def test_a_version_that_no_one_offers_runs_here(client: simpledist.Client) -> None:
    assert outcome(offered(client, "fib", version=7).submit(20)) == (LOCAL, "local", "no_worker")


def test_an_exception_is_the_same_with_its_remote_traceback_as_cause(client: simpledist.Client) -> None:
    with pytest.raises(KeyError) as caught:
        offered(client, "fail")("key")
    assert caught.value.args == ("key",)
    assert isinstance(caught.value.__cause__, RemoteTraceback)
    assert "farm.py" in str(caught.value.__cause__)
    assert "simpledist" not in str(caught.value.__cause__).replace("tests", "")


def test_a_wrong_number_of_arguments_is_a_type_error_and_harms_no_worker(client: simpledist.Client) -> None:
    fib = offered(client, "fib")
    for _ in range(5):
        with pytest.raises(TypeError, match="positional argument"):
            fib(1, 2, 3)
    assert fib(10) == 55


@pytest.mark.parametrize("kind", ["memory", "import"])
def test_trouble_of_the_workers_process_is_not_the_functions(client: simpledist.Client, kind: str) -> None:
    why = "memory" if kind == "memory" else "worker_error"
    assert outcome(offered(client, "fail").submit(kind)) == (LOCAL, "local", why)


def test_an_exception_that_does_not_survive_the_way_is_raised_by_a_local_run(client: simpledist.Client) -> None:
    future = offered(client, "fuss", farm.fuss).submit(5)
    with pytest.raises(farm.Fussy) as caught:
        future.result(30)
    assert caught.value.code == 5
    assert future.info is not None
    assert future.info.why == "unserialisable"


def test_a_result_that_cannot_travel_is_computed_here(client: simpledist.Client) -> None:
    assert outcome(offered(client, "lock").submit()) == (LOCAL, "local", "unserialisable")


def test_arguments_that_cannot_travel_stay_here(client: simpledist.Client) -> None:
    assert outcome(offered(client, "echo").submit(threading.Lock())) == (LOCAL, "local", "unserialisable")


def test_arguments_over_the_limit_stay_here(cluster: Cluster) -> None:
    with cluster.connect(max_value_bytes=1000) as small:
        assert outcome(offered(small, "echo").submit(b"x" * 2000)) == (LOCAL, "local", "too_big")
        echo = offered(small, "echo")
        assert list(echo.map(range(100))) == list(range(100))
        assert list(echo.map([b"x" * 2000] * 100)) == [LOCAL] * 100, "in a map as well"


def test_a_result_over_the_limit_is_computed_here(client: simpledist.Client) -> None:
    # Nothing ever touches these zeros: they cost neither memory nor time.
    assert outcome(offered(client, "zeros").submit(policy.MAX_VALUE_BYTES)) == (LOCAL, "local", "too_big")
    assert outcome(offered(client, "zeros").submit(1000)) == (bytes(1000), "remote", None)
    assert list(offered(client, "zeros").map([policy.MAX_VALUE_BYTES] * 3)) == [LOCAL] * 3, "in a map as well"


def test_lambdas_and_closures_travel(client: simpledist.Client) -> None:
    factor = 3

    def triple(x: int) -> int:
        return x * factor

    assert offered(client, "echo")(triple)(5) == 15


@pytest.mark.parametrize("size", [0, 4_000, 5_000, 60_000, 70_000, 3_000_000])
def test_values_of_every_size_travel_both_ways(client: simpledist.Client, size: int) -> None:
    value = os.urandom(size)
    future = offered(client, "echo").submit(value)
    assert future.result(30) == value
    assert future.info is not None
    assert future.info.where == "remote"


def test_a_spent_budget_is_cancelled_there_and_run_here(client: simpledist.Client) -> None:
    began = time.monotonic()
    assert outcome(offered(client, "sleep", timeout=0.3).submit(20)) == (LOCAL, "local", "timeout")
    assert time.monotonic() - began < 1.5
    assert offered(client, "sleep", timeout=0.3)(20) == LOCAL
    wait_until(lambda: outcome(offered(client, "fib").submit(5))[1] == "remote", 5, "the slots are free again")


def test_a_full_queue_keeps_the_call_here(client: simpledist.Client) -> None:
    assert outcome(offered(client, "sleep", max_queue=0).submit(0)) == (LOCAL, "local", "queue_full")


def test_a_call_inside_a_workers_child_stays_there(client: simpledist.Client) -> None:
    futures = [offered(client, "nested").submit(10) for _ in range(4)]
    assert [future.result(30) for future in futures] == [(55, "nested")] * 4


@pytest.mark.parametrize("how", ["exit", "segfault", "kill"])
def test_a_function_that_kills_every_process_raises_function_crashed(client: simpledist.Client, how: str) -> None:
    future = offered(client, "die", farm.die).submit(how)
    with pytest.raises(FunctionCrashed):
        future.result(30)
    assert future.info is not None
    assert future.info.why == "crashed"
    assert offered(client, "fib")(10) == 55


def test_a_suspect_that_lives_in_the_throw_away_child_gives_its_value(client: simpledist.Client) -> None:
    future = offered(client, "die_on_worker", farm.die_on_worker).submit(os.getpid())
    assert outcome(future) == ("at home", "local", "crashed")


def test_a_suspect_that_cannot_be_pickled_dies_in_a_fork(client: simpledist.Client) -> None:
    unpicklable = threading.Lock()

    def local(how: str) -> None:
        with unpicklable:
            farm.die(how)

    with pytest.raises(FunctionCrashed):
        offered(client, "die", local)("exit")


def test_map_gives_outcomes_in_order(client: simpledist.Client) -> None:
    assert list(offered(client, "fib").map(range(20))) == [farm.fib(n) for n in range(20)]


def test_map_stops_at_the_shortest_iterable_and_raises_at_its_place(client: simpledist.Client) -> None:
    results = offered(client, "fail").map(["value", "key"], strict := [1])
    assert strict == [1]
    with pytest.raises(TypeError):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


def test_map_is_lazy_beyond_its_bound(client: simpledist.Client) -> None:
    taken: list[int] = []

    def endless() -> Any:
        n = 0
        while True:
            taken.append(n)
            yield 1
            n += 1

    results = offered(client, "fib").map(endless())
    assert [next(results) for _ in range(10)] == [1] * 10
    assert len(taken) <= 1.1 * policy.IN_FLIGHT_IN_BATCHES  # short calls: the higher bound
    results.close()
    assert list(results) == []


def test_ten_thousand_short_calls_come_back_in_order(client: simpledist.Client) -> None:
    assert list(offered(client, "echo").map(range(10_000))) == list(range(10_000))


def test_a_queued_call_can_be_cancelled(client: simpledist.Client) -> None:
    blockers = [offered(client, "sleep").submit(0.5) for _ in range(2)]
    future = offered(client, "sleep").submit(30)
    assert future.cancel()
    assert future.cancelled()
    assert future.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(1)
    assert [one.result(30) for one in blockers] == [0.5, 0.5]
    assert not blockers[0].cancel()


def test_calls_that_wait_for_a_local_run_are_cancelled_each_in_the_same_time(client: simpledist.Client) -> None:
    gate = threading.Event()
    first = offered(client, "nobody", gate.wait).submit(30)
    waiting = [offered(client, "nobody").submit() for _ in range(10_000)]
    wait_until(lambda: first.running(), 10, "the first runs here and all others wait behind it")
    began = time.process_time()
    assert all(future.cancel() for future in reversed(waiting))
    took = time.process_time() - began
    gate.set()
    assert first.result(30)
    assert took < 1.0, "searched from the front, the last of 10,000 is found after 10,000 steps"


def test_a_running_call_is_stopped_within_a_second(client: simpledist.Client, tmp_path: Path) -> None:
    log = offered(client, "log_run")
    futures = [log.submit(str(tmp_path), str(n), 60.0) for n in range(2)]
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2, 10, "both slots are busy")
    began = time.monotonic()
    assert all(future.cancel() for future in futures)
    assert outcome(offered(client, "fib").submit(5)) == (5, "remote", None)
    assert time.monotonic() - began < 1.5


def test_wait_as_completed_and_callbacks_work_on_futures(client: simpledist.Client) -> None:
    futures = [offered(client, "echo").submit(n) for n in range(50)]
    assert sorted(f.result() for f in concurrent.futures.as_completed(futures, timeout=30)) == list(range(50))
    assert not concurrent.futures.wait(futures, timeout=1).not_done
    called = threading.Event()
    future = offered(client, "sleep").submit(0.1)

    def note(_: concurrent.futures.Future[float]) -> None:
        called.set()

    future.add_done_callback(note)
    assert called.wait(10)


def test_a_callback_may_itself_call(client: simpledist.Client) -> None:
    echo = offered(client, "echo")
    answers: list[int] = []
    done = threading.Event()

    def call_on(future: concurrent.futures.Future[int]) -> None:
        inner = [echo.submit(future.result() + n) for n in range(5)]
        concurrent.futures.wait(inner, timeout=20)
        answers.extend([echo(future.result()), *(one.result(0) for one in inner)])
        done.set()

    echo.submit(1).add_done_callback(call_on)
    assert done.wait(20)
    assert answers == [1, 1, 2, 3, 4, 5]


def test_futures_can_be_awaited(client: simpledist.Client) -> None:
    async def gather() -> list[int]:
        return await asyncio.gather(*(offered(client, "echo").submit(n) for n in range(200)))

    assert asyncio.run(gather()) == list(range(200))


def test_cancelling_an_await_cancels_the_call(client: simpledist.Client) -> None:
    future = offered(client, "sleep").submit(60)

    async def give_up() -> None:
        await asyncio.wait_for(asyncio.wrap_future(future), 0.2)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(give_up())
    assert future.cancelled()


def test_two_hundred_threads_get_their_own_values(client: simpledist.Client) -> None:
    echo = offered(client, "echo")
    wrong: list[Any] = []

    def ask(thread: int) -> None:
        for n in range(10):
            value = (thread, n)
            if (got := echo(value)) != value:
                wrong.append((value, got))

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong


def test_both_sides_of_a_fork_call_on(client: simpledist.Client) -> None:
    echo = offered(client, "echo")
    assert echo(0) == 0
    pending = offered(client, "sleep").submit(0.3)
    pid = os.fork()
    if pid == 0:
        fine = False
        signal.alarm(60)  # one that hangs shall not hang us
        try:
            fine = [echo.submit(n).result(20) for n in range(5)] == list(range(5)) and pending.result(20) == LOCAL
        finally:
            os._exit(0 if fine else 1)
    assert [echo.submit(n).result(20) for n in range(5)] == list(range(5))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert pending.result(20) == 0.3


def test_a_future_in_a_copy_that_c_code_has_forked_runs_there(client: simpledist.Client) -> None:
    assert offered(client, "echo")(0) == 0
    pending = offered(client, "sleep").submit(3.0)
    # A thread that waits for the GIL now and then holds its mutex, which would stay locked in the copy for ever: so all
    # others wait for input when it is made.
    time.sleep(0.5)
    fork = ctypes.PyDLL(None).fork  # it keeps the GIL, and tells Python nothing
    before = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    pid = fork()
    if pid == 0:
        fine = False
        signal.alarm(20)
        try:
            fine = pending.result(10) == LOCAL
        finally:
            os._exit(0 if fine else 1)
    signal.signal(signal.SIGALRM, before)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert pending.result(20) == 3.0


def test_after_close_calls_run_here(cluster: Cluster) -> None:
    client = cluster.connect()
    fib = offered(client, "fib")
    pending = offered(client, "sleep").submit(0.2)
    assert fib(5) == 5
    client.close()
    client.close()
    assert pending.result(0) == 0.2
    assert outcome(fib.submit(5)) == (LOCAL, "local", "closed")


def test_json_travels_without_pickle(cluster: Cluster) -> None:
    with cluster.connect(codec="json") as client:
        value = {"a": [1, 2.5, None, True, "ä"]}
        assert outcome(offered(client, "echo").submit(value)) == (value, "remote", None)
        assert outcome(offered(client, "echo").submit((1, 2))) == (LOCAL, "local", "unserialisable")
        with pytest.raises(ValueError, match="value"):
            offered(client, "fail")("value")


def test_other_keys_keep_the_call_here(cluster: Cluster, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("ab" * 32)
    with cluster.connect(secret_file=str(secret)) as client:
        assert outcome(offered(client, "fib").submit(20)) == (LOCAL, "local", "key")


def test_what_user_code_prints_stands_in_the_workers_stderr_with_the_job_id(
    cluster: Cluster, client: simpledist.Client
) -> None:
    future = offered(client, "speak").submit("a line of output")
    future.result(30)
    line = f"[{future.call.id}] a line of output"
    wait_until(lambda: line in cluster.workers[0].stderr_text(), 5, "the line is in the worker's stderr")
