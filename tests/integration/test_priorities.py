"""`worker_function(..., priority=)`: of what is queued, urgent calls begin first and low ones last, but not never."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster
from simpledist.errors import ConfigurationError
from simpledist.job import Info, Priority
from tests import commands
from tests.integration.functions import farm
from tests.waiting import wait_until


def wrapped(client: simpledist.Client, local: Callable[..., Any], priority: Priority) -> Any:
    return simpledist.worker_function(client, local.__name__, local, priority=priority)


def info_of(future: simpledist.Future[Any]) -> Info:
    future.exception(60)
    assert future.info is not None
    return future.info


@pytest.fixture
def client(own_cluster: Cluster) -> simpledist.Client:
    own_cluster.start_worker(slots=1)
    return own_cluster.connect()


def begun(futures: dict[str, simpledist.Future[Any]]) -> list[str]:
    """The names in the order in which the calls ended: one slot runs one after the other."""
    ended: list[str] = []
    for name, future in futures.items():
        future.add_done_callback(lambda _, name=name: ended.append(name))
    for future in futures.values():
        assert info_of(future).where == "remote"
    return ended


@pytest.mark.parametrize("other_function", [False, True])
def test_an_urgent_call_begins_before_hundreds_that_wait(client: simpledist.Client, other_function: bool) -> None:
    sleep = wrapped(client, farm.sleep, "normal")
    queued = {f"normal {n}": sleep.submit(0.05) for n in range(200)}
    queued["normal 0"].result(30)
    urgent = wrapped(client, farm.echo if other_function else farm.sleep, "high").submit(0.01)
    ended = begun({**queued, "urgent": urgent})
    assert ended.index("urgent") < 30
    assert info_of(urgent).queued_seconds < 2.0


def test_a_low_call_waits_for_all_others_but_not_for_ever(client: simpledist.Client) -> None:
    sleep, low = wrapped(client, farm.sleep, "normal"), wrapped(client, farm.sleep, "low")
    first = sleep.submit(0.5)
    queued: dict[str, simpledist.Future[Any]] = {f"low {n}": low.submit(0.03) for n in range(30)}
    queued |= {f"normal {n}": sleep.submit(0.03) for n in range(60)}
    ended = begun({"first": first, **queued})
    half = sum(name.startswith("low") for name in ended[:60])
    assert half < 20
    assert ended[-1].startswith("low")


@pytest.mark.parametrize("way", ["call", "submit", "map", "short map", "executor"])
def test_every_way_of_a_call_keeps_its_value(client: simpledist.Client, way: str) -> None:
    echo = wrapped(client, farm.echo, "high")
    assert echo(0) == 0
    if way == "call":
        assert [echo(n) for n in range(20)] == list(range(20))
    elif way == "submit":
        assert [one.result(30) for one in [echo.submit(n) for n in range(20)]] == list(range(20))
    elif way == "map":
        assert list(echo.map(range(50), chunksize=1)) == list(range(50))
    elif way == "short map":
        assert list(echo.map(range(5000))) == list(range(5000))
    else:
        with client.executor() as executor:
            assert list(executor.map(echo, range(50))) == list(range(50))
    assert echo.stats().remote == echo.stats().calls


def test_other_code_has_urgent_calls_too(own_cluster: Cluster, tmp_path: Path) -> None:
    """Two codes of one function: each caller has its own, on a lane of its own, urgent or not."""
    for name, factor in (("one", 2), ("two", 3)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "coded.py").write_text(f"def times(x):\n    return x * {factor}\n")
        own_cluster.start_worker("coded:times", slots=1, environment={"PYTHONPATH": str(folder)})
    for name, factor in (("one", 2), ("two", 3)):
        program = (
            "import simpledist, coded\n"
            "dist = simpledist.connect()\n"
            "for priority in ('high', 'normal', 'low', 'high'):\n"
            "    times = simpledist.worker_function(dist, 'times', coded.times, priority=priority, match='code')\n"
            "    future = times.submit(7)\n"
            "    print(future.result(30), future.info.where)\n"
        )
        (tmp_path / name / "main.py").write_text(program)
        done = commands.python("main.py", cwd=tmp_path / name, url=own_cluster.url)
        assert done.stdout.splitlines() == 4 * [f"{7 * factor} remote"], done.stderr


def test_a_call_that_brings_its_code_keeps_its_priority(own_cluster: Cluster, link: Link) -> None:
    own_cluster.start_worker(slots=1, arguments=["--any"])
    with own_cluster.connect() as client:
        urgent = simpledist.worker_function(client, "not_offered", operator.neg, priority="high")
        future = urgent.submit(1)
        assert future.result(30) == -1
        assert info_of(future).where == "remote"
    lanes = link.call("HKEYS", Keys().named("lanes", future.call.spec.function))
    assert b"simpledist.any@%d.%d!high" % sys.version_info[:2] in lanes


def test_calls_of_one_moment_keep_their_own(client: simpledist.Client, link: Link) -> None:
    low, high = wrapped(client, farm.sleep, "low"), wrapped(client, farm.sleep, "high")
    hold = wrapped(client, farm.sleep, "normal").submit(1.0)
    futures = [function.submit(0.0) for _ in range(20) for function in (low, high)]
    queues = [Keys().queue(f"sleep!{priority}") for priority in ("low", "high")]
    wait_until(lambda: [link.call("LLEN", queue) for queue in queues] == [20, 20], 0.8, "all are queued")
    assert [future.result(30) for future in [hold, *futures]] == [1.0] + 40 * [0.0]


def test_another_word_is_refused(client: simpledist.Client) -> None:
    with pytest.raises(ConfigurationError, match=r"priority='urgent': use 'high', 'normal' or 'low'"):
        simpledist.worker_function(client, "echo", farm.echo, priority="urgent")  # type: ignore[arg-type]
