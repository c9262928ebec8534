"""Whoever can write to Redis can disturb, but neither run code nor pass a value off as another call's."""

from __future__ import annotations

import os
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster
from tests.faults.conftest import MakeCluster
from tests.faults.functions import work
from tests.faults.history import History, offered, probe
from tests.waiting import wait_until


class Bomb:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.canary),))


@pytest.fixture
def signed(make_cluster: MakeCluster, tmp_path: Path) -> Cluster:
    secret = tmp_path / "secret"
    secret.write_text(os.urandom(32).hex())
    secret.chmod(0o600)
    return make_cluster(secret_file=str(secret))


@pytest.fixture
def thief(signed: Cluster) -> Any:
    link = Link(signed.url, name="tests")
    link.connect()
    yield link
    link.close()


def test_a_forged_call_is_not_decoded(signed: Cluster, thief: Link, history: History, tmp_path: Path) -> None:
    client = signed.connect()
    worker = signed.start_worker(slots=1)
    probe(client)
    blocker = offered(client, "work").submit(100, 1.0)
    wait_until(lambda: work.runs(history.log), 5, "the slot is taken")
    future = offered(client, "work").submit(1)
    key = Keys().named("call", future.call.id)
    wait_until(lambda: thief.call("EXISTS", key), 5, "the call is in Redis")
    honest = thief.call("GET", key)
    thief.call("SET", key, honest[:-64] + pickle.dumps(Bomb(tmp_path / "canary")), "KEEPTTL")
    assert future.result(20) == "local"
    assert future.info is not None
    assert future.info.why in ("key", "undecodable")
    assert blocker.result(20) == work.value_of(100)
    assert worker.running
    assert not (tmp_path / "canary").exists()
    probe(client)


def test_replies_that_nobody_asked_for_are_passed_over(
    signed: Cluster, thief: Link, history: History, tmp_path: Path
) -> None:
    client = signed.connect()
    signed.start_worker()
    probe(client)
    futures = history.submit(client, range(1, 6), 0.5)
    bomb = pickle.dumps(Bomb(tmp_path / "canary"))
    reply = Keys().reply(client.id)
    ids = [future.call.id.encode() for future in futures]
    for forged in (
        b"garbage",
        b"\xff\xfe\n\x00",
        b"",
        b"1 2 3",
        b"stranger-1 succeeded - w1 1 0 0 inline\n" + bomb,
        ids[0] + b" succeeded - w1 1 0 0 inline\n" + bomb,
        ids[1] + b" succeeded - w1 1 0 0 hash\n",
        ids[2] + b" failed nonsense w1 1 0 0 none\n",
        ids[3] + b" succeeded - w1 x y z inline\n",
    ):
        thief.call("RPUSH", reply, forged)
    thief.call("EXPIRE", reply, 60)
    history.wait(20)
    history.check(most_runs=2)
    assert not (tmp_path / "canary").exists()
    probe(client)


def test_one_calls_result_is_not_anothers(signed: Cluster, thief: Link, history: History) -> None:
    client = signed.connect()
    signed.start_worker(slots=1)
    probe(client)
    history.submit(client, [1])
    history.wait(10)
    futures = history.submit(client, [2, 3], 0.3)
    element: list[bytes] = []
    taken = threading.Event()

    def swap() -> None:
        # Take the reply to call 2 out of the client's list, and give it out as the reply to call 3.
        link = Link(signed.url, name="tests")
        link.connect()
        while not taken.is_set():
            popped = link.call("LPOP", Keys().reply(client.id))
            if popped:
                element.append(popped)
                head, _, body = popped.partition(b"\n")
                id, _, rest = head.partition(b" ")
                other = futures[1] if id.decode() == futures[0].call.id else futures[0]
                link.call("RPUSH", Keys().reply(client.id), other.call.id.encode() + b" " + rest + b"\n" + body)
                link.call("EXPIRE", Keys().reply(client.id), 60)
                taken.set()
        link.close()

    thief.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    thread = threading.Thread(target=swap)
    thread.start()
    history.wait(20)
    taken.set()
    thread.join()
    history.check(most_runs=2)
    probe(client)


@pytest.mark.parametrize(
    "key", ["queue:work", "queued:work", "meta:work", "offers:work", "job", "clients", "heartbeats"]
)
def test_a_foreign_value_at_our_key_is_no_callers_trouble(
    cluster: Cluster, history: History, link: Link, client: simpledist.Client, key: str
) -> None:
    cluster.start_worker()
    probe(client)
    name = Keys().prefix + key
    saved = link.call("DUMP", name) if link.call("EXISTS", name) else None
    link.call("SET", name, "foreign")
    for n in (1, 2):
        entry = history.call(client, n, timeout=5.0)
        assert entry.seconds < 5.0
    history.check(most_runs=2)
    link.call("DEL", name)
    if saved:
        link.call("RESTORE", name, 0, saved)
    probe(client)


@pytest.mark.parametrize(
    "options", ["?decode_responses=true", "?protocol=3", "?socket_timeout=0.01", "?retry_on_timeout=true"]
)
def test_odd_options_in_the_url_change_nothing(make_cluster: MakeCluster, history: History, options: str) -> None:
    cluster = make_cluster()
    url = cluster.url + options
    cluster.start_worker(arguments=["--redis", url])
    with simpledist.connect(url) as client:
        probe(client)
        history.submit(client, range(20))
        history.wait(10)
        assert set(history.where()) == {"remote"}
    history.check(most_runs=1)
