"""Workers of which nothing tells but their silence, and jobs that are silent although all is well: all at once.

The client may not ask for closed connections and no distributor runs: heartbeats alone decide, the slowest way, 12 s.
One scenario for the whole module; each test looks at its part of it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

import simpledist
from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster, RoleProcess
from tests import standing
from tests.faults.conftest import counting_cluster
from tests.faults.functions import work
from tests.faults.history import History, offered, probe
from tests.waiting import wait_until

LONG_SECONDS = 13.0  # longer than any silence is borne
BOUND_SECONDS = 12.0


@dataclass
class Silences:
    """Killed: runs call 1. Frozen: runs call 2. A healthy worker runs a long call and one that holds the GIL in C."""

    cluster: Cluster
    client: simpledist.Client
    history: History
    frozen: RoleProcess
    lost: list[simpledist.Future[str]]
    gil: simpledist.Future[int]
    took: list[float]  # from the silence to the ends of `lost`, seconds


@pytest.fixture(scope="module")
def silences(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Silences]:
    log = tmp_path_factory.mktemp("silences") / "runs"
    with counting_cluster(log) as cluster:
        history = History(log)
        pids: set[int] = set()

        def worker(slots: int) -> RoleProcess:
            one = cluster.start_worker(slots=slots)
            pids.add(one.pid)
            standing.roots.add(one.pid)
            return one

        def begins(n: int) -> None:
            wait_until(lambda: work.runs(log).get(n), 10, f"call {n} begins")

        link = Link(cluster.url, name="tests")
        link.connect()
        rights = ["~*", "+@all", "-client", "+client|setname"]
        link.call("ACL", "SETUSER", "limited", "on", ">secret", *rights)
        link.close()
        with simpledist.connect(cluster.url.replace("unix://", "unix://limited:secret@")) as client:
            linger = offered(client, "linger")
            until = log.with_name("until")
            killed = worker(1)
            of_killed = linger.submit(1, str(until))
            begins(1)
            frozen = worker(1)
            of_frozen = linger.submit(2, str(until))
            begins(2)
            worker(2)
            history.submit(client, [3], LONG_SECONDS)
            gil = offered(client, "hold_gil").submit(4, LONG_SECONDS)
            begins(3)
            begins(4)
            worker(2)
            killed.kill()
            os.kill(frozen.pid, signal.SIGSTOP)
            until.touch()  # anyone who runs them from now on is done at once
            began, lost = time.monotonic(), [of_killed, of_frozen]
            ends: dict[object, float] = {}

            def note(ended: object) -> None:
                ends[ended] = time.monotonic()

            for future in lost:
                future.add_done_callback(note)
            wait_until(lambda: len(ends) == 2 and gil.done() and history.entries[3].ended, 40, "all calls end")
            yield Silences(cluster, client, history, frozen, lost, gil, [ends[future] - began for future in lost])
            os.kill(frozen.pid, signal.SIGCONT)
        standing.roots.difference_update(pids)


@pytest.mark.parametrize("n", [1, 2], ids=["killed", "frozen"])
def test_a_silent_workers_job_runs_elsewhere_within_12_seconds(silences: Silences, n: int) -> None:
    future = silences.lost[n - 1]
    assert future.result() == work.value_of(n)
    assert silences.took[n - 1] < BOUND_SECONDS, (silences.took, [one.info for one in silences.lost])
    assert future.info is not None
    assert (future.info.where, future.info.attempts) == ("remote", 2)


def test_a_call_longer_than_any_silence_runs_once_on_a_healthy_worker(silences: Silences) -> None:
    one = silences.history.entries[3]
    assert (one.where, one.attempts, one.came) == ("remote", 1, work.value_of(3))
    assert work.runs(silences.history.log)[3] == 1


def test_a_function_that_holds_the_gil_in_c_runs_once_on_a_healthy_worker(silences: Silences) -> None:
    assert silences.gil.result() == 4
    assert silences.gil.info is not None
    assert (silences.gil.info.where, silences.gil.info.attempts) == ("remote", 1)
    assert work.runs(silences.history.log)[4] == 1


def test_a_frozen_worker_that_thaws_does_no_harm_and_serves_again(silences: Silences) -> None:
    assert silences.lost[1].result() == work.value_of(2)
    os.kill(silences.frozen.pid, signal.SIGCONT)
    link = Link(silences.cluster.url, name="tests")
    link.connect()
    row = lambda: link.call("HGET", Keys().workers, silences.frozen.id) or b""  # noqa: E731
    wait_until(lambda: row() and b'"dead"' not in row(), 10, "it is registered again")
    link.close()
    silences.history.check(most_runs=2)
    probe(silences.client)
