"""Sentinels name the primary: which of them are asked, and what becomes of each answer."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from simpledist.broker import Link
from simpledist.embedded import EmbeddedRedis
from simpledist.errors import RedisDown, RedisRefused
from tests import servers
from tests.broker.conftest import Place
from tests.broker.scripted import ScriptedServer, bulk

ASK = "SENTINEL GET-MASTER-ADDR-BY-NAME"


def sentinel(answer: bytes) -> ScriptedServer:
    return ScriptedServer({ASK: answer})


def address(server: ScriptedServer, host: bytes = b"127.0.0.1") -> bytes:
    return b"*2\r\n" + bulk(host) + bulk(b"%d" % (urlsplit(server.url).port or 0))


def asked(*sentinels: ScriptedServer, stays_here: bool = False) -> Link:
    places = ",".join(urlsplit(one.url).netloc for one in sentinels)
    return Link(f"redis+sentinel://{places}/main", name="tests", stays_here=stays_here)


REPLICA = bulk(b"# Replication\r\nrole:slave\r\n")


def test_sentinels_are_asked_in_turn_and_the_one_that_answered_first_of_all_the_next_time() -> None:
    silent = ScriptedServer({ASK: None})
    with ScriptedServer({}) as redis, sentinel(b"*-1\r\n") as first, silent, sentinel(address(redis)) as knows:
        link = asked(first, silent, knows)
        link.connect()
        assert link.call("PING") == b"OK"
        assert f"{ASK} main" in first.seen
        first.seen.clear()
        link.connect()
        assert not first.seen
        link.close()


def test_a_primary_that_is_a_replica_still_is_down() -> None:
    with ScriptedServer({"INFO replication": REPLICA}) as redis, sentinel(address(redis)) as one:
        link = asked(one)
        with pytest.raises(RedisDown, match="still a replica"):
            link.connect()
        assert not link.connected


def test_a_service_that_no_sentinel_knows_is_refused_and_sentinels_that_are_away_are_down() -> None:
    with sentinel(b"*-1\r\n") as one, sentinel(b"-NOAUTH no\r\n") as two, sentinel(ScriptedServer.HANG_UP) as three:
        with pytest.raises(RedisRefused, match="knows no service 'main'"):
            asked(one, two).connect()
        with pytest.raises(RedisDown, match="Sentinel 127"):
            asked(one, three).connect()


def test_without_a_key_sentinels_cannot_send_us_to_another_machine() -> None:
    with ScriptedServer({}) as redis, sentinel(address(redis, b"192.0.2.1")) as one:
        link = asked(one, stays_here=True)
        with pytest.raises(RedisRefused, match="another machine"):
            link.connect()


@pytest.mark.parametrize("stale", ["yes", "no"])
def test_a_script_on_a_replica_is_not_now_whatever_the_version(real_place: Place, stale: str) -> None:
    with EmbeddedRedis(servers.server(real_place.kind), port=0) as replica:
        link = Link(replica.url, name="tests")
        link.connect()
        link.call("CONFIG", "SET", "replica-serve-stale-data", stale)
        link.call("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(RedisDown):
            link.call("EVAL", "return redis.call('HDEL', 'a', 'b')", 0)
        assert not link.connected
