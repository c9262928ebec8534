"""No foreign text, wherever it stands, reaches a terminal or a log as more than letters."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from simpledist.broker import Keys
from simpledist.cluster import Cluster
from simpledist.printable import logger
from tests import commands
from tests.links import open_link
from tests.stage import Stage
from tests.web.conftest import stage as stage

ROOT = Path(__file__).parents[2]
EVIL = "a\x1b[31m\r\n\x07\x08\x9b2J\u202e\u2066\u2028\x00b"
CONTROL = {one for one in EVIL if not one.isprintable()} - {"\n"}
TARGET = "tests.security.functions.counted"


def clean(done: subprocess.CompletedProcess[str]) -> str:
    """What a command printed, with no control character in it."""
    text = done.stdout.replace("\t", " ") + done.stderr
    assert not CONTROL & {*text}, (done.args, text)
    assert "Traceback" not in done.stderr
    return text


@pytest.fixture
def hostile(stage: Stage) -> Iterator[Stage]:
    """A cluster in which every text is somebody's."""
    now_ms = int(time.time() * 1000)
    keys, link = stage.keys, stage.link
    stage.worker("w1", "fib", label=EVIL, trouble=EVIL, trouble_kind="commands", host=EVIL, simpledist=EVIL)
    stage.worker(f"w{EVIL}", "fib", EVIL.replace("\n", ""), label="x", python=EVIL, generators=[EVIL], keys=[EVIL])
    link.call("SADD", keys.functions, EVIL)
    link.call("HSET", keys.named("meta", EVIL), "returned", 3, "wanted", now_ms, f"local:{EVIL}", 3)
    link.call("ZADD", keys.named("queued", EVIL), 1, EVIL)
    link.call("ZADD", keys.active, now_ms * 1000, EVIL)
    link.call("HSET", keys.named("current", "fib"), f"{EVIL}:1", f"w{EVIL.replace(' ', '')} 0 1 {now_ms}")
    link.call("HSET", keys.named("meta", "fib"), "failed", 1, "raised", 1)
    link.call("HSET", keys.named("failures", "fib"), f"{EVIL} {EVIL}", f"3 {now_ms} {now_ms} c1-1\n{EVIL}: {EVIL}")
    link.call("LPUSH", keys.named("recent", "fib"), f"{EVIL} succeeded w1 0 1 1 1 {now_ms} 1 {EVIL}")
    link.call("SET", f"simpledist:{EVIL}", "x")
    yield stage
    link.call("FLUSHALL")


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("status", "--json"),
        ("workers",),
        ("workers", "--function", EVIL.replace("\x00", "")),
        ("jobs",),
        ("jobs", "--worker", EVIL.replace("\x00", "")),
        ("errors",),
        ("errors", "--traceback"),
        ("doctor",),
        ("doctor", "--json"),
        ("cancel", "--", EVIL.replace("\x00", "")),
        ("call", EVIL.replace("\x00", "")),
        ("fingerprint", "--against", "w1", f"{TARGET}:count"),
    ],
    ids=" ".join,
)
def test_no_command_prints_a_control_character(hostile: Stage, words: tuple[str, ...]) -> None:
    assert clean(commands.run(*words, "--redis", hostile.server.url, "--insecure", cwd=ROOT))


def test_the_text_of_an_exception_is_printed_and_logged_without_control_characters(tmp_path: Path) -> None:
    with Cluster(TARGET, slots=1, folder=ROOT, distributor=True) as cluster, open_link(cluster.url) as thief:
        url, worker = cluster.url, cluster.workers[0]
        text = clean(commands.run("call", "spoil", EVIL.replace("\x00", ""), "--redis", url))
        assert "spoil raised ValueError: a" in text
        keys = Keys()
        for word in ("other_code", "protocol", "pass", "strike", "cancel"):
            thief.call("RPUSH", keys.control(worker.id), f"{word} {EVIL}")
        thief.call("RPUSH", keys.given(worker.id), f"spoil {EVIL.replace(' ', '')} 1 0\nx")
        assert clean(commands.run("call", "count", str(tmp_path / "runs"), "--redis", url)) == "1\n"
        for name in ("errors", "jobs", "status"):
            clean(commands.run(name, "--redis", url))
        for process in (worker, *cluster.distributors):
            assert not CONTROL & {*process.stderr_text()}


@pytest.mark.parametrize("id", ["-5", "--json", "-x-1"])
def test_job_ids_that_begin_with_a_dash_are_arguments_behind_two_dashes(stage: Stage, id: str) -> None:
    stage.worker()
    stage.broker.submit("fib", "", stage.link.identity, [(id, b"call")], require_worker=False)
    done = commands.run("cancel", "--redis", stage.server.url, "--", id)
    assert (done.returncode, done.stdout) == (0, f"{id} is called off\n"), done


def test_a_message_of_ours_is_printable_in_every_handler(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        logger("simpledist").warning("worker %s said %s", "w\x1b[1m", "one\r\ntwo\x9b")
    assert caplog.messages == ["worker w\N{REPLACEMENT CHARACTER}[1m said one\n    two\N{REPLACEMENT CHARACTER}"]
