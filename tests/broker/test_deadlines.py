"""A deadline is for progress: what comes slowly is waited for, what drips or says nothing is not."""

from __future__ import annotations

import os
import socket
import time

import pytest

from simpledist.broker import Link
from simpledist.errors import RedisDown
from simpledist.policy import COMMAND_TIMEOUT_SECONDS
from tests.broker.conftest import Place
from tests.broker.scripted import INFO, ScriptedServer, bulk, connected


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


def test_a_long_wait_is_reported_meanwhile_and_may_be_ended() -> None:
    with ScriptedServer({"GET": None}) as server:
        link = Link(server.url)
        times: list[float] = []

        def tell() -> None:
            times.append(time.monotonic())
            if len(times) == 2:
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
    monkeypatch.setattr("simpledist.policy.IDLE_CONNECTION_SECONDS", 0.0)
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
