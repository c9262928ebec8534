"""Single submits of short calls that travel together: each future keeps its own fate."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest

import simpledist
from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster
from tests.integration.functions import farm
from tests.waiting import wait_until

LOCAL = "local"


class Acts:
    """The functions `act` and `echo` of one cluster with one slot, known to be quick."""

    def __init__(self, cluster: Cluster, client: simpledist.Client, folder: Path) -> None:
        self.cluster = cluster
        self.client = client
        self.folder = folder
        self._act = self.offered("act")
        for _ in range(2):
            names = [f"warm-{n}" for n in range(100)]
            assert [future.result(30) for future in [self.start(name) for name in names]] == names

    def offered(self, name: str, **options: Any) -> Any:
        return simpledist.worker_function(self.client, name, lambda *_: LOCAL, **options)

    def start(self, name: str, what: str = "quick") -> simpledist.Future[Any]:
        return self._act.submit(str(self.folder), name, what)

    def go(self) -> None:
        """End those that wait."""
        (self.folder / "go").touch()

    def begun(self) -> Counter[str]:
        return Counter((self.folder / "acts").read_text().split())

    def submitted(self, function: str) -> int:
        """How many jobs of it there ever were."""
        return int(self._ask("HGET", Keys().named("meta", function), "submitted") or 0)

    def queued(self) -> int:
        return int(self._ask("ZCARD", Keys().named("queued", "act")))

    def _ask(self, *command: str) -> Any:
        link = Link(self.cluster.url, name="tests")
        link.connect()
        try:
            return link.call(*command)
        finally:
            link.close()


@pytest.fixture
def acts(own_cluster: Cluster, tmp_path: Path) -> Any:
    own_cluster.start_worker(slots=1)
    with own_cluster.connect() as client:
        yield Acts(own_cluster, client, tmp_path)


def test_many_short_calls_are_few_jobs_and_each_has_its_own_outcome(acts: Acts) -> None:
    before = acts.submitted("act")
    futures = [acts.start(f"n{n}", "raise" if n % 100 == 7 else "quick") for n in range(1000)]
    for n, future in enumerate(futures):
        if n % 100 == 7:
            error = future.exception(30)
            assert isinstance(error, ValueError)
            assert error.args == (f"n{n}",)
        else:
            assert future.result(30) == f"n{n}"
        assert future.info is not None
        assert (future.info.where, future.info.attempts) == ("remote", 1)
        assert future.info.worker
        assert 0 <= future.info.run_seconds < 10
    assert acts.submitted("act") - before < 500
    assert len({future.info.run_seconds for future in futures if future.info}) > 3, "each has its own"


def test_what_asks_for_a_job_of_its_own_has_one(acts: Acts) -> None:
    echo = simpledist.worker_function(acts.client, "echo", farm.echo)  # its own code: others share nothing
    assert [future.result(30) for future in [echo.submit(n) for n in range(300)]] == list(range(300))
    for options in ({"timeout": 30.0}, {"max_queue": 10_000}, {"cache": 60.0}):
        before = acts.submitted("echo")
        own = simpledist.worker_function(acts.client, "echo", farm.echo, **cast("Any", options))
        assert [future.result(30) for future in [own.submit(n) for n in range(100)]] == list(range(100))
        assert acts.submitted("echo") - before == 100, options


def test_a_call_that_kills_its_child_takes_no_other_with_it(acts: Acts) -> None:
    futures = [acts.start(f"n{n}", "die" if n == 50 else "quick") for n in range(100)]
    assert [future.result(30) for future in futures] == [LOCAL if n == 50 else f"n{n}" for n in range(100)]
    begun = acts.begun()
    assert begun["n50"] == 2
    assert {begun[f"n{n}"] for n in range(100) if n != 50} == {1}
    assert futures[50].info is not None
    assert futures[50].info.why == "crashed"


def test_a_slow_call_goes_on_and_nothing_waits_for_it(acts: Acts) -> None:
    acts.cluster.start_worker(slots=1)
    futures = [acts.start(f"n{n}", "3" if n == 50 else "quick") for n in range(100)]
    quick = [future for n, future in enumerate(futures) if n != 50]
    assert [future.result(30) for future in quick] == [f"n{n}" for n in range(100) if n != 50]
    assert futures[50].running()
    assert futures[50].result(30) == "n50"
    assert futures[50].info is not None
    assert futures[50].info.run_seconds >= 3
    assert set(acts.begun().values()) <= {1, 2}, "warmed up twice"
    assert acts.begun()["n50"] == 1


def test_a_slow_call_is_stopped_by_cancel(acts: Acts) -> None:
    futures = [acts.start(f"n{n}", "60" if n == 50 else "quick") for n in range(100)]
    wait_until(lambda: acts.begun()["n50"] == 1, 10, "it runs")
    assert futures[50].cancel()
    assert [future.result(30) for future in futures if not future.cancelled()] == [
        f"n{n}" for n in range(100) if n != 50
    ]


def test_cancelled_ones_are_cancelled_and_the_others_are_not(acts: Acts) -> None:
    blocked = acts.start("blocked", "wait")
    wait_until(lambda: acts.begun()["blocked"] == 1, 10, "it runs")
    futures = [acts.start(f"n{n}") for n in range(200)]
    assert all(future.cancel() for future in futures[::2])
    acts.go()
    assert [future.result(30) for future in futures[1::2]] == [f"n{n}" for n in range(1, 200, 2)]
    assert all(future.cancelled() for future in futures[::2])
    assert blocked.result(30) == "blocked"


def test_a_batch_of_which_all_are_cancelled_leaves_the_queue(acts: Acts) -> None:
    blocked = acts.start("blocked", "3")
    wait_until(lambda: acts.begun()["blocked"] == 1, 10, "it runs")
    futures = [acts.start(f"n{n}") for n in range(200)]
    wait_until(lambda: acts.queued() > 0, 5, "some wait")
    assert all(future.cancel() for future in futures)
    wait_until(lambda: acts.queued() == 0, 2, "no one waits for them")
    assert blocked.result(30) == "blocked"
    assert not any(name.startswith("n") for name in acts.begun())


def test_calls_of_an_executor_gather_too_and_what_has_not_begun_can_be_cancelled(acts: Acts) -> None:
    function = acts.offered("act")
    folder = str(acts.folder)
    with acts.client.executor() as pool:
        blocked = pool.submit(function, folder, "blocked", "wait")
        wait_until(lambda: acts.begun()["blocked"] == 1, 10, "it runs")
        before = acts.submitted("act")
        futures = [pool.submit(function, folder, f"n{n}", "quick") for n in range(200)]
        wait_until(lambda: acts.submitted("act") > before, 5, "they are sent")
        assert all(future.cancel() for future in futures[::2])
        assert not blocked.cancel()
        acts.go()
        assert [future.result(30) for future in futures[1::2]] == [f"n{n}" for n in range(1, 200, 2)]
        assert blocked.result(30) == "blocked"
    assert all(future.cancelled() for future in futures[::2])


def test_an_executor_keeps_its_promise_for_calls_that_gathered(acts: Acts) -> None:
    function = acts.offered("act")
    before = acts.submitted("act")
    with acts.client.executor() as pool:
        futures = [pool.submit(function, str(acts.folder), f"n{n}", "quick") for n in range(1000)]
    assert all(future.done() for future in futures)
    assert [future.result() for future in futures] == [f"n{n}" for n in range(1000)]
    assert acts.submitted("act") - before < 500, "many travelled together"


def test_a_callback_may_wait_for_another_call(acts: Acts) -> None:
    futures: list[simpledist.Future[Any]] = []
    seen: list[Any] = []
    all_there, done = threading.Event(), threading.Event()

    def callback(_: object) -> None:
        all_there.wait(30)
        seen.append(futures[-1].result(30))
        done.set()

    for n in range(200):
        futures.append(acts.start(f"n{n}"))
        futures[-1].add_done_callback(callback if n == 20 else seen.append)
    all_there.set()
    assert done.wait(30)
    assert futures[-1].result(30) == "n199"
    wait_until(lambda: len(seen) == 200, 10, "every callback was called")


def test_without_a_worker_each_runs_here(acts: Acts) -> None:
    acts.cluster.workers[0].kill()
    futures = [acts.start(f"n{n}") for n in range(100)]
    assert [future.result(30) in (LOCAL, f"n{n}") for n, future in enumerate(futures)] == [True] * 100
    acts.cluster.workers[0].wait()
    futures = [acts.start(f"n{n}") for n in range(100)]
    assert [future.result(30) for future in futures] == [LOCAL] * 100
    assert {future.info.why for future in futures if future.info} == {"no_worker"}
