"""`simpledist doctor` on a cluster that is well, and on one with everything wrong at once."""

from __future__ import annotations

import importlib
import json
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import simpledist
from simpledist.broker import Broker, Keys, Link
from simpledist.cluster import Cluster
from simpledist.wire import key_file
from tests import standing
from tests.commands import python, run
from tests.waiting import wait_until

CODE = "def work(n):\n    return n + 1\n"
STALE = "def work(n):\n    return n + 2\n"


@pytest.fixture(scope="module")
def one_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("doctored")
    (folder / "doctored.py").write_text(CODE)
    with Cluster(["doctored:work", "doctored:work@3"], folder=folder, slots=1) as cluster:
        standing.roots.add(cluster.workers[0].pid)
        yield cluster
        standing.roots.discard(cluster.workers[0].pid)


def doctor(cluster: Cluster, *words: str) -> subprocess.CompletedProcess[str]:
    return run("doctor", "--redis", cluster.url, *words)


def stale_module(folder: Path) -> ModuleType:
    """The worker's module, as an old checkout has it."""
    (folder / "doctored.py").write_text(STALE)
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module("doctored")
    finally:
        sys.path.remove(str(folder))


def worker_row(cluster: Cluster) -> dict[str, Any]:
    link = Link(cluster.url)
    link.connect()
    try:
        return json.loads(link.call("HGET", Keys().workers, cluster.workers[0].id))
    finally:
        link.close()


def test_a_cluster_that_is_well(one_worker: Cluster) -> None:
    done = doctor(one_worker, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert (report["schema"], report["ok"]) == (1, True)
    assert all(one["ok"] and one["text"] and not one["remedy"] for one in report["checks"])
    looked_at = [one["check"] for one in report["checks"]]
    assert looked_at == [
        "redis",
        "secret",
        "flaws",
        "memory",
        "persistence",
        "latency",
        "clock",
        "rights",
        "keys",
        "content",
        "workers",
        "protocol",
        "refusals",
        "queues",
        "versions",
        "local runs",
        "code",
        "random",
    ]


def test_a_key_that_no_worker_holds_is_a_finding(one_worker: Cluster, tmp_path: Path) -> None:
    key = tmp_path / "key"
    assert run("secret", str(key)).returncode == 0
    done = doctor(one_worker, "--json", "--secret-file", str(key))
    assert done.returncode == 1
    (finding,) = [one for one in json.loads(done.stdout)["checks"] if not one["ok"]]
    assert finding["check"] == "secret"
    assert (
        f"no live worker holds our key ({key_file.keyring_from(str(key)).signing_id.hex()} of {key})" in finding["text"]
    )
    assert "--secret-file" in finding["remedy"]


def test_calls_that_a_worker_cannot_read_are_a_finding_with_the_module_that_it_lacks(
    tmp_path: Path,
) -> None:
    bare = tmp_path / "worker"
    bare.mkdir()
    (bare / "echoes.py").write_text("def echo(value):\n    return value\n")
    (tmp_path / "shapes.py").write_text("class Shape:\n    pass\n")
    program = (
        "import simpledist, shapes\n"
        "with simpledist.connect() as client:\n"
        "    f = simpledist.worker_function(client, 'echo', lambda shape: shape)\n"
        "    for _ in range(207): f(shapes.Shape())\n"
    )
    with Cluster("echoes", folder=bare, slots=1) as cluster:
        assert python("-c", program, cwd=tmp_path, url=cluster.url).returncode == 0
        done = doctor(cluster, "--json")
    assert done.returncode == 1
    (finding,) = [one for one in json.loads(done.stdout)["checks"] if one["check"] == "local runs"]
    assert finding["text"].startswith("207 calls of echo ran at their clients in the last 10 minutes: ")
    assert "(undecodable), the latest on worker w" in finding["text"]
    assert "No module named 'shapes'" in finding["text"]
    assert "docs/operations.md#why-undecodable" in finding["remedy"]


def test_piped_it_is_lines_with_tabs_and_a_header(one_worker: Cluster) -> None:
    done = doctor(one_worker)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert lines[0] == ["check", "result", "text", "remedy"]
    assert all(len(line) == 4 and line[1] == "ok" for line in lines[1:]), done.stdout


@pytest.fixture(scope="module")
def findings(one_worker: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Everything is wrong at once: check -> what was found, each with its remedy."""
    folder = tmp_path_factory.mktemp("stale")
    link = Link(one_worker.url)
    link.connect()
    broker = Broker(link, Keys())
    link.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    link.call("ACL", "SETUSER", "poor", "on", ">poor", "+client|setname", "+client|id", "+info")
    # A worker that was alive and is not: its row names a connection of this Redis that no longer exists.
    row = {"label": "gone", "host": "elsewhere", "pid": 7, "functions": ["old"], "slots": 1, "connection": "-"}
    broker.beat("w-gone", "-", [], row, ["old"])
    link.call("HSET", broker.keys.heartbeats, "w-gone", 1)
    broker.submit("old", "c0", "-", [("c0-1", b"call")], require_worker=False)
    broker.reap(workers=[("w-gone", "")])
    link.call("SET", "simpledist:stranger", "x")
    link.call("SADD", "simpledist:held:nobody", "x")
    key = folder / "key"
    assert run("secret", str(key)).returncode == 0
    key.chmod(0o644)
    with one_worker.connect() as client:
        stale = stale_module(folder)
        assert simpledist.worker_function(client, "work", stale.work)(1) == 3
        assert simpledist.worker_function(client, "work", stale.work, version=4)(1) == 3
    wait_until(lambda: worker_row(one_worker)["mismatched"].get("work"), 5, "the worker's word of other code")
    poor = Link(one_worker.url.replace("unix://", "unix://poor:poor@"))
    poor.connect()
    with pytest.raises(simpledist.errors.RedisRefused):
        poor.call("GET", "simpledist:epoch")
    poor.close()
    link.call(
        "SETRANGE", "ballast", 2**25, "x"
    )  # so that the doctor's own connections do not make Redis throw away keys
    used = re.search(rb"used_memory:(\d+)", link.call("INFO", "memory"))
    assert used is not None
    link.call("CONFIG", "SET", "maxmemory", int(int(used[1]) / 0.95))
    done = doctor(one_worker, "--json", "--secret-file", str(key))
    link.call("CONFIG", "SET", "maxmemory", "0")
    link.call("DEL", "simpledist:stranger", "simpledist:held:nobody", "ballast")
    link.close()
    assert (done.returncode, done.stderr) == (1, "")
    report = json.loads(done.stdout)
    assert report["ok"] is False
    found: dict[str, list[str]] = {}
    for one in report["checks"]:
        if not one["ok"]:
            found.setdefault(one["check"], []).append(f"{one['text']} -> {one['remedy']}")
    assert stat.S_IMODE(key.stat().st_mode) == 0o644, "it changes nothing"
    return found


@pytest.mark.parametrize(
    ("check", "text", "remedy"),
    [
        ("memory", "maxmemory-policy is allkeys-lru", "CONFIG SET maxmemory-policy noeviction"),
        ("memory", " of maxmemory ", "raise maxmemory"),
        ("secret", "key is open to other users", "chmod 600"),
        ("rights", "user poor may not use command get", "docs/acl.md"),
        ("keys", "1 key under our namespace not made by simpledist: simpledist:stranger", "delete them"),
        ("keys", "1 key without TTL, which would stay for ever: simpledist:held:nobody", "redis-cli DEL"),
        ("workers", "worker w-gone (gone on elsewhere, pid 7) is dead", "start it again"),
        ("queues", "1 job of old is queued, but no live worker offers it", "simpledist-worker MODULE:old"),
        ("versions", "work@4 was called", "have its callers ask for work (version=)"),
        ("code", "has other code of work than a client that called it", "restart whichever is older"),
    ],
)
def test_what_it_finds(findings: dict[str, list[str]], check: str, text: str, remedy: str) -> None:
    assert any(text in one and remedy in one for one in findings.get(check, [])), findings


def test_a_redis_that_is_away_is_a_finding() -> None:
    done = run("doctor", "--redis", "unix:///nowhere/redis.sock", "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (1, "")
    assert [(one["check"], one["ok"]) for one in report["checks"]] == [("redis", False), ("secret", True)]
    assert "start it" in report["checks"][0]["remedy"]


def test_a_redis_that_refuses_us_is_a_finding_and_exit_code_2(one_worker: Cluster) -> None:
    done = run("doctor", "--redis", one_worker.url.replace("unix://", "unix://nobody:wrong@"))
    assert done.returncode == 2
    assert "docs/acl.md" in done.stdout
    assert "wrong@" not in done.stdout
