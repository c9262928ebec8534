"""Link: a connection is whole or closed; what happens between a send and the full read drops it, and nothing else."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from simpledist.broker import Link, denials
from simpledist.broker.link import COMMAND_TIMEOUT_SECONDS
from simpledist.embedded import EmbeddedRedis
from simpledist.errors import RedisDown, RedisRefused
from tests import servers
from tests.broker.conftest import Place
from tests.broker.scripted import INFO, ScriptedServer, bulk
from tests.waiting import wait_until

HANG_UP = ScriptedServer.HANG_UP


@pytest.fixture
def real_link(real_place: Place) -> Iterator[Link]:
    one = real_place.link()
    one.call("FLUSHALL")
    yield one
    one.close()


def connected(server: ScriptedServer) -> Link:
    link = Link(server.url, name="tests")
    link.connect()
    server.seen.clear()
    return link


WITHOUT_HIREDIS = """
import sys
sys.modules["hiredis"] = None
from simpledist.broker import Link
link = Link(sys.argv[1])
link.connect()
assert link.call("ECHO", b"\\xff\\r\\n") == b"\\xff\\r\\n"
"""


def test_it_needs_no_hiredis(redis_server: EmbeddedRedis) -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_HIREDIS, redis_server.url], check=True)


# --- who we are --------------------------------------------------------------------------------------------------


def test_it_knows_its_server_and_its_own_id(real_link: Link) -> None:
    run_id, _, client_id = real_link.identity.partition(":")
    assert run_id == real_link.run_id
    assert len(run_id) == 40
    assert int(client_id) == real_link.call("CLIENT", "ID")
    assert int(real_link.version.split(".")[0]) >= 6


def test_it_bears_its_name_at_the_server(real_link: Link) -> None:
    assert b"name=tests" in real_link.call("CLIENT", "LIST", "ID", real_link.identity.partition(":")[2])


def test_a_server_older_than_6_2_is_refused_with_its_version() -> None:
    old = bulk(INFO.replace(b"7.0.0", b"6.0.16"))
    with ScriptedServer({"INFO": old}) as server, pytest.raises(RedisRefused, match=r"6\.0\.16 is too old"):
        Link(server.url).connect()


@pytest.mark.parametrize("version", [b"6.2.0", b"7.4.1", b"255.255.255", b"unstable", b""])
def test_newer_and_unreadable_versions_will_do(version: bytes) -> None:
    with ScriptedServer({"INFO": bulk(INFO.replace(b"7.0.0", version))}) as server:
        assert connected(server).connected


def test_without_info_it_works_and_does_not_know_who_it_is() -> None:
    with ScriptedServer({"INFO": b"-NOPERM no\r\n", "CLIENT ID": b"-NOPERM no\r\n"}) as server:
        assert connected(server).identity == ""


# --- what goes wrong ---------------------------------------------------------------------------------------------


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(RedisDown):
        Link(f"redis://127.0.0.1:{port}/0").connect()


def test_an_unconnected_link_says_so() -> None:
    for act in (lambda: Link("redis://127.0.0.1:1").call("PING"), lambda: Link("redis://127.0.0.1:1").fileno()):
        with pytest.raises(RedisDown, match="not connected"):
            act()


@pytest.mark.parametrize("cut", [b"", b"$", b"$10", b"$10\r\n", b"$10\r\n01234", b"$10\r\n0123456789", b"*2\r\n:1\r\n"])
def test_a_reply_that_is_cut_drops_the_connection_and_is_asked_for_once(cut: bytes) -> None:
    with ScriptedServer({"GET": cut + HANG_UP}) as server:
        link = connected(server)
        with pytest.raises(RedisDown):
            link.call("GET", "k")
        assert not link.connected
        assert link.identity == ""
        assert server.seen == ["GET k"], "the library does not send it again by itself"


def test_silence_drops_the_connection_after_its_timeout() -> None:
    with ScriptedServer({"GET": None}) as server:
        link = connected(server)
        began = time.monotonic()
        with pytest.raises(RedisDown):
            link.call("GET", "k", timeout=0.2)
        assert 0.15 < time.monotonic() - began < 1.5
        assert not link.connected
        assert server.seen == ["GET k"]


@pytest.mark.parametrize(
    "error",
    ["LOADING", "BUSY", "READONLY", "UNBLOCKED", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS"],
)
def test_not_this_server_or_not_now_drops_the_connection(error: str) -> None:
    with ScriptedServer({"GET": f"-{error} says the server\r\n".encode()}) as server:
        link = connected(server)
        with pytest.raises(RedisDown):
            link.call("GET", "k")
        assert not link.connected


def test_a_reply_that_came_with_the_one_before_it_is_not_overlooked() -> None:
    with ScriptedServer({"GET": b":7\r\n:8\r\n", "GETDEL": b":9\r\n"}) as server:
        link = connected(server)
        assert link.call("GETDEL", "k") == 9
        assert not link.readable()
        assert link.call("GET", "k") == 7
        assert select.select([link.fileno()], [], [], 0)[0] == [], "no selector sees it"
        assert link.readable()
        assert link.receive() == 8
        assert not link.readable()


@pytest.mark.parametrize("error", ["NOPERM", "WRONGTYPE", "OOM", "ERR", "MISCONF", "EXECABORT"])
def test_a_refusal_is_an_answer_and_leaves_the_connection_whole(error: str) -> None:
    with ScriptedServer({"GET": f"-{error} says the server\r\n".encode()}) as server:
        link = connected(server)
        with pytest.raises(RedisRefused, match="says the server"):
            link.call("GET", "k")
        assert link.call("PING") == b"OK"


@pytest.mark.parametrize("error", ["NOAUTH", "WRONGPASS"])
def test_a_redis_that_does_not_know_us_refuses_us(error: str) -> None:
    with ScriptedServer({"GET": f"-{error} says the server\r\n".encode()}) as server:
        link = connected(server)
        with pytest.raises(RedisRefused, match="says the server"):
            link.call("GET", "k")
        link.connect()
        assert link.call("PING") == b"OK"


def test_what_is_no_redis_at_all_is_down_and_not_a_crash() -> None:
    with ScriptedServer({"GET": b"HTTP/1.1 400 Bad Request\r\n\r\n"}) as server:
        link = connected(server)
        with pytest.raises(RedisDown):
            link.call("GET", "k")
        assert not link.connected


def test_a_refused_command_in_a_pipeline_is_its_reply(link: Link) -> None:
    link.call("SET", "text", "1")
    first, refused, last = link.pipeline([("GET", "text"), ("LPOP", "text"), ("GET", "text")])
    assert (first, last) == (b"1", b"1")
    assert isinstance(refused, RedisRefused)
    assert link.call("GET", "text") == b"1"


def test_a_connection_that_the_server_closed_is_down_at_the_next_call(real_place: Place, real_link: Link) -> None:
    other = real_place.link()
    other.call("CLIENT", "KILL", "ID", real_link.identity.partition(":")[2])
    with pytest.raises(RedisDown):
        real_link.call("PING")
    assert not real_link.connected
    real_link.connect()
    assert real_link.call("PING") == b"PONG"
    other.close()


# --- whose reply is it -------------------------------------------------------------------------------------------


def test_an_interrupt_between_send_and_read_never_gives_the_reply_to_the_next_command(link: Link) -> None:
    link.call("SET", "mine", "mine")
    link.call("SET", "other", "other")
    link.send("GET", "other")
    with pytest.raises(RedisDown, match="never read"):
        link.call("GET", "mine")
    assert not link.connected


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_while_it_waits_passes_through_and_drops_the_connection(
    real_link: Link, interrupt: type[BaseException]
) -> None:
    def raise_it(*_: object) -> None:
        raise interrupt

    before = signal.signal(signal.SIGALRM, raise_it)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(interrupt):
            real_link.call("BLPOP", "nothing", 5, timeout=6)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not real_link.connected
    real_link.connect()
    assert real_link.call("ECHO", "mine") == b"mine"


def test_a_timeout_of_one_call_does_not_outlast_it(real_link: Link) -> None:
    assert real_link.call("BLPOP", "nothing", 0.01, timeout=0.5) is None
    assert real_link.call("BLPOP", "nothing", 0.7) is None, "two seconds again, not half a one"


def test_a_blocking_pop_that_is_unblocked_gives_what_it_had(real_place: Place, real_link: Link) -> None:
    other = real_place.link()
    client_id = real_link.identity.partition(":")[2]
    real_link.send("BLPOP", "list", 5)
    wait_until(lambda: b"cmd=blpop" in other.call("CLIENT", "LIST", "ID", client_id), 2, "it blocks")
    other.call("CLIENT", "UNBLOCK", client_id)
    assert real_link.receive() is None
    real_link.send("BLPOP", "list", 5)
    other.call("RPUSH", "list", "element")
    other.call("CLIENT", "UNBLOCK", client_id)
    assert real_link.receive() == [b"list", b"element"]
    other.close()


@pytest.mark.parametrize("close_first", [True, False])
def test_nothing_of_an_old_connection_is_left_on_a_new_one(real_link: Link, close_first: bool) -> None:
    real_link.send("ECHO", "old")
    if close_first:
        real_link.close()
    real_link.connect()
    assert real_link.call("ECHO", "new") == b"new"


# --- Sentinels ---------------------------------------------------------------------------------------------------


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


# --- deadlines are for progress --------------------------------------------------------------------------------------


def test_a_server_that_drips_is_as_silent_as_one_that_says_nothing() -> None:
    with ScriptedServer({"GET": bulk(b"x" * 100)}, drips=True) as server:
        link = connected(server)
        began = time.monotonic()
        with pytest.raises(RedisDown):
            link.call("GET", "k", timeout=0.5)
        assert time.monotonic() - began < 1.5
        assert not link.connected


def test_a_server_that_drips_from_the_beginning_is_given_up_as_soon() -> None:
    with ScriptedServer({"INFO": bulk(INFO + b"x" * 1000)}, drips=True) as server:
        link = Link(server.url)
        began = time.monotonic()
        with pytest.raises(RedisDown):
            link.connect()
        assert time.monotonic() - began < COMMAND_TIMEOUT_SECONDS + 1.0


def test_a_reply_that_comes_slowly_is_no_silence_while_enough_of_it_comes() -> None:
    pause = (ScriptedServer.PAUSE + b"x" * 20_000) * 6
    with ScriptedServer({"GET": b"$120000\r\n" + pause + b"\r\n"}) as server:
        link = connected(server)
        began = time.monotonic()
        assert len(link.call("GET", "k", timeout=0.3)) == 120_000
        assert time.monotonic() - began > 0.5, "longer than its seconds"


def test_no_command_waits_beyond_what_bounds_its_link() -> None:
    with ScriptedServer({"GET": None}) as server:
        link = connected(server)
        link.bound(time.monotonic() + 0.2)
        began = time.monotonic()
        with pytest.raises(RedisDown):
            link.call("GET", "k")
        with pytest.raises(RedisDown, match="no time left"):
            link.connect()
        assert time.monotonic() - began < 1.0
        link.bound(float("inf"))
        link.connect()
        assert link.call("PING") == b"OK"


def test_who_waits_long_is_told_so_meanwhile_and_may_end_it() -> None:
    with ScriptedServer({"GET": None}) as server:
        link = Link(server.url)
        told: list[float] = []

        def tell() -> None:
            told.append(time.monotonic())
            if len(told) == 2:
                raise RedisDown("the beats are not answered either")

        link.meanwhile = tell
        link.connect()
        with pytest.raises(RedisDown, match="the beats"):
            link.call("GET", "k", timeout=60.0)
        assert not link.connected


def test_a_link_that_was_idle_is_made_anew_before_it_is_used(
    real_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed, kept = Link(real_place.url, renews=True), Link(real_place.url)
    for one in (renewed, kept):
        one.connect()
    first = renewed.identity, kept.identity
    assert renewed.call("PING") == b"PONG"
    assert renewed.identity == first[0], "it was just used"
    monkeypatch.setattr("simpledist.broker.link.IDLE_SECONDS", 0.0)
    assert renewed.call("PING") == kept.call("PING") == b"PONG"
    assert (renewed.identity == first[0], kept.identity == first[1]) == (False, True)
    renewed.close()
    kept.close()


def test_the_kernel_asks_after_an_idle_connection() -> None:
    with ScriptedServer({}) as server:
        link = connected(server)
        sock = socket.socket(fileno=os.dup(link.fileno()))
        with sock:
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30


# --- what a refusal means --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("MOVED 866 10.0.0.2:7001", "node of a Redis Cluster"),
        ("CROSSSLOT Keys in request don't hash to the same slot", "node of a Redis Cluster"),
        ("ERR Script attempted to access a non local key in a cluster node", "node of a Redis Cluster"),
        ("NOPERM this user has no permissions to run the 'evalsha' command", r"docs/acl\.md"),
        ("WRONGPASS invalid username-password pair", "in the URL"),
    ],
)
def test_a_refusal_says_what_to_do(error: str, told: str) -> None:
    with ScriptedServer({"GET": f"-{error}\r\n".encode()}) as server:
        link = connected(server)
        with pytest.raises(RedisRefused) as raised:
            link.call("GET", "k")
        assert error in str(raised.value)
        assert re.search(told, denials.told(str(raised.value)))


def test_a_signal_handler_that_raises_while_a_command_is_packed_gets_through() -> None:
    program = (
        "import signal\n"
        "from simpledist.broker.link import packed\n"
        "packed('PING')\n"  # what it needs is loaded now
        "def interrupt(*_): raise KeyboardInterrupt\n"
        "signal.signal(signal.SIGALRM, interrupt)\n"
        "command, came = ('A', *range(300_000)), 0\n"
        "while came < 10:\n"
        "    try:\n"
        "        signal.setitimer(signal.ITIMER_REAL, 0.005)\n"
        "        packed(*command)\n"
        "        signal.setitimer(signal.ITIMER_REAL, 0)\n"
        "    except KeyboardInterrupt:\n"
        "        came += 1\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
