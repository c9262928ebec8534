"""How a pool and its calls end: terminated, closed, dropped, interrupted, forked."""

from __future__ import annotations

import concurrent.futures
import gc
import itertools
import os
import pickle
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import simpledist
from simpledist.client import pool as pools
from simpledist.client.pool import Pool
from simpledist.cluster import Cluster
from simpledist.engine import deferred
from tests.integration.functions import farm
from tests.interfaces.pooled import slow_pid, square
from tests.interrupting import interrupts
from tests.waiting import wait_until


def nothing_runs(client: simpledist.Client) -> bool:
    return not client.engine.in_flight()


def test_terminate_cancels_what_waits_and_stops_what_runs(client: simpledist.Client, tmp_path: Path) -> None:
    heard: list[BaseException] = []
    pool = client.pool()
    running = pool.apply_async(farm.log_run, (str(tmp_path), "x", 60.0))
    wait_until(lambda: list(tmp_path.iterdir()), 20, "it runs")
    waiting = pool.map_async(time.sleep, [60.0] * 500, 1, error_callback=heard.append)
    outcomes = pool.imap(time.sleep, itertools.repeat(60.0))
    pool.terminate()
    pool.join()
    for ask in (running.get, waiting.get, lambda: next(outcomes)):
        with pytest.raises(concurrent.futures.CancelledError):
            ask()
    assert not heard
    assert running.ready()
    assert not running.successful()
    wait_until(lambda: nothing_runs(client), 5, "all is called off")
    began = time.monotonic()
    with client.pool() as another:
        assert another.map(square, range(8), 1) == [n * n for n in range(8)]
    assert time.monotonic() - began < 20


def test_a_pool_that_is_closed_takes_no_more_but_ends_what_it_has(client: simpledist.Client) -> None:
    with client.pool() as pool:
        result = pool.map_async(slow_pid, [0.1] * 6, 1)
        outcomes = pool.imap(square, iter(range(5000)))
        pool.close()
        calls: list[Callable[[], object]] = [
            lambda: pool.apply(square, (1,)),
            lambda: pool.map(square, [1]),
            lambda: pool.starmap_async(pow, [(1, 1)]),
            lambda: pool.imap(square, [1]),
            lambda: pool.imap_unordered(square, [1]),
            pool.__enter__,
        ]
        for call in calls:
            with pytest.raises(ValueError, match="Pool not running"):
                call()
        assert len(result.get(30)) == 6
        assert sum(outcomes) == sum(n * n for n in range(5000))
        pool.join()


def test_a_pool_that_is_dropped_leaves_nothing_running(client: simpledist.Client) -> None:
    pool = client.pool()
    result = pool.map_async(time.sleep, [60.0] * 50, 1)
    outcomes = pool.imap(time.sleep, itertools.repeat(60.0))
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        del pool
        gc.collect()
        assert not heard  # its outcomes may still be asked for
        del result, outcomes
        gc.collect()
    assert [one.category for one in heard] == [ResourceWarning]
    wait_until(lambda: nothing_runs(client), 5, "all is called off")
    wait_until(lambda: all(one.name != "simpledist-imap" for one in threading.enumerate()), 5, "nothing is drawn")


@pytest.mark.parametrize("ended", [True, False], ids=["terminated", "running"])
def test_a_pool_that_is_collected_after_the_globals_are_gone_is_no_traceback(
    client: simpledist.Client, monkeypatch: pytest.MonkeyPatch, *, ended: bool
) -> None:
    pool = client.pool()
    if ended:
        pool.terminate()
    with monkeypatch.context() as patch:
        for module in (pools, deferred):  # as the interpreter does at its end
            for name in [name for name in vars(module) if not name.startswith("__")]:
                patch.setattr(module, name, None)
        pool.__del__()
    pool.terminate()


def test_an_iterator_that_is_dropped_half_way_cancels_the_rest(client: simpledist.Client, pool: Pool) -> None:
    outcomes = pool.imap(time.sleep, itertools.chain([0.0], itertools.repeat(60.0)))
    next(outcomes)
    del outcomes
    wait_until(lambda: nothing_runs(client), 5, "all is called off")


@pytest.mark.parametrize("way", ["map", "apply", "imap", "imap_unordered"])
def test_ctrl_c_reaches_the_caller(client: simpledist.Client, way: str) -> None:
    with client.pool() as pool, interrupts() as interrupt_after:
        interrupt_after(0.5)
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            {
                "map": lambda: pool.map(time.sleep, [30.0] * 10),
                "apply": lambda: pool.apply(time.sleep, (30.0,)),
                "imap": lambda: next(pool.imap(time.sleep, [30.0] * 10)),
                "imap_unordered": lambda: next(pool.imap_unordered(time.sleep, [30.0] * 10)),
            }[way]()
        assert time.monotonic() - began < 10
        if way in ("map", "apply"):
            wait_until(lambda: nothing_runs(client), 5, "the rest is called off")
    wait_until(lambda: nothing_runs(client), 5, "nothing goes on")


def test_both_sides_of_a_fork_use_their_pool(client: simpledist.Client) -> None:
    pool = client.pool()
    pending = pool.map_async(slow_pid, [0.3] * 4, 1)
    ordered, unordered = pool.imap(square, range(30)), pool.imap_unordered(square, range(30))
    assert next(ordered) == 0
    first = next(unordered)  # so both are drawn
    pid = os.fork()
    if pid == 0:
        fine = False
        try:
            fine = pool.map(square, range(5)) == [0, 1, 4, 9, 16]
            fine = fine and len(pending.get(20)) == 4
            fine = fine and list(ordered) == [n * n for n in range(1, 30)]
            fine = fine and sorted([first, *unordered]) == [n * n for n in range(30)]
            pool.close()
            pool.join()
        finally:
            os._exit(0 if fine else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert len(pending.get(20)) == 4
    assert list(ordered) == [n * n for n in range(1, 30)]
    assert len(list(unordered)) == 29
    pool.terminate()


def test_a_fork_in_the_midst_of_drawing_loses_no_outcome_in_silence(pool: Pool) -> None:
    go_on = threading.Event()

    def numbers() -> Iterator[int]:
        yield 7
        go_on.wait(30)
        yield 8

    outcomes = pool.imap(abs, numbers())
    assert next(outcomes) == 7
    pid = os.fork()
    if pid == 0:
        try:
            list(outcomes)
        except RuntimeError:
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    go_on.set()
    assert list(outcomes) == [8]


def test_a_pool_in_an_argument_is_nested_and_local(pool: Pool) -> None:
    assert pool.apply(farm.with_executor, (pool, [-1, -2])) == [1, 2]
    assert pickle.loads(pickle.dumps(pool)).map(abs, [-1]) == [1]  # noqa: S301


def test_a_program_that_ends_waits_for_no_pool(cluster: Cluster) -> None:
    script = f"""
import simpledist, time
pool = simpledist.connect({cluster.url!r}).pool()
results = [pool.apply_async(time.sleep, (60,)) for _ in range(8)]
outcomes = pool.imap(time.sleep, iter(lambda: 60, 0))
print(pool.apply(abs, (-1,)) if False else "began")
"""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", script], check=True, timeout=40, stdout=subprocess.DEVNULL)
    assert time.monotonic() - began < 30
