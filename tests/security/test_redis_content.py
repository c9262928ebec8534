"""What is in Redis may be anything: no element of it ends a worker or reaches a caller as an error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster
from tests import standing
from tests.links import open_link
from tests.security.functions.counted import count
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
TARGET = "tests.security.functions.counted"
GARBAGE = (
    b"x",
    b"",
    b"\xff\xfe\n\x00",
    b"count \xff 1 0\n",
    b"count a b c\n",
    b"count a 9 " + b"9" * 5000 + b"\n",
    b" " * 7,
    b"1.\xff",
    b"9" * 400 + b".id",
    b"nan.id",
    b"cancel \xff",
    b"strike " + b"x" * 10_000,
    b"pass ",
    b"protocol \xff x",
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster((TARGET, "--any"), slots=1, folder=ROOT, distributor=True) as one, standing.shared(one):
        yield one
        with open_link(one.url) as link:
            link.call("FLUSHALL")  # the tests put keys of any name there


@pytest.fixture
def thief(cluster: Cluster) -> Iterator[Link]:
    with open_link(cluster.url) as link:
        yield link


def counted(client: simpledist.Client, **options: Any) -> Any:
    return simpledist.worker_function(client, "count", count, **options)


def still_serves(cluster: Cluster, client: simpledist.Client, folder: Path) -> None:
    """The worker that was there before runs calls, and so does the distributor."""
    (worker,) = cluster.workers
    path = str(folder / "after")

    def remote() -> bool:
        future = counted(client).submit(path)
        assert future.result(20)
        assert worker.running, worker.stderr_text()
        return future.info is not None and future.info.where == "remote"

    wait_until(remote, 20, "calls run remotely again")
    assert cluster.distributors[0].running
    assert "Traceback" not in worker.stderr_text(), worker.stderr_text()


@pytest.mark.parametrize("key", ["given", "control", "rollcall", "queue"])
def test_no_element_of_a_list_that_a_worker_pops_ends_it(
    cluster: Cluster, thief: Link, tmp_path: Path, key: str
) -> None:
    name = _list_of(cluster, key)
    with cluster.connect() as client:
        still_serves(cluster, client, tmp_path)
        for element in GARBAGE:
            thief.call("RPUSH", name, element)
        thief.call("EXPIRE", name, 60)
        wait_until(lambda: not thief.call("EXISTS", name), 30, "the worker has read them")
        still_serves(cluster, client, tmp_path)


def _list_of(cluster: Cluster, key: str) -> str:
    keys, worker = Keys(), cluster.workers[0].id
    return {
        "given": keys.given(worker),
        "control": keys.control(worker),
        "rollcall": keys.rollcall,
        "queue": keys.queue("count"),
    }[key]


@pytest.mark.parametrize("key", ["given", "control", "rollcall", "queue"])
def test_what_is_no_list_keeps_no_worker_from_its_lists(
    cluster: Cluster, thief: Link, tmp_path: Path, key: str
) -> None:
    name = _list_of(cluster, key)
    with cluster.connect() as client:
        still_serves(cluster, client, tmp_path)
        thief.call("SET", name, b"x")  # and it never ends
        still_serves(cluster, client, tmp_path)
        wait_until(lambda: thief.call("TYPE", name) != b"string", 15, "a worker has removed it")
        still_serves(cluster, client, tmp_path)


@pytest.mark.parametrize("element", [b"x", b"1", b"9" * 5000, b"9" * 16])
@pytest.mark.parametrize("key", ["given", "control", "rollcall", "queue"])
def test_a_long_list_starves_no_queue(cluster: Cluster, thief: Link, tmp_path: Path, key: str, element: bytes) -> None:
    name = _list_of(cluster, key)
    with cluster.connect() as client:
        still_serves(cluster, client, tmp_path)
        for _ in range(200):
            thief.call("RPUSH", name, *[element] * (1000 if len(element) < 100 else 50))
        still_serves(cluster, client, tmp_path)
        wait_until(lambda: not thief.call("EXISTS", name), 10, "the workers have removed it")


@pytest.mark.parametrize("id", [b"\xff-1", b"", b"a b", b"x" * 5000, b"c1-1\n", b"a:b"])
def test_no_job_id_that_somebody_made_up_ends_a_worker(
    cluster: Cluster, thief: Link, tmp_path: Path, id: bytes
) -> None:
    keys = Keys()
    with cluster.connect() as client:
        still_serves(cluster, client, tmp_path)
        ids = str(client.id).encode()
        job, call, queued = keys.prefix.encode() + b"job:" + id, keys.prefix.encode() + b"call:" + id, b"1." + id
        thief.call("HSET", job, "function", "count", "lane", "count", "state", "queued", "client", ids, "stamp", "1")
        thief.call("SET", call, b"call")
        thief.call("SET", keys.prefix.encode() + b"data:" + id + b":call", b"call")
        thief.call("ZADD", keys.named("queued", "count"), 1, id)
        thief.call("RPUSH", keys.queue("count"), queued)
        still_serves(cluster, client, tmp_path)
        thief.call("DEL", job, call, keys.prefix.encode() + b"data:" + id + b":call")


VALUES = (
    b"\xff",
    b"[1]",
    b"null",
    b"{}",
    b'{"functions":7}',
    b"[" * 100_000,
    b'{"functions":["count"],"slots":1e400}',
    b"9" * 5000,
)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: str(value[:30]))
def test_rows_that_cannot_be_read_are_no_callers_trouble(
    cluster: Cluster, thief: Link, tmp_path: Path, value: bytes
) -> None:
    keys = Keys()
    thief.call("HSET", keys.workers, "w-odd", value, b"\xff", value)
    beat = str(int(thief.call("TIME")[0]) * 1000 + 1000)
    thief.call("HSET", keys.heartbeats, "w-odd", beat, b"\xff", value)
    thief.call("HSET", keys.named("offers", "count"), "w-odd", value, b"\xfe", value)
    try:
        with cluster.connect() as client, client.executor() as executor:
            assert executor.submit(pow, 2, 3).result(20) == 8
            assert repr(client.engine.offers.slots("count"))
            still_serves(cluster, client, tmp_path)
    finally:
        for key in (keys.workers, keys.heartbeats, keys.named("offers", "count")):
            thief.call("HDEL", key, "w-odd", b"\xff", b"\xfe")


@pytest.mark.parametrize("value", VALUES, ids=lambda value: str(value[:30]))
@pytest.mark.parametrize("key", ["epoch", "connections", "suspects", "clients", "lanes:count", "meta:count"])
def test_a_value_of_any_kind_at_a_key_of_ours_raises_in_no_call(
    cluster: Cluster, thief: Link, tmp_path: Path, key: str, value: bytes
) -> None:
    name = Keys().prefix + key
    with cluster.connect() as client:
        still_serves(cluster, client, tmp_path)
        before = thief.call("TYPE", name)
        if key == "epoch" or before == b"string":
            thief.call("SET", name, value)
        elif before == b"hash":
            thief.call("HSET", name, b"\xff", value, value[:40], value)
        path = str(tmp_path / "during")
        futures = [counted(client).submit(path) for _ in range(3)]
        assert {future.result(20) for future in futures} == {1, 2, 3}
        assert counted(client)(path) == 4
        thief.call("DEL", name) if key == "epoch" else thief.call("HDEL", name, b"\xff", value[:40])
        still_serves(cluster, client, tmp_path)


@pytest.mark.parametrize(
    "element",
    [*GARBAGE, b"id succeeded - w 1 1 1 inline\nx", b"\xff succeeded - w 1 1 1 inline\n", b"x" * 100],
    ids=lambda element: str(element[:20]),
)
def test_a_reply_that_cannot_be_read_is_passed_over(
    cluster: Cluster, thief: Link, tmp_path: Path, element: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with cluster.connect() as client:
        path, until = str(tmp_path / "runs"), tmp_path / "until"
        future = counted(client).submit(path, str(until))
        wait_until((tmp_path / "runs").exists, 20, "it runs")
        reply = Keys().reply(client.id)
        for made in (element, element.replace(b"id", future.call.id.encode())):
            thief.call("RPUSH", reply, made)
        thief.call("EXPIRE", reply, 60)
        until.touch()
        assert future.result(20) >= 1
        still_serves(cluster, client, tmp_path)
    assert "begins again" not in caplog.text, "it ended the reader of replies"
