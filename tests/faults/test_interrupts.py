"""Calls torn away: Ctrl-C at any moment, exits in callbacks, forks, signals to workers, cancels."""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest

import simpledist
from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster
from simpledist.engine import locks
from tests.faults.conftest import MakeCluster
from tests.faults.functions import work
from tests.faults.history import History, offered, probe
from tests.interrupting import interrupts
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def the_locks_of_the_stdlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the order of locks unchecked: a lock that is written in Python can be interrupted between two lines."""
    monkeypatch.setattr(locks, "CHECKED", False)


def nothing_runs(link: Link, function: str = "work") -> bool:
    keys = Keys()
    counted = link.pipeline([("ZCARD", keys.named("queued", function)), ("HLEN", keys.named("current", function))])
    return counted == [0, 0]


# --- Ctrl-C ------------------------------------------------------------------------------------------------------


class Alarm:
    """A signal handler that raises an exception of this class, and knows which."""

    def __init__(self, kind: type[BaseException]) -> None:
        self._kind = kind
        self.raised: list[BaseException] = []
        self.struck = ""  # where it came last

    def __call__(self, _: int, frame: FrameType | None) -> None:
        self.struck = "".join(traceback.format_stack(frame))
        self.raised.append(self._kind("the alarm of this program"))
        raise self.raised[-1]


# An alarm may come while the stdlib opens the source of a function: no one is left then to close that file.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", [KeyboardInterrupt, TimeoutError, ConnectionError])
@pytest.mark.parametrize("fresh", [False, True], ids=["connected", "connecting"])
def test_what_an_alarm_raises_at_any_moment_of_a_call_reaches_its_caller(
    cluster: Cluster, link: Link, kind: type[BaseException], fresh: bool
) -> None:
    cluster.start_worker()
    client = cluster.connect()
    probe(client)
    # Python drops what a handler raises in a finaliser: none of these clients ends meanwhile, and no garbage is
    # collected, this test's or that of the tests before.
    kept = [client]
    gc.collect()
    gc.disable()
    draw, alarm = random.Random(f"{kind.__name__} {fresh}"), Alarm(kind)
    before = signal.signal(signal.SIGALRM, alarm)
    try:
        for n in range(0, 700, 7):
            if fresh and n % 28 == 0:
                client = cluster.connect()
                kept.append(client)
            function = offered(client, "work", work.work)
            alarm.raised.clear()
            began = time.monotonic()
            try:
                signal.setitimer(signal.ITIMER_REAL, draw.uniform(0.0002, 0.01))
                assert (function(n, 0.003) if n % 2 else function.submit(n, 0.003).result()) == work.value_of(n)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except kind as error:
                missed = error not in alarm.raised
            else:
                missed = bool(alarm.raised)
            assert not missed, f"the caller of {n} never saw its alarm: {alarm.struck}"
            assert time.monotonic() - began < 3.0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.enable()
    function = offered(client, "work", work.work)
    assert [function(n) for n in range(1001, 1006)] == [work.value_of(n) for n in range(1001, 1006)]
    wait_until(lambda: nothing_runs(link), 5, "nothing is left of the calls torn away")
    probe(client)


@pytest.mark.parametrize("what", ["call", "submit", "map", "cancel"])
def test_a_call_torn_away_at_any_of_its_lines_leaves_the_next_ones_whole(cluster: Cluster, what: str) -> None:
    cluster.start_worker()
    probe(cluster.connect())
    command = [sys.executable, "-m", "tests.faults.programs.torn_lines", cluster.url, what]
    unchecked = {name: value for name, value in os.environ.items() if name != "SIMPLEDIST_LOCK_ORDER"}
    ended = subprocess.run(command, timeout=120, capture_output=True, text=True, check=False, env=unchecked)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert int(ended.stdout.split()[0]) > 50


def test_ctrl_c_in_a_waiting_call_stops_its_run(cluster: Cluster, link: Link, history: History) -> None:
    cluster.start_worker()
    client = cluster.connect()
    probe(client)
    with interrupts() as interrupt_after:
        interrupt_after(1.0)
        with pytest.raises(KeyboardInterrupt):
            offered(client, "work")(0, 60.0)
    wait_until(lambda: nothing_runs(link), 5, "it is called off")
    assert work.runs(history.log) == {0: 1}
    probe(client)


def test_ctrl_c_in_a_map_cancels_the_rest(cluster: Cluster, link: Link) -> None:
    """The traceback keeps the iterator alive, as it does in a notebook: its calls must not go on for that."""
    cluster.start_worker()
    client = cluster.connect()
    probe(client)
    numbers = [n for n in range(400) if n % 7 != 6]
    results = offered(client, "work").map(numbers, [0.1] * len(numbers))
    with interrupts() as interrupt_after:
        assert [next(results) for _ in range(5)] == [work.value_of(n) for n in numbers[:5]]
        interrupt_after(0.3)
        with pytest.raises(KeyboardInterrupt) as shown:
            list(results)
    wait_until(lambda: nothing_runs(link), 5, "nothing goes on")
    assert list(results) == []
    assert shown.traceback
    probe(client)


def test_ctrl_c_while_a_result_is_decoded_loses_it_not(cluster: Cluster) -> None:
    cluster.start_worker()
    client = cluster.connect()
    probe(client)
    future = offered(client, "interrupting").submit(3)
    work.interruptions.append(signal.SIGINT)
    with suppress(KeyboardInterrupt):  # it meets this thread, or the one that decodes what no one waits for yet
        future.result(20)
    assert future.result(20).n == 3
    assert future.info is not None
    assert future.info.where == "remote"
    assert not work.interruptions
    probe(client)


def test_the_timeout_of_a_signal_handler_reaches_the_caller_while_its_result_is_decoded(cluster: Cluster) -> None:
    def too_late(*_: object) -> None:
        raise TimeoutError("the alarm of this program")

    cluster.start_worker()
    client = cluster.connect()
    probe(client)
    before = signal.signal(signal.SIGALRM, too_late)
    try:
        work.interruptions.append(signal.SIGALRM)
        with pytest.raises(TimeoutError, match="the alarm of this program"):
            offered(client, "interrupting")(3)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not work.interruptions
    probe(client)


# --- exits in callbacks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 0], ids=["remote", "local"])
def test_an_exit_in_a_callback_ends_no_thread_that_others_need(make_cluster: MakeCluster, workers: int) -> None:
    cluster = make_cluster(workers=workers)
    client = cluster.connect()
    function = offered(client, "work", work.work)
    came: list[str] = []

    def leave(_: object) -> None:
        sys.exit(3)

    def take(future: Any) -> None:
        came.append(future.result())

    for n in range(1, 6):
        future = function.submit(n)
        with suppress(SystemExit):  # where it has ended already it is called here, as in the stdlib
            future.add_done_callback(leave)
        wait_until(future.done, 10, "it is done")
    for n in range(8, 13):
        function.submit(n).add_done_callback(take)
    wait_until(lambda: sorted(came) == sorted(map(work.value_of, range(8, 13))), 10, "the callbacks of the others")
    if not workers:
        cluster.start_worker()
    probe(client)


# --- forks -------------------------------------------------------------------------------------------------------


def called(client: simpledist.Client, first: int, count: int = 3) -> list[tuple[Any, str]]:
    function = offered(client, "work", work.work)
    futures = [function.submit(n) for n in range(first, first + count)]
    return [(future.result(30), future.info.where) for future in futures]


def due(first: int, count: int = 3) -> list[tuple[Any, str]]:
    return [(work.value_of(n), "remote") for n in range(first, first + count)]


def forked(act: Callable[[], bool]) -> int:
    """The id of a child that exits with 0 if `act` is true there."""
    pid = os.fork()
    if pid == 0:
        code = 1
        signal.alarm(60)  # one that hangs is dead by then, and has failed
        try:
            code = 0 if act() else 1
        finally:
            os._exit(code)
    return pid


def test_forks_under_calls_of_other_threads_leave_both_sides_whole(cluster: Cluster) -> None:
    cluster.start_worker()
    client = cluster.connect()
    probe(client)
    over = threading.Event()
    wrong: list[object] = []

    def hammer(thread: int) -> None:
        first = 7_000_000 * thread
        while not over.is_set():
            first += 7
            if (got := called(client, first)) != due(first):
                wrong.append(got)

    threads = [threading.Thread(target=hammer, args=(n,)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    codes: list[int] = []
    try:
        for turn in range(10):
            child = forked(lambda first=7 * turn: called(client, first) == due(first))
            assert called(client, 700 + 7 * turn) == due(700 + 7 * turn)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert codes == [0] * 10
    assert not wrong
    probe(client)


def _in_another_process(url: str, first: int) -> None:
    with simpledist.connect(url) as client:
        assert called(client, first) == due(first)


def test_multiprocessing_of_every_kind(cluster: Cluster) -> None:
    cluster.start_worker()
    client = cluster.connect()
    probe(client)
    for turn, method in enumerate(("fork", "spawn", "forkserver")):
        context: Any = multiprocessing.get_context(method)
        process = context.Process(target=_in_another_process, args=(cluster.url, 70 * turn))
        process.start()
        assert called(client, 7000 + 70 * turn) == due(7000 + 70 * turn)
        process.join(60)
        assert process.exitcode == 0, method
    probe(client)


# --- signals to workers ------------------------------------------------------------------------------------------


def test_signals_to_workers_under_load_lose_nothing(cluster: Cluster, history: History) -> None:
    stays = cluster.start_worker()
    client = cluster.connect()
    probe(client)
    codes: list[int] = []
    for turn, numbers in enumerate(
        ([signal.SIGTERM], [signal.SIGINT], [signal.SIGTERM, signal.SIGTERM], [signal.SIGHUP])
    ):
        victim = cluster.start_worker()
        history.submit(client, range(40 * turn, 40 * turn + 40), 0.04)
        wait_until(lambda: len(history.open()) < 35, 20, "they are at work")
        for number in numbers:
            victim.send_signal(number)
        codes.append(victim.wait(20))
    history.wait(30)
    assert codes[:2] == [0, 0]
    assert codes[2] in (0, 1), "the second one may come when it has left"
    assert codes[3] == -signal.SIGHUP
    assert stays.running
    assert set(history.where()) == {"remote"}
    history.check(most_runs=3)
    assert max(entry.attempts for entry in history.entries.values()) <= 2, "what was given back was no attempt"
    probe(client)


# --- cancels -----------------------------------------------------------------------------------------------------


def test_cancels_at_any_moment_end_or_come_too_late(cluster: Cluster, link: Link) -> None:
    cluster.start_worker()
    client = cluster.connect()
    probe(client)
    function = offered(client, "work", work.work)
    ends: list[str] = []
    wrong: list[object] = []

    def race(thread: int) -> None:
        draw = random.Random(thread)
        for turn in range(40):
            n = 7 * (1000 * thread + turn)
            future = function.submit(n, 0.002)
            time.sleep(draw.uniform(0, 0.01))
            cancelled = future.cancel()
            try:
                value = future.result(20)
            except CancelledError:
                ends.append("cancelled")
                if not cancelled:
                    wrong.append(f"{n} was cancelled and said that it could not be")
            else:
                ends.append("value")
                if cancelled or value != work.value_of(n):
                    wrong.append((n, cancelled, value))

    threads = [threading.Thread(target=race, args=(thread,)) for thread in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong
    assert len(ends) == 240
    assert {"cancelled", "value"} == set(ends)
    wait_until(lambda: nothing_runs(link), 10, "no job stays behind")
    probe(client)
