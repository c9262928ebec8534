"""Values of another type and fields that no verb writes, put where verbs read them, while calls run.

(tests/broker/test_repair.py does so for every verb and key.)
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.broker import Keys, Link
from simpledist.broker.keys import TEMPLATES
from simpledist.cluster import Cluster
from tests import commands, standing
from tests.links import open_link
from tests.security.functions.counted import count
from tests.security.functions.cubes import cube
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
TARGETS = ("tests.security.functions.counted", "tests.security.functions.cubes")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(TARGETS, slots=2, folder=ROOT, distributor=True) as one, standing.shared(one):
        yield one
        with open_link(one.url) as link:
            link.call("FLUSHALL")


@pytest.fixture
def thief(cluster: Cluster) -> Iterator[Link]:
    with open_link(cluster.url) as link:
        yield link


def cubed_remotely(client: simpledist.Client) -> bool:
    future = simpledist.worker_function(client, "cube", cube).submit(3)
    assert future.result(20) == 27
    assert future.info is not None
    assert future.info.why != "redis_refused"
    return future.info.where == "remote"


def is_served(client: simpledist.Client, cluster: Cluster) -> None:
    wait_until(lambda: cubed_remotely(client), 20, "calls run remotely")
    (worker,) = cluster.workers
    assert worker.running, worker.stderr_text()
    assert "Traceback" not in worker.stderr_text(), worker.stderr_text()


def keys_of(template: str, names: list[str]) -> list[str]:
    keys = Keys()
    if "{" in TEMPLATES[template]:
        return [keys.named(template, name) for name in names]
    return [keys.prefix + TEMPLATES[template]]


def put(thief: Link, key: str, content: str) -> None:
    kind = thief.call("TYPE", key)
    if content == "another type":
        thief.call("DEL", key)
        thief.call("RPUSH" if kind == b"string" else "SET", key, "x")
        thief.call("EXPIRE", key, 60)
    elif kind == b"hash":
        for field in thief.call("HKEYS", key):
            thief.call("HSET", key, field, "x")
    elif kind == b"zset":
        thief.call("ZADD", key, "inf", "x", "-inf", "y")
    elif kind == b"list":
        thief.call("LPUSH", key, "x")


@pytest.mark.parametrize("content", ["another type", "garbage"])
@pytest.mark.parametrize(
    "template",
    ["meta", "offers", "lanes", "queue", "queued", "current", "held", "job", "reply", "recent", "history", "suspects"],
)
def test_what_stands_at_the_keys_of_one_function_is_no_trouble_of_another(
    cluster: Cluster, thief: Link, tmp_path: Path, template: str, content: str
) -> None:
    with cluster.connect() as client:
        is_served(client, cluster)
        path, until = tmp_path / "runs", tmp_path / "until"
        future: Any = simpledist.worker_function(client, "count", count).submit(str(path), str(until))
        wait_until(path.exists, 20, "it runs")
        for key in keys_of(template, ["count", cluster.workers[0].id, client.id, future.call.id]):
            put(thief, key, content)
        for _ in range(5):  # nudges and heartbeats meet it as well
            is_served(client, cluster)
        until.touch()
        assert future.result(20) in (1, 2)  # its own value, of whichever run
        is_served(client, cluster)
        counted: Any = simpledist.worker_function(client, "count", count)

        def counted_remotely() -> bool:
            again = counted.submit(str(tmp_path / "after"))
            assert again.result(20) >= 1
            return again.info.where == "remote"

        wait_until(counted_remotely, 20, "its calls run remotely again")


@pytest.mark.parametrize("template", ["workers", "heartbeats", "clients", "epoch", "active"])
def test_what_stands_at_a_key_of_the_namespace_keeps_calls_here_until_it_is_gone(
    cluster: Cluster, thief: Link, template: str, caplog: pytest.LogCaptureFixture
) -> None:
    (key,) = keys_of(template, [])
    with cluster.connect() as client, caplog.at_level(logging.ERROR):
        is_served(client, cluster)
        thief.call("DEL", key)
        thief.call("RPUSH" if template == "epoch" else "SET", key, "of another program")
        try:
            cubed = simpledist.worker_function(client, "cube", cube)
            wait_until(lambda: cubed(3) == 27 and bool(cubed.stats().local.get("redis_refused")), 20, "calls run here")
            wait_until(lambda: f"WRONGTYPE at {key}: " in caplog.text, 10, "the log names it")
            if template not in ("clients", "epoch"):  # doctor reads the others
                done = commands.run("doctor", "--redis", cluster.url)
                assert key in done.stdout
                assert done.returncode == 1
            assert thief.call("EXISTS", key) == 1
        finally:
            thief.call("DEL", key)
        wait_until(lambda: _remote(client), 30, "calls run remotely again")
        assert cluster.workers[0].running


def test_a_list_of_replies_that_is_none_keeps_no_call_here(
    cluster: Cluster, thief: Link, caplog: pytest.LogCaptureFixture
) -> None:
    with cluster.connect() as client:
        is_served(client, cluster)
        cubed = simpledist.worker_function(client, "cube", cube)
        reply = Keys().reply(client.id)
        for _ in range(5):
            thief.call("DEL", reply)
            thief.call("SET", reply, "x", "PX", 60_000)
            assert cubed(3) == 27  # the caller reads its own reply
            thief.call("DEL", reply)
            thief.call("SET", reply, "x", "PX", 60_000)
            assert cubed.submit(3).result(20) == 27
        assert not cubed.stats().local.get("redis_refused")
        wait_until(lambda: _remote(client), 20, "calls run remotely")
        # Whoever meets it first removes it: the client in a pop, or the worker that answers while a pop is waiting.
        wait_until(lambda: reply in caplog.text + cluster.workers[0].stderr_text(), 10, "the log names it")


def _remote(client: simpledist.Client) -> bool:
    future = simpledist.worker_function(client, "cube", cube).submit(3)
    assert future.result(20) == 27
    return future.info is not None and future.info.where == "remote"


@pytest.mark.parametrize("lane", ["count~zzz", "count!high", "count+gpu", "count@2", "h", "~"])
def test_an_offer_on_a_lane_that_is_none_sends_calls_on_and_on_no_longer_than_is_right(
    cluster: Cluster, thief: Link, tmp_path: Path, lane: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each answer names the lane where the call was submitted."""
    (key,) = keys_of("offers", ["count"])
    path, until = tmp_path / "runs", tmp_path / "until"
    until.touch()
    with cluster.connect() as client:
        is_served(client, cluster)
        wait_until(lambda: thief.call("HLEN", key), 20, "the function is offered")
        (worker, offer) = thief.call("HGETALL", key)
        forged = offer.replace(b'"lane":"count"', b'"lane":"%s"' % lane.encode())
        assert forged != offer
        thief.call("HSET", key, worker, forged)
        try:
            counted = simpledist.worker_function(client, "count", count)
            future = counted.submit(str(path), str(until))
            assert future.result(20) == 1
            assert future.info is not None
            assert (future.info.where, future.info.why) == ("local", "no_worker")
            assert counted(str(path), str(until)) == 2
            assert list(counted.map([str(path)] * 3, [str(until)] * 3)) == [3, 4, 5]
            assert counted.stats().local == {"no_worker": 5}
            assert cubed_remotely(client), "Redis is not said to be away"
        finally:
            thief.call("HSET", key, worker, offer)
    assert "recursion" not in caplog.text
