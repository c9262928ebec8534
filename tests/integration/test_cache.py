"""Cached calls: the value of an identical call answers, from Redis alone; whatever else is stored there does not."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import simpledist
from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster
from simpledist.errors import ConfigurationError, RedisDown
from simpledist.job import Info
from simpledist.wire.key_file import new_secret
from tests import commands
from tests.integration.functions import farm
from tests.links import open_link
from tests.waiting import wait_until

DEMO = Path(__file__).parents[2] / "demo"


def cached(client: simpledist.Client, local: Callable[..., Any] = farm.log_run, **options: Any) -> Any:
    return simpledist.worker_function(client, local.__name__, local, **cast("Any", {"cache": 60, **options}))


def runs(folder: Path, name: str) -> int:
    path = folder / name
    return len(path.read_text().splitlines()) if path.exists() else 0


def info_of(future: simpledist.Future[Any]) -> Info:
    future.exception(30)
    assert future.info is not None
    return future.info


@pytest.fixture
def link(cluster: Cluster) -> Iterator[Link]:
    """To the module's cluster, which no test here breaks."""
    with open_link(cluster.url) as one:
        yield one


def kept_keys(link: Link) -> list[str]:
    return [name.decode() for name in link.call("KEYS", "simpledist:data:*:cached")]


@pytest.fixture(autouse=True)
def nothing_kept(cluster: Cluster) -> None:
    """Each test begins with an empty cache."""
    with open_link(cluster.url) as one:
        for name in one.call("KEYS", "simpledist:*cached*"):
            one.call("DEL", name)


# --- hits ------------------------------------------------------------------------------------------------------------


def test_a_second_call_has_the_value_of_the_first_from_any_client(cluster: Cluster, tmp_path: Path) -> None:
    with cluster.connect() as first, cluster.connect() as second:
        future = cached(first).submit(str(tmp_path), "one", 0)
        assert (future.result(30), info_of(future).cached) == ("one", False)
        for client in (first, second):
            future = cached(client).submit(str(tmp_path), "one", 0)
            assert future.result(30) == "one"
            info = info_of(future)
            assert (info.where, info.why, info.cached, info.worker, info.attempts) == ("remote", None, True, None, 0)
            assert cached(client)(str(tmp_path), "one", 0) == "one"
    assert runs(tmp_path, "one") == 1


@pytest.mark.parametrize("size", [0, 3_000, 60_000, 200_000, 900_000])
def test_values_of_every_size_up_to_the_limit_are_kept(client: simpledist.Client, size: int) -> None:
    value = os.urandom(size)
    echo = cached(client, farm.echo)
    assert echo(value) == value
    future = echo.submit(value)
    assert future.result(30) == value
    assert info_of(future).cached


def test_a_bigger_value_is_not_kept(client: simpledist.Client, link: Link) -> None:
    value = os.urandom(1_100_000)
    echo = cached(client, farm.echo)
    assert echo(value) == echo(value) == value
    assert kept_keys(link) == []


def test_a_map_over_kept_values_is_answered_by_redis(client: simpledist.Client) -> None:
    echo = cached(client, farm.echo)
    values = [bytes([n]) * 100_000 for n in range(40)]  # more than one reply of Redis may carry
    assert list(echo.map(values)) == values
    futures = [echo.submit(value) for value in values]
    assert [future.result(30) for future in futures] == values
    assert all(info_of(future).cached for future in futures)
    assert list(echo.map(values)) == values


def test_a_hit_needs_no_worker(own_cluster: Cluster, tmp_path: Path) -> None:
    worker = own_cluster.start_worker()
    with own_cluster.connect() as client:
        one = cached(client)
        assert one(str(tmp_path), "one", 0) == "one"
        worker.stop()
        future = one.submit(str(tmp_path), "one", 0)
        assert future.result(30) == "one"
        assert info_of(future).cached
        assert info_of(one.submit(str(tmp_path), "two", 0)).why == "no_worker"


def test_a_hit_costs_one_round_trip(client: simpledist.Client, link: Link) -> None:
    echo = cached(client, farm.echo)
    assert echo(1) == 1
    wait_until(lambda: link.call("HLEN", Keys().named("current", "echo")) == 0, 5, "all is counted")

    def commands() -> int:
        """Scripts that Redis has run for anybody (workers beat by scripts as well)."""
        stats = cast("bytes", link.call("INFO", "commandstats")).decode()
        line = next(line for line in stats.splitlines() if line.startswith("cmdstat_evalsha:"))
        return int(line.partition("calls=")[2].partition(",")[0])

    spent: list[int] = []
    for _ in range(30):
        before = commands()
        assert echo(1) == 1
        spent.append(commands() - before)
    assert min(spent) == 1  # what was read before is counted, and beats come, in between


def test_its_time_over_a_value_is_gone(client: simpledist.Client, tmp_path: Path, link: Link) -> None:
    short = cached(client, cache=0.2)
    assert short(str(tmp_path), "one", 0) == "one"
    wait_until(lambda: not kept_keys(link), 5, "the value has gone")
    assert short(str(tmp_path), "one", 0) == "one"
    assert runs(tmp_path, "one") == 2


# --- what is the same call -------------------------------------------------------------------------------------------

SAME: list[Any] = [
    {"a": 1, "b": 2}, math.nan, b"bytes", np.array([[0.0, 1.0], [2.0, math.nan]]), Info("local", "key"),
    frozenset("abc"), (1, [2, None]),
]  # fmt: skip


@pytest.mark.parametrize("value", SAME, ids=lambda value: type(value).__name__)
def test_equal_arguments_hit(client: simpledist.Client, value: Any) -> None:
    again = dict(reversed(cast("dict[str, int]", value).items())) if isinstance(value, dict) else value
    echo = cached(client, farm.echo)
    assert not info_of(echo.submit(value)).cached
    future = echo.submit(again)
    assert info_of(future).cached
    np.testing.assert_equal(future.result(), cast("Any", value))


def test_arguments_that_only_compare_equal_do_not_hit(client: simpledist.Client) -> None:
    echo = cached(client, farm.echo)
    for value in (1, 1.0, True, 0.0, -0.0, (1,), [1]):
        future = echo.submit(value)
        assert repr(future.result(30)) == repr(value)
        assert not info_of(future).cached


def test_other_local_code_does_not_hit(client: simpledist.Client) -> None:
    def before(n: int) -> int:
        return n

    def after(n: int) -> int:
        return n + 1

    def unknown(n: int) -> int:
        return n

    unknown.__module__ = "nowhere"  # its source is not to be had
    locals = (before, before, after, after, unknown)
    for options in ({"cache": 60}, {"join": True}):
        calls = [simpledist.worker_function(client, "echo", local, **cast("Any", options)) for local in locals]
        infos = [info_of(one.submit(5)) for one in calls]
        assert [(info.where, info.cached) for info in infos] == [("remote", False)] * 5, "by name, and never shared"


# --- what is not kept ------------------------------------------------------------------------------------------------


def test_exceptions_and_local_runs_are_not_kept(client: simpledist.Client, link: Link) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="value"):
            cached(client, farm.fail)("value")
        assert cached(client, farm.fib, version=9)(5) == 5
    assert kept_keys(link) == []


def test_without_the_option_nothing_is_kept(client: simpledist.Client, link: Link) -> None:
    assert simpledist.worker_function(client, "echo", farm.echo)(1) == 1
    assert simpledist.worker_function(client, "echo", farm.echo, join=True)(1) == 1
    assert kept_keys(link) == []


def test_of_joined_callers_one_that_wants_it_kept_is_enough(client: simpledist.Client, tmp_path: Path) -> None:
    plain = simpledist.worker_function(client, "log_run", farm.log_run, join=True)
    first = plain.submit(str(tmp_path), "one", 0.5)
    second = cached(client, join=True).submit(str(tmp_path), "one", 0.5)
    assert [first.result(30), second.result(30)] == ["one", "one"]
    assert info_of(cached(client).submit(str(tmp_path), "one", 0.5)).cached
    assert runs(tmp_path, "one") == 1


def test_clear_forgets_every_value_of_this_function_and_what_is_in_flight(
    client: simpledist.Client, tmp_path: Path
) -> None:
    one, echo = cached(client), cached(client, farm.echo)
    assert [one(str(tmp_path), name, 0) for name in ("a", "b")] == ["a", "b"]
    assert echo(1) == 1
    running = one.submit(str(tmp_path), "c", 0.5)
    wait_until(lambda: runs(tmp_path, "c") == 1, 10, "it runs")
    assert one.cache_clear() == 2
    assert one.cache_clear() == 0
    assert running.result(30) == "c"
    assert [info_of(one.submit(str(tmp_path), name, 0.5 if name == "c" else 0)).cached for name in "abc"] == [False] * 3
    assert info_of(echo.submit(1)).cached


def test_clear_says_when_it_could_not(own_cluster: Cluster) -> None:
    with own_cluster.connect() as client:
        one = cached(client)
        own_cluster.redis.stop()
        with pytest.raises(RedisDown):
            one.cache_clear()


@pytest.mark.parametrize("seconds", [0, -1, math.nan, 31 * 86_400])
def test_times_that_cannot_be_used(client: simpledist.Client, seconds: float) -> None:
    with pytest.raises(ConfigurationError, match="cache="):
        cached(client, cache=seconds)


# --- trust -----------------------------------------------------------------------------------------------------------


def test_a_kept_value_cannot_be_passed_off_as_that_of_another_call(client: simpledist.Client, link: Link) -> None:
    echo = cached(client, farm.echo)
    assert (echo("mine"), echo("other")) == ("mine", "other")
    one, two = kept_keys(link)
    first, second = link.call("GET", one), link.call("GET", two)
    for name, value in ((one, second), (two, first)):
        link.call("SET", name, value, "PX", 60_000)
    for value in ("mine", "other"):
        future = echo.submit(value)
        assert future.result(30) == value
        assert (info_of(future).where, info_of(future).why) == ("local", "undecodable")


def test_what_no_key_of_ours_has_signed_is_no_answer(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text(new_secret())
    secret.chmod(0o600)
    with (
        Cluster("farm", folder=Path(farm.__file__).parent, slots=1, secret_file=str(secret)) as cluster,
        open_link(cluster.url) as link,
        cluster.connect() as client,
    ):
        echo = cached(client, farm.echo)
        assert echo(1) == 1
        assert info_of(echo.submit(1)).cached
        (name,) = kept_keys(link)
        value = bytearray(link.call("GET", name))
        value[-40] ^= 1
        link.call("SET", name, bytes(value), "PX", 60_000)
        future = echo.submit(1)
        assert (future.result(30), info_of(future).why) == (1, "key")


STALE = "def {name}(value):\n    return {value!r}\n"


def test_a_worker_with_other_code_neither_fills_nor_answers_shared_calls(
    own_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Client and worker import the same module under the same name, and find different code in it."""
    for folder, value in (("here", "fresh"), ("there", "stale")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "drifting.py").write_text(STALE.format(name="drift", value=value))
    monkeypatch.setattr("sys.path", [str(tmp_path / "here"), *sys.path])
    drift = import_module("drifting").drift
    with Cluster("drifting", folder=tmp_path / "there", slots=1, redis=own_cluster.redis) as stale:
        with stale.connect() as client:
            for options in ({}, {"cache": 60}, {"join": True}):
                future = simpledist.worker_function(client, "drift", drift, **cast("Any", options)).submit(1)
                assert (future.result(30), info_of(future).why) == ("fresh", "other_code")
        assert not stale.workers[0].exit_code


def test_the_demo_shows_it() -> None:
    with Cluster("fns:primes", folder=DEMO, slots=2) as cluster:
        done = commands.python("shared.py", cwd=DEMO, url=cluster.url)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["{17984} ['joined', 'joined', 'joined', 'joined', 'remote']", "17984 cached"]
