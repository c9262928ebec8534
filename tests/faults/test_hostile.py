"""Anyone who can write to Redis can disturb, but neither run code nor pass a value off as another call's."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist import wire
from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster
from simpledist.wire import key_file
from simpledist.wire.keyring import Keyring
from tests.faults.conftest import MakeCluster
from tests.faults.functions import work
from tests.faults.history import History, offered, probe
from tests.waiting import wait_until

KEY_ID = slice(4, 8)  # of an envelope


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


def forged_call(bomb: Bomb, honest: bytes) -> bytes:
    """All that can be made without the key: a fresh nonce, the id of the key, a code of the right length."""
    other = Keyring([os.urandom(32)])
    body = wire.encode_arguments("pickle", (bomb,))
    call = wire.seal_call("work", "pickle", body, other, nonce=wire.nonce(), sealed_at_ms=round(time.time() * 1000))
    sealed = bytes(call.data)
    return sealed[: KEY_ID.start] + honest[KEY_ID] + sealed[KEY_ID.stop :]


def patched_call(bomb: Bomb, honest: bytes) -> bytes:
    return honest[:-64] + pickle.dumps(bomb)


@pytest.mark.parametrize("forge", [forged_call, patched_call])
def test_a_forged_call_is_not_decoded(
    signed: Cluster, thief: Link, history: History, tmp_path: Path, forge: Callable[[Bomb, bytes], bytes]
) -> None:
    client = signed.connect()
    worker = signed.start_worker(slots=1)
    probe(client)
    until = tmp_path / "until"
    blocker = offered(client, "linger").submit(100, str(until))
    wait_until(lambda: work.runs(history.log), 5, "the slot is taken")
    future = offered(client, "work").submit(1)
    key = Keys().named("call", future.call.id)
    wait_until(lambda: thief.call("EXISTS", key), 5, "the call is in Redis")
    thief.call("SET", key, forge(Bomb(tmp_path / "canary"), thief.call("GET", key)), "KEEPTTL")
    until.touch()
    assert future.result(20) == "local"
    assert future.info is not None
    assert future.info.why in ("key", "undecodable")
    assert blocker.result(20) == work.value_of(100)
    assert worker.running
    assert not (tmp_path / "canary").exists()
    probe(client)


def test_replies_that_no_one_asked_for_are_passed_over(
    signed: Cluster, thief: Link, history: History, tmp_path: Path
) -> None:
    client = signed.connect()
    signed.start_worker()
    probe(client)
    futures = history.submit(client, range(1, 7), 0.5)
    bomb = Bomb(tmp_path / "canary")
    pickled = pickle.dumps(bomb)
    unsigned, signed_by_another = (
        wire.seal_outcome("work", "pickle", "value", pickled, futures[i].call.digest, keyring, 0)
        for i, keyring in ((0, Keyring()), (5, Keyring([os.urandom(32)])))
    )
    reply = Keys().reply(client.id)
    ids = [future.call.id.encode() for future in futures]
    for forged in (
        b"garbage",
        b"\xff\xfe\n\x00",
        b"",
        b"1 2 3",
        b"stranger-1 succeeded - w1 1 0 0 inline\n" + pickled,
        ids[0] + b" succeeded - w1 1 0 0 inline\n" + bytes(unsigned),
        ids[1] + b" succeeded - w1 1 0 0 hash\n",
        ids[2] + b" failed nonsense w1 1 0 0 none\n",
        ids[3] + b" succeeded - w1 x y z inline\n",
        ids[4] + b" succeeded - w1 1 0 0 inline\n" + pickled,
        ids[5] + b" succeeded - w1 1 0 0 inline\n" + bytes(signed_by_another),
    ):
        thief.call("RPUSH", reply, forged)
    thief.call("EXPIRE", reply, 60)
    history.wait(20)
    history.check(most_runs=2)
    assert not (tmp_path / "canary").exists()
    probe(client)


def test_one_calls_result_is_not_anothers(signed: Cluster, thief: Link, history: History, tmp_path: Path) -> None:
    """Every byte is honestly signed; it is the result of another call."""
    client = signed.connect()
    signed.start_worker(slots=1)
    probe(client)
    keyring = key_file.keyring_from(str(tmp_path / "secret"))
    until = tmp_path / "until"
    blocker = offered(client, "linger").submit(100, str(until))
    wait_until(lambda: work.runs(history.log), 5, "the slot is taken")
    futures = history.submit(client, [2, 3])
    wait_until(lambda: all(future.call.digest for future in futures), 5, "they are sealed")
    value = wire.encode_value("pickle", work.value_of(2))
    honest = wire.seal_outcome("work", "pickle", "value", value, futures[0].call.digest, keyring, 0)
    reply = Keys().reply(client.id)
    for future in reversed(futures):
        thief.call("RPUSH", reply, future.call.id.encode() + b" succeeded - w1 1 0 0 inline\n" + bytes(honest))
    thief.call("EXPIRE", reply, 60)
    assert futures[0].result(5) == work.value_of(2), "this very result is good for its own call"
    assert futures[1].result(5) == work.value_of(3)
    assert history.where() == {"remote": 1, "undecodable": 1}
    history.check(most_runs=1)
    until.touch()
    assert blocker.result(20) == work.value_of(100)
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
