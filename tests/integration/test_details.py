"""`info.detail`: the reason of a local run in words, with what only that call or that worker knows."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.broker.parsing import parse_reply
from simpledist.cluster import Cluster
from simpledist.reasons import REASONS, Why
from tests import commands
from tests.integration.functions import farm
from tests.waiting import wait_until

WORKER = r" \(worker w[0-9a-f]{12}\)"


@pytest.fixture
def client(cluster: Cluster) -> Iterator[simpledist.Client]:
    with cluster.connect(max_value_bytes=1000) as one:
        yield one


def detail(future: simpledist.Future[Any]) -> tuple[str | None, str]:
    future.exception(30)
    assert future.info is not None
    assert future.info.detail is not None
    return future.info.why, future.info.detail


def local(*given: Any) -> Any:
    return "local"


@pytest.mark.parametrize(
    ("name", "argument", "why", "words"),
    [
        ("echo", threading.Lock(), "unserialisable", r"TypeError: cannot pickle '_thread\.lock' object"),
        ("echo", b"x" * 2000, "too_big", r"its arguments take 2,\d{3} bytes, at most 1,000 travel"),
        ("lock", None, "unserialisable", rf"TypeError: cannot pickle '_thread\.lock' object{WORKER}"),
        ("fail", "import", "worker_error", rf"ImportError: import{WORKER}"),
        ("fail", "memory", "memory", rf"MemoryError: memory{WORKER}"),
        ("sum", None, "no_worker", "no live worker offers it"),
    ],
)
def test_what_is_known_of_it_is_said(client: simpledist.Client, name: str, argument: Any, why: Why, words: str) -> None:
    given = () if argument is None else (argument,)
    f = simpledist.worker_function(client, name, local)
    found = detail(f.submit(*given))
    assert found[0] == why
    assert re.fullmatch(words, found[1]), found[1]


def test_a_child_that_dies_says_how(own_cluster: Cluster) -> None:
    own_cluster.start_worker(slots=1)
    with own_cluster.connect() as client:
        why, words = detail(simpledist.worker_function(client, "die_on_worker", farm.die_on_worker).submit(os.getpid()))
    assert why == "crashed"
    assert re.fullmatch(rf"the child died: .*{WORKER}", words), words


def test_of_what_travelled_there_is_none(client: simpledist.Client) -> None:
    future = simpledist.worker_function(client, "fib", farm.fib).submit(3)
    assert future.result(30) == 2
    assert future.info is not None
    assert (future.info.where, future.info.detail) == ("remote", None)


@pytest.mark.parametrize("options", [{"max_queue": 0}, {"policy": "local"}, {"timeout": 0.2}], ids=str)
def test_what_was_asked_for_has_the_words_of_its_reason(client: simpledist.Client, options: Any) -> None:
    why, words = detail(simpledist.worker_function(client, "sleep", local, **options).submit(5.0))
    assert words == REASONS[why or ""].words


def test_the_log_does_not_ask_for_a_worker_that_has_come_since(caplog: pytest.LogCaptureFixture) -> None:
    with Cluster("tests.integration.functions.farm", workers=0, slots=1) as cluster:
        client = cluster.connect()
        function = simpledist.worker_function(client, "fib", farm.fib)
        assert [function(3) for _ in range(5)] == [2] * 5
        wait_until(lambda: "no worker is running" in caplog.text, 10, "the first line is there")
        assert function(3) == 2
        cluster.start_worker()
        wait_until(lambda: function.submit(3).exception(20) is None and bool(function.stats().remote), 20, "remote")
        client.close()
    (line,) = [one for one in caplog.messages if one.startswith("function fib: calls run here (no_worker)")]
    assert "its workers were not there yet, or take none of these calls; simpledist explain fib says what" in line


def test_redis_that_is_not_there_is_named() -> None:
    url = f"redis://127.0.0.1:{commands.free_port()}/0"
    with simpledist.connect(url) as client:
        found = detail(simpledist.worker_function(client, "fib", farm.fib).submit(3))
    assert found == ("redis_down", f"Redis at {url} cannot be reached: [Errno 111] Connection refused")


def test_redis_that_refuses_us_says_why(own_cluster: Cluster) -> None:
    url = own_cluster.url.replace("unix://", "unix://me:password@")
    with simpledist.connect(url) as client:
        why, words = detail(simpledist.worker_function(client, "fib", farm.fib).submit(3))
    assert why == "redis_refused"
    assert "refuses us: it wants another user or password" in words
    assert "password@" not in words


def test_other_keys_are_named_both(own_cluster: Cluster, tmp_path: Path) -> None:
    key = tmp_path / "key"
    assert commands.run("secret", str(key)).returncode == 0
    own_cluster.start_worker(slots=1)
    with simpledist.connect(own_cluster.url, secret_file=str(key)) as client:
        ours = client.engine.keyring.signing_id.hex()
        why, words = detail(simpledist.worker_function(client, "fib", farm.fib).submit(3))
    assert why == "key"
    assert re.search(rf"hold other keys \([0-9a-f]{{8}}\) than the one that signs our calls \({ours} of ", words)


@pytest.mark.parametrize("way", ["submit", "map"])
def test_calls_that_travel_together_keep_their_own_words(
    cluster: Cluster, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    """The worker cannot send one value in the middle of a batch: the others are not blamed."""
    with cluster.connect() as client:
        f: Any = simpledist.worker_function(client, "apply", farm.apply)
        given: list[Any] = [(abs, -number) for number in range(400)]
        assert list(f.map(*zip(*given, strict=True))) == list(range(400)), (
            "they are short: from now on they travel in batches"
        )
        frame: Any = getattr(sys, "_getframe")  # noqa: B009
        odd: list[Any] = [*given[:200], (frame, 0), *given[200:]]
        if way == "map":
            assert [one for one in f.map(*zip(*odd, strict=True)) if isinstance(one, int)] == list(range(400))
            wait_until(lambda: "unserialisable" in caplog.text, 10, "it is said why one of them runs here")
            assert re.search(r"worker w[0-9a-f]{12} .*: TypeError: cannot pickle 'frame' object; pass", caplog.text)
            return
        futures = [f.submit(*one) for one in odd]
        assert [one.result(30) for one in futures[:200]] == list(range(200))
        why, words = detail(futures[200])
        assert why == "unserialisable"
        assert re.fullmatch(rf"TypeError: cannot pickle 'frame' object{WORKER}", words), words
        assert {
            one.info.why for one in (*futures[:200], *futures[201:]) if one.result(30) is not None and one.info
        } == {None}


def test_words_from_redis_do_nothing_to_a_terminal_and_are_bounded() -> None:
    shape = b"c1-1 failed undecodable w1 1 0 0 none\n"
    reply = parse_reply(shape + b"\x1b[2Jgone\nand \xff" + b"x" * 100_000)
    assert reply.detail.startswith(" [2Jgone and \ufffd".strip())
    assert reply.detail.isprintable()
    assert len(reply.detail) <= 300
    assert parse_reply(b"c1-1 succeeded - w1 1 0 0 inline\nbytes").detail == ""
    assert sys.getsizeof(reply.detail) < 2000
