"""A signal handler that raises in the midst of a connection's work: what it raises passes, and nothing goes astray."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from simpledist.broker import Link
from simpledist.embedded import EmbeddedRedis
from simpledist.errors import RedisDown, RedisRefused
from simpledist.interruption import by_signal, signalled

FILES = ("broker/link.py", "broker/stream.py", "broker/connection.py")


class Struck(KeyboardInterrupt):
    """What is raised where a handler may come."""


@contextmanager
def struck_at(line: int) -> Generator[None]:
    """Raise Struck before the given one of the lines that a link goes through."""
    left = line

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if not frame.f_code.co_filename.endswith(FILES):
            return None
        if event == "line":
            left -= 1
            if left == 0:
                sys.settrace(None)
                raise Struck
        return trace

    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(None)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a socket torn away as it is made
def test_a_link_that_is_torn_away_while_it_connects_sends_nothing_to_another_database(
    redis_server: EmbeddedRedis,
) -> None:
    url = redis_server.url + ("&db=3" if "?" in redis_server.url else "?db=3")
    answered = 0
    for line in range(1, 2000):
        link = Link(url)
        try:
            with struck_at(line):
                link.connect()
        except Struck:
            try:
                where = link.call("CLIENT", "LIST", "ID", link.call("CLIENT", "ID"))
            except RedisDown:
                continue
            finally:
                link.close()
            answered += 1
            assert b" db=3 " in where
        else:
            link.close()
            break
    else:
        pytest.fail("it never came to its end")
    assert line > 50
    assert answered < line / 2


class Late(TimeoutError):
    """What a handler of SIGALRM raises in many programs: an OSError."""


def too_late(_: int, __: object) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_IGN)  # once
    raise Late


@pytest.fixture
def alarm() -> Generator[Callable[[float], object]]:
    before = signal.signal(signal.SIGALRM, too_late)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def silent() -> Generator[str]:
    """The URL of a server that takes what comes and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def deaf() -> Generator[str]:
    """The URL of a server whose backlog is full: a connection to it is never made."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        yield f"redis://127.0.0.1:{server.getsockname()[1]}"
        for one in waiting:
            one.close()


@pytest.mark.parametrize("where", ["silent", "deaf"])
def test_the_timeout_of_an_alarm_is_not_the_sockets(
    where: str, request: pytest.FixtureRequest, alarm: Callable[[float], object]
) -> None:
    link = Link(request.getfixturevalue(where))
    alarm(0.1)
    with pytest.raises(Late):
        link.connect()
    assert not link.connected
    with pytest.raises(RedisDown):
        link.call("PING")


def waits(link: Link) -> None:
    link.call("BLPOP", "nothing", 0, timeout=5.0)


def waits_for_many(link: Link) -> None:
    link.pipeline([("BLPOP", "nothing", 0)], timeout=5.0)


@pytest.mark.parametrize("waits", [waits, waits_for_many])
def test_the_timeout_of_an_alarm_ends_a_command(
    redis_server: EmbeddedRedis, alarm: Callable[[float], object], waits: Callable[[Link], None]
) -> None:
    link = Link(redis_server.url)
    link.connect()
    alarm(0.1)
    with pytest.raises(Late) as shown:
        waits(link)
    assert shown.value.__cause__ is None
    assert not link.connected


def test_the_timeout_of_an_alarm_ends_a_sentinels_answer(silent: str, alarm: Callable[[float], object]) -> None:
    link = Link(silent.replace("redis://", "redis+sentinel://") + "/farm")
    alarm(0.1)
    with pytest.raises(Late):
        link.connect()


def test_a_silent_server_is_down_all_the_same(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simpledist.policy.COMMAND_TIMEOUT_SECONDS", 0.2)
    with pytest.raises(RedisDown, match="does not answer"):
        Link(silent).connect()


def test_what_comes_in_the_place_of_a_handlers_exception_leads_to_it(alarm: Callable[[float], object]) -> None:
    """The stdlib's Event, torn away as its condition lets go of its lock, ends with a RuntimeError."""

    def torn() -> None:
        lock = threading.Lock()
        with lock:
            lock.release()
            signal.pause()

    alarm(0.05)
    with pytest.raises(RuntimeError) as shown:
        torn()
    assert not by_signal(shown.value)
    assert isinstance(signalled(shown.value), Late)
    assert signalled(RuntimeError()) is None


def test_a_refusal_stays_one(redis_server: EmbeddedRedis) -> None:
    link = Link(redis_server.url)
    link.connect()
    with pytest.raises(RedisRefused):
        link.call("NOSUCHCOMMAND")
    assert link.connected
