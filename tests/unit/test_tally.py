"""What the calls of one function came to, counted without a lock that anyone waits for."""

from __future__ import annotations

import copy
import os
import sys
import threading

import pytest

from simpledist.engine.tally import MOST_ENDED, Tally
from simpledist.job import Info, Stats


def test_there_is_nothing_before_the_first_outcome() -> None:
    assert Tally().stats() == Stats(0, 0, {}, 0, None, None)


def test_calls_are_counted_by_where_they_ran_and_why() -> None:
    tally = Tally()
    tally.returned.append(Info("remote", queued_seconds=0.5, run_seconds=2.0))
    tally.raised.append(Info("remote", queued_seconds=1.5, run_seconds=4.0))
    tally.add("no_worker", 3.0)
    tally.add("redis_down", 1.0, failed=3, calls=6, timed=1)
    stats = tally.stats()
    assert (stats.calls, stats.remote, stats.failed) == (9, 2, 4)
    assert list(stats.local.items()) == [("redis_down", 6), ("no_worker", 1)], "the most frequent first"
    assert stats.mean_run_seconds == pytest.approx(2.5)  # pyright: ignore[reportUnknownMemberType]
    assert stats.mean_wait_seconds == pytest.approx(2.0 / 9)  # pyright: ignore[reportUnknownMemberType]
    assert stats.calls == stats.remote + sum(stats.local.values())


def test_what_was_returned_stays_as_it_is() -> None:
    tally = Tally()
    before = tally.stats()
    tally.add("no_worker", 1.0)
    assert before.local == {}
    with pytest.raises(AttributeError):
        before.calls = 7  # type: ignore[misc]


def test_many_threads_lose_nothing_and_memory_is_bounded() -> None:
    tally = Tally()

    def work() -> None:
        for _ in range(5000):
            tally.add(None, 1.0)

    threads = [threading.Thread(target=work) for _ in range(8)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert len(tally._others) <= MOST_ENDED + len(threads)  # pyright: ignore[reportPrivateUsage]
    assert tally.stats().remote == 40_000


def test_who_interrupts_the_adding_waits_for_nothing() -> None:
    tally = Tally()
    with tally._lock:  # pyright: ignore[reportPrivateUsage]
        for _ in range(3 * MOST_ENDED):
            tally.add(None, 1.0)
        assert tally.stats().calls == 0, "not added up yet"
    assert tally.stats().calls == 3 * MOST_ENDED


def test_the_child_of_a_fork_counts_from_nothing() -> None:
    tally = Tally()
    tally.add(None, 1.0, failed=1)
    assert tally.stats().failed == 1
    with tally._lock:  # pyright: ignore[reportPrivateUsage]
        child = os.fork()
    if not child:
        tally.add("closed", 2.0)
        stats = tally.stats()
        os._exit(0 if (dict(stats.local), stats.failed, stats.mean_run_seconds) == ({"closed": 1}, 0, 2.0) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert tally.stats().calls == 1


def test_a_tally_that_was_pickled_counts_from_nothing() -> None:
    tally = Tally()
    tally.add(None, 1.0)
    assert copy.copy(tally).stats().calls == 0
