"""docs/redis-keys.md against keys.py and against a cluster at work: its commands run, and show readable text."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

import simpledist
from simpledist.broker import Keys, Link, scripts
from simpledist.broker.keys import PERMANENT, TEMPLATES
from simpledist.cluster import Cluster
from simpledist.embedded import EmbeddedRedis
from tests import standing
from tests.key_leaks import BOUND_SECONDS
from tests.waiting import wait_until

PAGE = (Path(__file__).parents[2] / "docs" / "redis-keys.md").read_text()
PREFIX = Keys().prefix
SPOKEN_SECONDS = {
    "60 s": 60,
    "120 s": 120,
    "10 min": 600,
    "2 h": 7200,
    "24 h": 86_400,
    "25 h": 90_000,
    "30 days at most": 30 * 86_400,
}
WITH_BYTES = ("call", "result", "staged_result", "slices", "reply", "given", "kept", "archive", "blob")

# type -> the command that reads all of a key, before and after its name
READING: dict[str, tuple[list[str], list[str]]] = {
    "string": (["GET"], []),
    "hash": (["HGETALL"], []),
    "set": (["SMEMBERS"], []),
    "list": (["LRANGE"], ["0", "-1"]),
    "zset": (["ZRANGE"], ["0", "-1", "WITHSCORES"]),
}

# key template -> type, holds, TTL, written by
ROWS: dict[str, list[str]] = {
    cells[0].strip("`").removeprefix(PREFIX): cells[1:]
    for line in PAGE.splitlines()
    if line.startswith(f"| `{PREFIX}")
    for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
}
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]


def row_of(template: str) -> list[str]:
    return ROWS[TEMPLATES[template]]


# --- the table ---------------------------------------------------------------------------------------------------


def test_the_table_has_every_key_template_once() -> None:
    assert sorted(ROWS) == sorted(TEMPLATES.values())
    assert PAGE.count(f"\n| `{PREFIX}") == len(TEMPLATES)


@pytest.mark.parametrize("template", TEMPLATES)
def test_ttls_are_those_that_the_leak_tests_hold(template: str) -> None:
    ttl = row_of(template)[2]
    if template in PERMANENT:
        assert ttl == "permanent"
    else:
        assert SPOKEN_SECONDS[ttl.partition(",")[0]] == BOUND_SECONDS[template]


@pytest.mark.parametrize("template", TEMPLATES)
def test_only_verbs_and_their_callers_write(template: str) -> None:
    words = set(re.findall(r"\w+", row_of(template)[3]))
    prose = {
        "all",
        "verbs",
        "every",
        "verb",
        "cleared",
        "by",
        "before",
        "and",
        "SET",
        "HSET",
        "APPEND",
        "RENAME",
        "RPUSH",
        "client",
        "worker",
    }
    assert words <= {*scripts.VERBS, *prose}


def test_keys_with_bytes_are_marked() -> None:
    assert {template for template in TEMPLATES if "**bytes**" in row_of(template)[1]} == set(WITH_BYTES)


# --- a cluster at work -------------------------------------------------------------------------------------------


class AtWork:
    """A cluster in which one job runs, some wait and some have ended; `parts` fill the page's placeholders."""

    def __init__(self, cluster: Cluster, client: simpledist.Client, running: str) -> None:
        self.cluster = cluster
        self.link = Link(cluster.url, name="tests")
        self.parts = {"<worker>": cluster.workers[0].id, "<client>": client.id, "<id>": running}

    def redis_cli(self, line: str) -> bytes:
        """What the command prints: of redis-cli where there is one, else of the same command over a socket."""
        for placeholder, part in self.parts.items():
            line = line.replace(placeholder, part)
        program, *words = shlex.split(line)
        assert program == "redis-cli"
        binary = shutil.which(program)
        if binary is None:
            return b"\n".join(_flat(self.link.call(*words)))
        port = str(self.cluster.redis.port)
        return subprocess.run([binary, "-p", port, *words], check=True, capture_output=True, timeout=10).stdout


def local(_: int) -> str:
    return "local"


@pytest.fixture(scope="module")
def at_work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AtWork]:
    folder = tmp_path_factory.mktemp("functions")
    (folder / "shown.py").write_text("import time\ndef fib(n): time.sleep(n); return 'ä' * n\n")
    with (
        EmbeddedRedis(port=0) as server,
        Cluster("shown", slots=1, folder=folder, redis=server) as cluster,
        cluster.connect() as client,
    ):
        standing.roots.update(worker.pid for worker in cluster.workers)
        fib = simpledist.worker_function(client, "fib", local)
        assert fib(0) == ""
        futures = [fib.submit(60) for _ in range(5)]
        one = AtWork(cluster, client, futures[0].call.id)
        one.link.connect()
        current = Keys().named("current", "fib")
        wait_until(lambda: one.link.call("HLEN", current) == 1, 10, "one of them runs")
        yield one
        one.link.close()
        for future in futures:
            future.cancel()
        standing.roots.difference_update(worker.pid for worker in cluster.workers)


def _flat(answer: Any) -> list[bytes]:
    if isinstance(answer, list):
        return [part for one in cast("list[Any]", answer) for part in _flat(one)]
    return [answer if isinstance(answer, bytes) else str(answer).encode()]


def readable(data: bytes) -> bool:
    text = data.decode("utf-8", "replace")
    return all(line.isprintable() for line in text.splitlines()) and "\ufffd" not in text and "\\x" not in text


@pytest.mark.parametrize("line", COMMANDS)
def test_each_command_of_the_page_runs_and_shows_readable_text(at_work: AtWork, line: str) -> None:
    shown = at_work.redis_cli(line)
    assert readable(shown), shown
    assert b"ERR" not in shown
    assert b"WRONGTYPE" not in shown


def test_the_commands_show_queue_worker_and_running_job(at_work: AtWork) -> None:
    shown = {line: at_work.redis_cli(line).decode().split() for line in COMMANDS}
    worker, job = at_work.parts["<worker>"], at_work.parts["<id>"]
    assert shown["redis-cli SMEMBERS simpledist:functions"] == ["fib"]
    assert shown["redis-cli ZCARD simpledist:queued:fib"] == ["4"]
    assert len(shown["redis-cli LRANGE simpledist:queue:fib 0 9"]) == 4
    assert worker in shown["redis-cli HGETALL simpledist:heartbeats"]
    running = shown["redis-cli HGETALL simpledist:current:fib"]
    assert (running[0].partition(":")[0], running[1]) == (job, worker)
    assert f"fib:{running[0]}" in shown["redis-cli HGETALL simpledist:held:<worker>"]
    assert "running" in shown["redis-cli HGETALL simpledist:job:<id>"]


def test_every_key_is_of_its_type_and_only_those_with_bytes_hold_bytes(at_work: AtWork) -> None:
    keys = Keys()
    seen: set[str] = set()
    for name in (one.decode() for one in at_work.link.call("KEYS", "*")):
        template = keys.template_of(name)
        assert template, name
        seen.add(template)
        type = at_work.link.call("TYPE", name).decode()
        assert type in (row_of(template)[0], "none"), name
        if template not in WITH_BYTES and type != "none":
            for part in _flat(at_work.link.call(*READING[type][0], name, *READING[type][1])):
                assert readable(part), (name, part)
    assert {"functions", "workers", "heartbeats", "offers", "queue", "queued", "current", "held", "job"} <= seen
