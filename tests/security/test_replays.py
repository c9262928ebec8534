"""Copies of what was honestly signed, put back by somebody who can write to Redis and has no key."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist import wire
from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster
from simpledist.embedded import EmbeddedRedis
from simpledist.engine import map_batch
from simpledist.job import Info
from simpledist.wire import key_file
from tests.links import open_link
from tests.security.functions.counted import count
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
TARGET = "tests.security.functions.counted"
HOUR_MS = 3_600_000
ELSEWHERE = "elsewhere"  # another namespace
NONCE, SEALED_AT = slice(11, 27), slice(27, 35)  # of an envelope

Shelter = Callable[..., Cluster]


@pytest.fixture
def secret(tmp_path: Path) -> str:
    path = tmp_path / "secret"
    path.write_text(os.urandom(32).hex())
    path.chmod(0o600)
    return str(path)


@pytest.fixture
def shelter(redis_server: EmbeddedRedis, secret: str) -> Iterator[Shelter]:
    """Makes clusters on one Redis: each has a worker of one slot, in its own namespace, and the same key."""
    with ExitStack() as stack:

        def make(namespace: str = "simpledist", **options: Any) -> Cluster:
            settings: dict[str, Any] = {"slots": 1, "folder": ROOT, "secret_file": secret, **options}
            return stack.enter_context(Cluster(TARGET, redis=redis_server, namespace=namespace, **settings))

        yield make
    with open_link(redis_server.url) as link:  # what is looked for in the end are keys of the usual namespace
        if others := link.call("KEYS", f"{ELSEWHERE}:*"):
            link.call("DEL", *others)


@pytest.fixture
def thief(redis_server: EmbeddedRedis) -> Iterator[Link]:
    """Somebody who can read and write in Redis."""
    with open_link(redis_server.url) as link:
        yield link


def counted(client: simpledist.Client, **options: Any) -> Any:
    return simpledist.worker_function(client, "count", count, **options)


def info_of(future: simpledist.Future[Any]) -> Info:
    future.exception(30)
    assert future.info is not None
    return future.info


def redis_ms(link: Link) -> int:
    seconds, microseconds = link.call("TIME")
    return int(seconds) * 1000 + int(microseconds) // 1000


class Busy:
    """The one slot of a cluster is taken until the block ends: what is submitted meanwhile waits in its queue."""

    def __init__(self, client: simpledist.Client, folder: Path) -> None:
        self._until = folder / f"until-{os.urandom(4).hex()}"
        self._log = folder / f"busy-{os.urandom(4).hex()}"
        self._client = client

    def __enter__(self) -> None:
        self._future = counted(self._client).submit(str(self._log), str(self._until))
        wait_until(self._log.exists, 20, "the slot is taken")

    def __exit__(self, *_: object) -> None:
        self._until.touch()
        assert self._future.result(20) == 1


def stolen_result(thief: Link, future: simpledist.Future[Any], keys: Keys) -> bytes:
    """The bytes of an outcome, before its client has said that it was read."""
    future.result(20)
    data = thief.call("GET", keys.named("result", future.call.id))
    assert data is not None
    return data


def push_result(thief: Link, future: simpledist.Future[Any], data: bytes, keys: Keys) -> None:
    """Tell a client that its job has ended so."""
    reply = keys.reply(future.call.id.partition("-")[0])
    thief.call("RPUSH", reply, future.call.id.encode() + b" succeeded - w1 1 0 0 inline\n" + data)
    thief.call("EXPIRE", reply, 60)


@pytest.mark.parametrize("with_key", [True, False], ids=["key", "no key"])
def test_a_kept_result_is_not_accepted_for_a_later_call_of_the_same_arguments(
    shelter: Shelter, thief: Link, tmp_path: Path, secret: str, with_key: bool
) -> None:
    cluster = shelter(secret_file=secret if with_key else None)
    client, runs = cluster.connect(), str(tmp_path / "runs")
    first = counted(client).submit(runs)
    assert first.result(20) == 1
    data = stolen_result(thief, first, Keys())
    with Busy(client, tmp_path):
        second = counted(client).submit(runs)
        wait_until(lambda: second.call.digest, 5, "it is sealed")
        assert second.call.body == wire.encode_arguments("pickle", (runs,))
        push_result(thief, second, data, Keys())
        assert second.result(20) == 2, "it was run, not answered by the old outcome"
        assert info_of(second).why == "undecodable"


def test_a_kept_result_of_a_batch_is_not_accepted_for_a_later_batch_of_the_same_arguments(
    shelter: Shelter, thief: Link, tmp_path: Path
) -> None:
    client, calls = shelter().connect(), [(str(tmp_path / "runs"),)] * 3
    function = counted(client)
    assert function(str(tmp_path / "first")) == 1
    first = map_batch.started(function.engine, function.spec, calls, sent=[])
    assert first is not None
    assert [part.value for part in first.outcomes() if isinstance(part, wire.Value)] == [1, 2, 3]
    data = stolen_result(thief, first.future, Keys())
    with Busy(client, tmp_path):
        second = map_batch.started(function.engine, function.spec, calls, sent=[])
        assert second is not None
        wait_until(lambda: second.future.call.digest, 5, "it is sealed")
        push_result(thief, second.future, data, Keys())
        assert [part.value for part in second.outcomes() if isinstance(part, wire.Value)] == [4, 5, 6]


def test_the_outcome_of_a_joined_call_is_not_accepted_by_one_that_asks_later(
    shelter: Shelter, thief: Link, tmp_path: Path
) -> None:
    client, runs = shelter().connect(), str(tmp_path / "runs")
    function = counted(client, join=True)
    first = function.submit(runs)
    assert first.result(20) == 1
    data, stolen_at = stolen_result(thief, first, Keys()), time.monotonic()
    wait_until(lambda: time.monotonic() > stolen_at + 2.5, 5, "no clock of two processes can be so far apart")
    with Busy(client, tmp_path):
        second = function.submit(runs)
        wait_until(lambda: second.call.digest, 5, "it is sealed")
        assert second.call.digest == first.call.digest
        push_result(thief, second, data, Keys())
        wait_until(lambda: second.call.sharing is None, 5, "it was sent again for itself")
    assert second.result(20) > 1
    assert (info_of(second).where, info_of(second).joined) == ("remote", False)


def test_a_cached_value_put_back_after_a_clear_is_not_accepted_by_who_cleared(
    shelter: Shelter, thief: Link, tmp_path: Path
) -> None:
    cluster = shelter()
    client, other, runs = cluster.connect(), cluster.connect(), str(tmp_path / "runs")
    function = counted(client, cache=600)
    assert function(runs) == function(runs) == 1
    (kept,) = [name.decode() for name in thief.call("KEYS", "simpledist:data:*:cached")]
    old = thief.call("GET", kept)
    assert function.cache_clear() == 1
    thief.call("SET", kept, old, "EX", 600)
    assert counted(other, cache=600)(runs) == 1, "to others it is still young: SECURITY.md says so"
    future = function.submit(runs)
    assert future.result(20) == 2
    assert (info_of(future).where, info_of(future).cached) == ("remote", False)
    future = function.submit(runs)
    assert future.result(20) == 2
    assert info_of(future).cached, "the new value took the place of the old one"
    assert thief.call("GET", kept) != old
    thief.call("SET", kept, old, "EX", 600)
    assert function(runs) == 3, "again and again"
    function.cache_clear()


def test_who_puts_an_old_value_back_for_ever_keeps_no_one_from_its_outcome(
    shelter: Shelter, thief: Link, tmp_path: Path
) -> None:
    client, runs = shelter().connect(), str(tmp_path / "runs")
    function = counted(client, cache=600)
    assert function(runs) == 1
    (kept,) = [name.decode() for name in thief.call("KEYS", "simpledist:data:*:cached")]
    old = thief.call("GET", kept)
    function.cache_clear()
    with Busy(client, tmp_path):
        thief.call("SET", kept, old, "EX", 600)
        future = function.submit(runs)
        wait_until(lambda: future.call.anew, 5, "it asked anew")
        id = future.call.id
        element = b" succeeded - - 0 0 0 cached\n" + old
        wait_until(lambda: thief.call("EXISTS", Keys().named("call", id)), 5, "it is queued")
        thief.call("RPUSH", Keys().reply(client.id), id.encode() + element)
        thief.call("EXPIRE", Keys().reply(client.id), 60)
        wait_until(lambda: future.call.sharing is None, 5, "it was sent again for itself")
    assert future.result(20) > 1
    assert info_of(future).where == "remote"
    function.cache_clear()


def test_a_cached_value_older_than_its_caller_asks_for_is_not_accepted(
    shelter: Shelter, thief: Link, tmp_path: Path
) -> None:
    cluster = shelter()
    client, runs = cluster.connect(), str(tmp_path / "runs")
    assert counted(client, cache=600)(runs) == 1
    made_at = time.monotonic()
    wait_until(lambda: time.monotonic() > made_at + 0.6, 5, "the value is half a second old")
    future = counted(client, cache=0.5).submit(runs)
    assert future.result(20) == 2
    assert (info_of(future).where, info_of(future).cached) == ("remote", False)


def test_a_child_of_a_fork_keeps_to_the_clears_of_its_parent(shelter: Shelter, thief: Link, tmp_path: Path) -> None:
    client, runs = shelter().connect(), str(tmp_path / "runs")
    function = counted(client, cache=600)
    assert function(runs) == 1
    (kept,) = [name.decode() for name in thief.call("KEYS", "simpledist:data:*:cached")]
    old = thief.call("GET", kept)
    function.cache_clear()
    thief.call("SET", kept, old, "EX", 600)
    child = os.fork()
    if not child:
        try:
            came = function(runs)
            client.close(wait=False)
        except BaseException:  # noqa: BLE001 - nothing may go on in this copy of the test
            os._exit(99)
        os._exit(came)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 2
    function.cache_clear()


def test_a_call_and_a_result_of_another_namespace_are_refused(shelter: Shelter, thief: Link, tmp_path: Path) -> None:
    here, there = shelter(), shelter(ELSEWHERE)
    client, other = here.connect(), there.connect()
    runs = str(tmp_path / "runs")
    assert counted(other, cache=600)(runs) == 1
    (kept,) = [name.decode() for name in thief.call("KEYS", f"{ELSEWHERE}:data:*:cached")]
    thief.call("SET", kept.replace(ELSEWHERE, "simpledist"), thief.call("GET", kept), "EX", 600)
    future = counted(client, cache=600).submit(runs)
    assert future.result(20) == 2
    assert info_of(future).why == "key"
    with Busy(client, tmp_path), Busy(other, tmp_path):
        theirs, mine = counted(other).submit(runs), counted(client).submit(runs)
        at_mine, at_theirs = Keys().named("call", mine.call.id), Keys(ELSEWHERE).named("call", theirs.call.id)
        wait_until(lambda: thief.call("EXISTS", at_mine) and thief.call("EXISTS", at_theirs), 5, "both are queued")
        thief.call("SET", at_mine, thief.call("GET", at_theirs), "KEEPTTL")
    assert {mine.result(20), theirs.result(20)} == {3, 4}
    assert (info_of(mine).why, info_of(theirs).why) == ("key", None)
    for one in (client, other):
        counted(one, cache=600).cache_clear()


def test_a_call_sealed_over_a_day_ago_is_not_run(shelter: Shelter, thief: Link, tmp_path: Path, secret: str) -> None:
    client, runs, not_to_run = shelter().connect(), str(tmp_path / "runs"), str(tmp_path / "not to run")
    with Busy(client, tmp_path):
        futures = [counted(client).submit(runs), counted(client).submit(runs)]
        for future, hours in zip(futures, (23, 25), strict=True):
            at = Keys().named("call", future.call.id)
            wait_until(lambda at=at: thief.call("EXISTS", at), 5, "it is queued")
            path = runs if hours < 24 else not_to_run
            copy = wire.seal_call(
                "count",
                "pickle",
                wire.encode_arguments("pickle", (path,)),
                key_file.keyring_from(secret),
                nonce=future.call.nonce,
                sealed_at_ms=redis_ms(thief) - hours * HOUR_MS,
            )
            thief.call("SET", at, bytes(copy.data), "KEEPTTL")
    assert {future.result(20) for future in futures} == {1, 2}
    assert [info_of(future).why for future in futures] == [None, "undecodable"]
    assert not os.path.exists(not_to_run)


def test_a_call_that_has_waited_for_half_a_day_is_sealed_anew_with_its_own_nonce(
    shelter: Shelter, thief: Link, tmp_path: Path
) -> None:
    client, runs = shelter().connect(), str(tmp_path / "runs")
    with Busy(client, tmp_path):
        future = counted(client).submit(runs)
        at = Keys().named("call", future.call.id)
        wait_until(lambda: thief.call("EXISTS", at), 5, "it is queued")
        before = thief.call("GET", at)
        future.call.sealed_at_ms -= 13 * HOUR_MS  # as if it had waited
        wait_until(lambda: thief.call("GET", at) != before, 5, "it was sealed anew")
        after = thief.call("GET", at)
        assert after[NONCE] == before[NONCE]
        assert int.from_bytes(after[SEALED_AT], "big") > int.from_bytes(before[SEALED_AT], "big")
        assert abs(int.from_bytes(after[SEALED_AT], "big") - redis_ms(thief)) < 10_000
    assert future.result(20) == 1
    assert info_of(future).where == "remote"


@pytest.mark.parametrize("run_ms", [10**15, -(10**15)])
def test_what_a_reply_says_beside_its_envelope_is_no_experience_for_other_calls(
    shelter: Shelter, thief: Link, tmp_path: Path, secret: str, run_ms: int
) -> None:
    client, runs = shelter().connect(), str(tmp_path / "runs")
    with Busy(client, tmp_path):
        count_here = counted(client)
        future = count_here.submit(runs)
        wait_until(lambda: future.call.digest, 5, "it is sealed")
        value = wire.encode_value("pickle", 77)
        keyring = key_file.keyring_from(secret)
        honest = wire.seal_outcome("count", "pickle", "value", value, future.call.digest, keyring, redis_ms(thief))
        element = f"{future.call.id} succeeded - liar 99 {run_ms} {run_ms} inline\n".encode() + bytes(honest)
        thief.call("RPUSH", Keys().reply(client.id), element)
        thief.call("EXPIRE", Keys().reply(client.id), 60)
        assert future.result(20) == 77
        mean = client.engine.known(count_here.spec).on_workers.mean_seconds
        assert mean is not None
        assert 0 < mean < 20


def test_an_envelope_of_version_1_is_refused(shelter: Shelter, thief: Link, tmp_path: Path) -> None:
    client, runs = shelter(secret_file=None).connect(), str(tmp_path / "runs")
    with Busy(client, tmp_path):
        future = counted(client).submit(runs)
        at = Keys().named("call", future.call.id)
        wait_until(lambda: thief.call("EXISTS", at), 5, "it is queued")
        data = thief.call("GET", at)
        assert data[:3] == b"SD\x02"
        thief.call("SET", at, b"SD\x01" + data[3:], "KEEPTTL")
    assert future.result(20) == 1
    assert info_of(future).why == "undecodable"
