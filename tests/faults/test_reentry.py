"""Signal handlers, finalisers and the collector enter the client in the midst of its work: no one waits for himself."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.broker import Link
from simpledist.cluster import Cluster
from simpledist.engine.inside import is_inside
from tests.faults.conftest import ROOT, MakeCluster
from tests.faults.functions import work
from tests.faults.history import offered, probe
from tests.faults.test_interrupts import nothing_runs
from tests.waiting import wait_until


def finished(*command: str, seconds: float = 60, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False)


@pytest.mark.parametrize("workers", [1, 0], ids=["remote", "local"])
def test_a_busy_collector_and_a_busy_signal_handler_lose_nothing(make_cluster: MakeCluster, workers: int) -> None:
    cluster = make_cluster(workers=workers)
    options = ("1", "0", "--seconds", "8", "--stuck", "20")
    ended = finished(sys.executable, "-m", "tests.faults.programs.unrest", cluster.url, *options)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("workers", [1, 0], ids=["remote", "local"])
@pytest.mark.parametrize("what", ["map", "result", "cancel"])
def test_each_line_of_a_call_may_be_interrupted(make_cluster: MakeCluster, workers: int, what: str) -> None:
    """By the collector that finds an abandoned map, or by a handler that waits or cancels."""
    cluster = make_cluster(workers=workers)
    ended = finished(sys.executable, "-m", "tests.faults.programs.every_line", cluster.url, what, seconds=120)
    assert ended.returncode == 0, ended.stdout + ended.stderr


class Pickled(int):
    """A 7 that acts in the midst of a call that is about to be sent: where a signal handler may come, too."""

    def __new__(cls, act: Callable[[], Any]) -> Pickled:
        return super().__new__(cls, 7)

    def __init__(self, act: Callable[[], Any]) -> None:
        self.act = act
        self.came: list[Any] = []

    def __reduce__(self) -> tuple[Any, ...]:
        if is_inside():
            self.came.append(self.act())
        return int, (7,)


@pytest.fixture
def client(cluster: Cluster) -> Iterator[simpledist.Client]:
    cluster.start_worker()
    client = cluster.connect()
    probe(client)
    yield client
    probe(client)


def acts(client: simpledist.Client, function: Any, kind: str) -> Any:
    if kind == "call":
        return function(7)
    if kind == "result":
        return function.submit(7).result()
    if kind == "exception":
        return str(function.submit(6).exception())
    if kind == "map":
        return list(function.map([7, 14]))
    if kind == "executor":
        return client.executor().submit(pow, 7, 2).result()
    future = function.submit(7, 60.0)
    return future.cancel(), future.cancelled(), future.done()


@pytest.mark.parametrize(
    ("kind", "due"),
    [
        ("call", "value of 7"),
        ("result", "value of 7"),
        ("exception", "6"),
        ("map", ["value of 7", "value of 14"]),
        ("executor", 49),
        ("cancel", (True, True, True)),
    ],
)
def test_what_interrupts_a_call_comes_to_its_outcome(client: simpledist.Client, kind: str, due: Any) -> None:
    function = offered(client, "work", work.work)
    assert function(14) == "value of 14", "its code is known: an interruption has no digest made, and runs it here"
    argument = Pickled(lambda: acts(client, function, kind))
    assert function.submit(argument).result(20) == "value of 7"
    assert argument.came == [due]
    assert not is_inside()


def test_what_an_interruption_submits_travels_and_what_it_cancels_is_reported(
    client: simpledist.Client, link: Link
) -> None:
    function = offered(client, "work", work.work)
    answers: list[bool] = []

    def tell(future: simpledist.Future[str]) -> None:
        answers.append(future.cancelled())

    def act() -> Any:
        running = function.submit(7, 60.0)
        running.add_done_callback(tell)
        running.cancel()
        return function.submit(14)

    argument = Pickled(act)
    function(argument)
    future = argument.came[0]
    assert future.result(20) == "value of 14"
    assert future.info.where == "remote"
    wait_until(lambda: answers == [True], 5, "the callback of the cancelled call")
    wait_until(lambda: nothing_runs(link), 5, "nothing is left of it")


def test_a_future_that_is_done_or_cancelled_answers_an_interruption(client: simpledist.Client) -> None:
    function = offered(client, "work", work.work)
    done, cancelled = function.submit(7), function.submit(14, 60.0)
    done.result(20)
    cancelled.cancel()

    def act() -> Any:
        with pytest.raises(CancelledError):
            cancelled.result()
        return done.result(), done.done(), done.cancel(), cancelled.cancelled()

    argument = Pickled(act)
    function(argument)
    assert argument.came == [("value of 7", True, False, True)]


@pytest.mark.parametrize("wait", [True, False])
def test_a_client_that_an_interruption_closes_ends_by_itself(cluster: Cluster, wait: bool) -> None:
    cluster.start_worker()
    client = cluster.connect()
    function = offered(client, "work", work.work)
    assert function(0) == "value of 0"
    argument = Pickled(lambda: client.close(wait=wait))
    assert function(argument) == "value of 7"
    assert function(14) == "value of 14"
    wait_until(lambda: not listeners(), 10, "its thread has ended")
    client.close()


def listeners() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "simpledist-listener"]


def test_an_abandoned_map_is_cancelled_by_the_collector(client: simpledist.Client, link: Link) -> None:
    class Holder:
        me: Any
        map: Any

    holder = Holder()
    holder.me, holder.map = holder, offered(client, "work", work.work).map([0, 7, 14, 21, 28, 35], [60.0] * 6)
    del holder
    gc.collect()
    wait_until(lambda: nothing_runs(link), 5, "its calls are called off")


def test_a_handler_asks_for_the_very_call_that_its_thread_waits_for(client: simpledist.Client) -> None:
    future = offered(client, "work", work.work).submit(7, 1.0)
    came: list[str] = []

    def ask(number: int, frame: object) -> None:
        came.append(future.result())

    before = signal.signal(signal.SIGALRM, ask)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        assert future.result(20) == "value of 7"
    finally:
        signal.signal(signal.SIGALRM, before)
    assert came == ["value of 7"]


def test_a_call_that_runs_here_waits_for_calls_of_its_own(cluster: Cluster) -> None:
    client = cluster.connect()

    def count(n: int) -> int:
        return 0 if not n else 1 + function.submit(n - 1).result()

    function = offered(client, "work", count)
    assert function.submit(5).result(20) == 5


def test_a_call_that_asks_for_its_own_outcome_is_run_once_more(cluster: Cluster) -> None:
    """The thread that runs it is the only one that can settle it."""
    client = cluster.connect()
    known, runs, futures = threading.Event(), list[int](), list[simpledist.Future[str]]()

    def ask(n: int) -> str:
        runs.append(n)
        known.wait(20)
        return futures[0].result() if len(runs) == 1 else work.value_of(n)

    futures.append(offered(client, "work", ask).submit(7))
    known.set()
    assert futures[0].result(20) == work.value_of(7)
    assert runs == [7, 7]


# --- the end of the interpreter ----------------------------------------------------------------------------------

ENDS = """
import atexit, sys, simpledist
client = simpledist.connect(sys.argv[1])
function = simpledist.worker_function(client, "work", lambda n: f"value of {n}")
early = sys.argv[2].startswith("used")
if early:
    print(function(0))
class Last:
    def __init__(self, function):
        self.function = function
    def __del__(self):
        print(self.function(7), self.function.submit(14).result(), list(self.function.map([21])), flush=True)
if sys.argv[2].endswith("del"):
    last = Last(function)
else:
    atexit.register(Last(function).__del__)
"""


@pytest.mark.parametrize("workers", [1, 0], ids=["remote", "local"])
@pytest.mark.parametrize("how", ["used, del", "unused, del", "used, atexit", "unused, atexit"])
def test_calls_at_the_end_of_the_interpreter_have_outcomes(make_cluster: MakeCluster, workers: int, how: str) -> None:
    cluster = make_cluster(workers=workers)
    ended = finished(sys.executable, "-c", ENDS, cluster.url, how, seconds=20)
    assert ended.stdout.splitlines()[-1] == "value of 7 value of 14 ['value of 21']", ended.stderr
    assert ended.returncode == 0


# --- clients that no one closes ----------------------------------------------------------------------------------


def dropped(cluster: Cluster) -> simpledist.Client:
    """A client that no one will close."""
    client = cluster.connect()
    getattr(cluster, "_clients").remove(client)  # noqa: B009 - it is to be forgotten
    return client


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_client_that_no_one_closes_is_collected_with_its_thread_and_descriptors(cluster: Cluster) -> None:
    cluster.start_worker()
    before = descriptors()
    for n in range(0, 21, 7):
        future = offered(dropped(cluster), "work", work.work).submit(n)
        assert future.result(20) == work.value_of(n)
    gc.collect()
    wait_until(lambda: not listeners(), 10, "its threads have ended")
    wait_until(lambda: descriptors() <= before, 5, "its descriptors are closed")


def test_the_calls_of_a_client_that_was_dropped_come_to_their_outcome(cluster: Cluster) -> None:
    cluster.start_worker()
    futures = [offered(dropped(cluster), "work", work.work).submit(n, 0.5) for n in range(0, 21, 7)]
    gc.collect()
    assert [future.result(20) for future in futures] == [work.value_of(n) for n in range(0, 21, 7)]
    assert {future.info.where for future in futures if future.info is not None} == {"remote"}
    wait_until(lambda: not listeners(), 10, "its threads have ended")
