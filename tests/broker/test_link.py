"""Link: a connection is whole or closed; what happens between a send and the full read drops it, and nothing else."""

from __future__ import annotations

import re
import select
import signal
import socket
import subprocess
import sys
import time

import pytest

from simpledist.broker import Link, denials
from simpledist.embedded import EmbeddedRedis
from simpledist.errors import RedisDown, RedisRefused
from tests.broker.conftest import Place
from tests.broker.scripted import INFO, ScriptedServer, bulk, connected
from tests.waiting import wait_until

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


def test_no_one_listens() -> None:
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
    with ScriptedServer({"GET": cut + ScriptedServer.HANG_UP}) as server:
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
    with ScriptedServer({"LLEN": b":7\r\n:8\r\n", "GETDEL": b":9\r\n"}) as server:
        link = connected(server)
        assert link.call("GETDEL", "k") == 9
        assert not link.readable()
        assert link.call("LLEN", "k") == 7
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


# --- what a refusal means --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("MOVED 866 10.0.0.2:7001", "node of a Redis Cluster"),
        ("CROSSSLOT Keys in request don't hash to the same slot", "node of a Redis Cluster"),
        ("ERR Script attempted to access a non local key in a cluster node", "node of a Redis Cluster"),
        ("NOPERM this user has no permissions to run the 'evalsha' command", r"docs/acl\.md"),
        ("WRONGPASS invalid username-password pair", "in the URL"),
    ],
)
def test_a_refusal_says_what_to_do(error: str, remedy: str) -> None:
    with ScriptedServer({"GET": f"-{error}\r\n".encode()}) as server:
        link = connected(server)
        with pytest.raises(RedisRefused) as raised:
            link.call("GET", "k")
        assert error in str(raised.value)
        assert re.search(remedy, denials.explained(str(raised.value)))


def test_a_signal_handler_that_raises_while_a_command_is_packed_gets_through() -> None:
    program = (
        "import signal\n"
        "from simpledist.broker.link import packed\n"
        "packed('PING')\n"  # what it needs is loaded now
        "def interrupt(*_): raise KeyboardInterrupt\n"
        "signal.signal(signal.SIGVTALRM, interrupt)\n"  # by time of the processor: others of this machine do not count
        "command, came = ('A', *range(300_000)), 0\n"
        "while came < 10:\n"
        "    try:\n"
        "        signal.setitimer(signal.ITIMER_VIRTUAL, 0.005)\n"
        "        packed(*command)\n"
        "        signal.setitimer(signal.ITIMER_VIRTUAL, 0)\n"
        "    except KeyboardInterrupt:\n"
        "        came += 1\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
