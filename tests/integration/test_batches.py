"""Short jobs that travel to a child together, or one ahead of the other: each keeps its own fate."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster
from tests.waiting import wait_until

LOCAL = "local"
A_WHILE = "0.03"  # too long for a batch, and short enough to wait behind another


class Acts:
    """The function `act` of one cluster, and what its runs have written down."""

    def __init__(self, client: simpledist.Client, folder: Path) -> None:
        self._act = simpledist.worker_function(client, "act", lambda *_: LOCAL)
        self._sleep = simpledist.worker_function(client, "sleep", lambda *_: LOCAL)
        self._folder = folder

    def start(self, name: str, what: str = "quick") -> simpledist.Future[Any]:
        return self._act.submit(str(self._folder), name, what)

    def warm(self, what: str = "quick") -> None:
        """Let the worker learn how quick the function is, so that it gives a child many at once, or one ahead."""
        names = [f"warm-{n}" for n in range(300 if what == "quick" else 10)]
        assert [future.result(30) for future in [self.start(name, what) for name in names]] == names

    def hold_up(self, slots: int) -> None:
        """Keep every slot busy for a moment, so that what is submitted now gathers in the queue."""
        futures = [self._sleep.submit(0.3) for _ in range(slots)]
        wait_until(lambda: all(not future.done() for future in futures), 1, "they sleep")

    def begun(self) -> Counter[str]:
        return Counter((self._folder / "acts").read_text().split())


def fate(future: simpledist.Future[Any]) -> tuple[Any, str, str | None, int]:
    value = future.result(30)
    assert future.info is not None
    return value, future.info.where, future.info.why, future.info.attempts


@pytest.mark.parametrize(("slots", "what"), [(1, "quick"), (2, "quick"), (1, A_WHILE), (2, A_WHILE)])
def test_a_child_that_dies_takes_only_the_job_that_it_ran(
    own_cluster: Cluster, tmp_path: Path, slots: int, what: str
) -> None:
    own_cluster.start_worker(slots=slots)
    with own_cluster.connect() as client:
        acts = Acts(client, tmp_path)
        acts.warm(what)
        acts.hold_up(slots)
        names = [f"quick-{n}" for n in range(60 if what == "quick" else 20)]
        before = [acts.start(name, what) for name in names[: len(names) // 2]]
        deadly = acts.start("deadly", f"{what} die")
        after = [acts.start(name, what) for name in names[len(names) // 2 :]]
        assert [fate(future) for future in before + after] == [(name, "remote", None, 1) for name in names]
        assert fate(deadly)[:3] == (LOCAL, "local", "crashed")
        begun = acts.begun()
        assert begun["deadly"] == 2
        assert {begun[name] for name in names} == {1}


@pytest.mark.parametrize("what", ["quick", A_WHILE])
def test_nothing_waits_behind_a_job_that_turns_out_slow(own_cluster: Cluster, tmp_path: Path, what: str) -> None:
    own_cluster.start_worker(slots=2)
    with own_cluster.connect() as client:
        acts = Acts(client, tmp_path)
        acts.warm(what)
        acts.hold_up(2)
        slow = acts.start("slow", "4.0")
        names = [f"quick-{n}" for n in range(60 if what == "quick" else 20)]
        quick = [acts.start(name, what) for name in names]
        assert [fate(future) for future in quick] == [(name, "remote", None, 1) for name in names]
        assert not slow.done()
        assert fate(slow) == ("slow", "remote", None, 1)
        assert acts.begun()["slow"] == 1


def test_a_cancelled_job_of_a_batch_harms_no_other(own_cluster: Cluster, tmp_path: Path) -> None:
    own_cluster.start_worker(slots=1)
    with own_cluster.connect() as client:
        acts = Acts(client, tmp_path)
        acts.warm()
        names = [f"short-{n}" for n in range(200)]
        futures = [acts.start(name, "0.002") for name in names]
        wait_until(lambda: futures[3].done(), 10, "they run")
        gone = {name for name, future in list(zip(names, futures, strict=True))[20::7] if future.cancel()}
        assert gone
        left = [(name, future) for name, future in zip(names, futures, strict=True) if name not in gone]
        assert [fate(future)[:3] for _, future in left] == [(name, "remote", None) for name, _ in left]


def test_a_busy_child_has_its_next_job_and_a_drain_gives_it_back(
    own_cluster: Cluster, tmp_path: Path, link: Link
) -> None:
    worker = own_cluster.start_worker(slots=1)
    with own_cluster.connect() as client:
        acts = Acts(client, tmp_path)
        acts.warm("0.1")
        names = [f"short-{n}" for n in range(60)]
        futures = [acts.start(name, "0.1") for name in names]
        (row,) = link.call("HKEYS", Keys().workers)
        held = Keys().named("held", row.decode())
        own_cluster.start_worker(slots=1)
        wait_until(lambda: link.call("HLEN", held) == 2, 10, "one runs, and one is behind it")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait() == 0
        assert int(link.call("HGET", Keys().named("meta", "act"), "requeued") or 0) >= 1
        assert [fate(future) for future in futures] == [(name, "remote", None, 1) for name in names]


def test_exceptions_of_a_batch_stay_with_their_calls(own_cluster: Cluster, tmp_path: Path) -> None:
    own_cluster.start_worker(slots=1)
    with own_cluster.connect() as client:
        acts = Acts(client, tmp_path)
        acts.warm()
        acts.hold_up(1)
        futures = [acts.start(f"n{n}", "raise" if n % 5 == 2 else "quick") for n in range(40)]
        for n, future in enumerate(futures):
            if n % 5 == 2:
                error = future.exception(30)
                assert isinstance(error, ValueError)
                assert error.args == (f"n{n}",)
            else:
                assert future.result(30) == f"n{n}"


def test_recycled_children_run_so_many_jobs_and_no_more(own_cluster: Cluster) -> None:
    own_cluster.start_worker(slots=1, arguments=["--recycle", "5"])
    with own_cluster.connect() as client:
        pid = simpledist.worker_function(client, "pid", lambda: LOCAL)
        pids = Counter(future.result(30) for future in [pid.submit() for _ in range(50)])
        assert set(pids.values()) == {5}
