"""Pages, metrics and commands over a Redis that somebody filled: bounded in time and memory, never an error."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from flask.testing import FlaskClient

from simpledist.monitor.bounded import TOO_LONG, UNREADABLE
from tests import commands
from tests.stage import Stage
from tests.web.conftest import busy as busy
from tests.web.conftest import stage as stage
from tests.web.site import ADDRESSES, application

ROOT = Path(__file__).parents[2]
LOOKING = (
    ("status",),
    ("status", "--json"),
    ("workers",),
    ("jobs",),
    ("errors",),
    ("errors", "--traceback"),
    ("doctor",),
)
MILLION = 1_000_000


@pytest.fixture
def filled(busy: Stage) -> Iterator[Stage]:
    yield busy
    busy.link.call("FLUSHALL", "ASYNC", timeout=10)  # the tests put keys of any name there


@pytest.fixture
def client(filled: Stage) -> FlaskClient:
    return application(filled.monitor()).test_client()


def answered(client: FlaskClient, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code in (200, 404), (path, answer.text[-500:])
    return answer.text


def row(**facts: Any) -> bytes:
    usual = {"label": "odd", "host": "here", "pid": 1, "functions": ["fib"], "slots": 1, "started": 1}
    return json.dumps({**usual, **facts}).encode()


@pytest.mark.parametrize(
    "facts",
    [
        {"slots": 10**15},
        {"slots": -5},
        {"slots": 1e300},
        {"pid": 10**400},
        {"started": -(10**18)},
        {"functions": ["x@", "", "@", "a/b", ".", "..", "x@2@3"]},
        {"functions": ["f" * 300] * 3000},
        {
            "mismatched": {"fib": 1e18},
            "refusals": {"fib": {"count": 10**18, "last": 10**18, "why": "\x1b", "error": "x"}},
            "distributions": {"\x1b": "<b>", "x" * 5000: "1" * 5000, "y": 2, "z": None},
            "missing": {"\x1b": 10**18, "x" * 5000: 10**18, "y": "z"},
        },
        {"keys": [1, None, "k"], "protocol": 10**17},
        {"label": "\ud800\x1b[31m\u202e", "host": "h" * 100_000},
    ],
    ids=lambda facts: next(iter(facts)),
)
def test_no_row_of_a_worker_breaks_a_page(filled: Stage, client: FlaskClient, facts: dict[str, Any]) -> None:
    filled.link.call("HSET", filled.keys.workers, "wodd", row(**facts))
    filled.link.call("HSET", filled.keys.heartbeats, "wodd", int(time.time() * 1000))
    filled.link.call("HSET", filled.keys.vitals, "wodd", b'{"at_work":1e400,"memory_bytes":%d}' % 10**17)
    began = time.monotonic()
    for path in (*ADDRESSES, "/workers/wodd"):
        text = answered(client, path)
        assert "\x1b" not in text
    assert time.monotonic() - began < 10


NUMBERS = (b"9" * 5000, b"-inf", b"inf", b"nan", b"1e400", b"-1", b"99999999999999999", b"\xff", b"", b"0x10")


@pytest.mark.parametrize("number", NUMBERS)
def test_no_number_breaks_a_page(filled: Stage, client: FlaskClient, number: bytes) -> None:
    keys, link = filled.keys, filled.link
    minute = int(time.time() // 60)
    link.call(
        "HSET", keys.named("meta", "fib"), "minute", number, "submitted", number, "run:3", number, "wanted", number
    )
    link.call(
        "HSET", keys.named("history", "fib"), (minute - 1) % 1500, number + b" returned=3", "mark", b"x=" + number
    )
    link.call("HSET", keys.named("current", "fib"), b"c1-9:" + number, b"w1 " + b" ".join([number] * 3))
    link.call("HSET", keys.named("pulse", str(minute // 60)), b":".join([number] * 3), number)
    link.call("HSET", keys.named("failures", "fib"), b"E x", b" ".join([number] * 3) + b" c1-1\ntrace")
    link.call("LPUSH", keys.named("recent", "fib"), b"c1-0 succeeded w1 " + b" ".join([number] * 6) + b" -")
    link.call("HSET", keys.heartbeats, "w1", number)
    link.call(
        "HSET", keys.named("job", "c1-0"), "state", "running", "fence", number, "attempts", number, "ended", number
    )
    link.call("HSET", keys.named("job", "c1-0"), "trail", b"w1 " + b" ".join([number] * 3) + b" x;" * 3)
    for score in ("-inf", "inf", "1e300"):
        link.call("ZADD", keys.named("queued", "fib"), score, f"c1-{score}")
        link.call("ZADD", keys.active, score, f"odd{score}")
    began = time.monotonic()
    for path in ADDRESSES:
        answered(client, path)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("name", ["x@", "@", "", "a/b", "..", "\u202e", "x" * 5000, "%2F", "a?b#c", "{{7*7}}"])
def test_no_name_of_a_function_breaks_a_page(filled: Stage, client: FlaskClient, name: str) -> None:
    filled.link.call("SADD", filled.keys.functions, name)
    filled.link.call("ZADD", filled.keys.active, int(time.time() * 1e6), name)
    filled.link.call("HSET", filled.keys.named("meta", name), "returned", 3, "wanted", int(time.time() * 1000))
    filled.link.call("ZADD", filled.keys.named("queued", name), 1, name + "-1")
    for path in ADDRESSES:
        answered(client, path)
    assert name.isprintable() or name not in answered(client, "/api/snapshot.json")


FILL = {
    "hash": "redis.call('HSET', KEYS[1], 'f' .. i, 'vvvvvvvvvvvvvvvvvvvv')",
    "set": "redis.call('SADD', KEYS[1], 'f' .. i)",
    "zset": "redis.call('ZADD', KEYS[1], i, 'f' .. i)",
    "list": "redis.call('RPUSH', KEYS[1], 'vvvvvvvvvvvvvvvvvvvv')",
}


def fill(stage: Stage, key: str, kind: str) -> None:
    """A million elements under a key."""
    stage.link.call("EVAL", f"for i = 1, {MILLION} do {FILL[kind]} end", 1, key, timeout=20)


FILLED = (("hash", "workers"), ("set", "functions"), ("zset", "active"), ("hash", "meta:fib"), ("hash", "failures:fib"))


@pytest.mark.parametrize(("kind", "key"), FILLED)
def test_a_million_fields_slow_no_page_and_no_command(filled: Stage, kind: str, key: str) -> None:
    fill(filled, filled.keys.prefix + key, kind)
    client = application(filled.monitor()).test_client()
    before = psutil.Process().memory_info().rss
    took: dict[str, float] = {}
    for path in ADDRESSES:
        began = time.thread_time()  # its own work: other tests may have the processors
        answered(client, path)
        took[path] = round(time.thread_time() - began, 2)
    assert max(took.values()) < 5, took
    assert psutil.Process().memory_info().rss - before < 300_000_000
    for words in (("jobs",), ("doctor",)):
        began = time.monotonic()
        done = commands.run(*words, "--redis", filled.server.url, "--insecure", seconds=60)
        assert done.returncode in (0, 1), done
        assert "Traceback" not in done.stderr
        if key in ("workers", "functions", "meta:fib"):
            assert f"of {filled.keys.prefix}{key} are more than a page shows" in done.stderr + done.stdout
        assert time.monotonic() - began < 15, words


def test_what_is_left_out_is_counted_on_the_page_and_by_every_command(filled: Stage) -> None:
    keys, link = filled.keys, filled.link
    for n in range(3):
        link.call("HSET", keys.workers, f"wodd{n}", b"[1")
    link.call("HSET", keys.named("current", "fib"), "x", "y")
    link.call("HSET", keys.named("failures", "fib"), "x", "y")
    link.call("HSET", keys.workers, "wlong", b"{" + b" " * (2 << 20) + b"}")
    link.call("SET", keys.named("meta", "gcd@2"), "x")
    lost = {"workers": (UNREADABLE, 4), "current:fib": (UNREADABLE, 1), "failures:fib": (UNREADABLE, 1)}
    client = application(filled.monitor()).test_client()
    client.get("/errors")
    dropped = json.loads(client.get("/api/snapshot.json").text)["dropped"]
    found = {one["key"]: (one["why"], one["count"]) for one in dropped if one["why"] == UNREADABLE}
    assert found == {keys.prefix + name: one for name, one in lost.items()}
    assert {"key": keys.workers, "why": TOO_LONG, "count": 1} in dropped
    for path in ("/", "/workers", "/errors"):
        assert "4 elements of simpledist:workers cannot be read" in client.get(path).text
    for words in LOOKING:
        done = commands.run(*words, "--redis", filled.server.url, "--insecure")
        assert "4 elements of simpledist:workers cannot be read" in done.stderr + done.stdout, (words, done)
        assert "DEL simpledist:workers" in done.stderr + done.stdout


def test_what_is_left_out_is_counted_in_the_metrics_once(filled: Stage) -> None:
    keys, link = filled.keys, filled.link
    client = application(filled.monitor()).test_client()

    def counted() -> dict[str, float]:
        lines = re.findall(
            r'^simpledist_elements_dropped_total{kind="(\w+)"} (\S+)$', client.get("/metrics").text, re.M
        )
        return {kind: float(number) for kind, number in lines}

    assert counted() == {"unreadable": 0, "too_many": 0, "too_long": 0}
    for n in range(3):
        link.call("HSET", keys.workers, f"wodd{n}", b"[1")
    link.call("HSET", keys.workers, "wlong", b"{" + b" " * (2 << 20) + b"}")
    found = [counted() for _ in range(3)]
    assert found == [found[0]] * 3, "what stays there counts once"
    assert found[0]["unreadable"] >= 3
    assert found[0]["too_long"] == 1
    link.call("HSET", keys.workers, "wodd3", b"[1")
    assert counted()["unreadable"] == found[0]["unreadable"] + 1
    assert "# HELP simpledist_elements_dropped_total Elements of Redis" in client.get("/metrics").text


def test_a_value_of_hundreds_of_megabytes_is_no_pages_trouble(filled: Stage) -> None:
    big = b"x" * 200_000_000
    for key in (filled.keys.workers, filled.keys.named("failures", "fib"), filled.keys.named("meta", "fib")):
        filled.link.call("HSET", key, "big", big, timeout=20)
    filled.link.call("LPUSH", filled.keys.named("recent", "fib"), big, timeout=20)
    del big
    program = [sys.executable, "-m", "tests.security.programs.paging", filled.server.url, *ADDRESSES]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    peak_bytes, *codes = json.loads(done.stdout)
    assert {*codes} <= {200, 404}
    assert peak_bytes < 250_000_000
