"""`simpledist redis` listens where every user of the machine comes: nothing that they ask of it writes a file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import simpledist
from simpledist.cluster import Cluster
from simpledist.embedded import HOST, PING, EmbeddedRedis, ask, bundled_servers
from simpledist.errors import RedisRefused
from tests import servers
from tests.commands import MAIN, free_port, run
from tests.links import open_link
from tests.security.functions.counted import count
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
ATTACKS = (
    ("CONFIG", "SET", "dir", "/tmp"),
    ("CONFIG", "GET", "*"),
    ("DEBUG", "SLEEP", "0"),
    ("MODULE", "LOAD", "/tmp/module.so"),
    ("SAVE",),
    ("BGSAVE",),
    ("BGREWRITEAOF",),
    ("REPLICAOF", HOST, "1"),
    ("SLAVEOF", HOST, "1"),
    ("MIGRATE", HOST, "1", "key", "0", "10"),
)


@pytest.mark.parametrize("version", [servers.OLDEST, servers.NEWER])
def test_the_private_redis_takes_no_command_that_writes_files_and_serves_a_cluster(
    version: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SIMPLEDIST_REDIS_SERVER", servers.server(version))
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", MAIN, "redis", "--port", str(port)], stdout=subprocess.DEVNULL, cwd=tmp_path
    )
    try:
        wait_until(lambda: ask((HOST, port), PING) == b"+PONG\r\n", 20, "it answers")
        url = f"redis://{HOST}:{port}/0"
        with open_link(url) as link:
            for attack in ATTACKS:
                with pytest.raises(RedisRefused, match="unknown command"):
                    link.call(*attack)
        with Cluster("tests.security.functions.counted", slots=1, folder=ROOT, redis=url) as cluster:
            future = simpledist.worker_function(cluster.connect(), "count", count).submit(str(tmp_path / "runs"))
            assert future.result(20) == 1
            assert future.info is not None
            assert future.info.where == "remote"
    finally:
        process.terminate()
        assert process.wait(20) == 0


def test_the_bundled_server_outlives_the_pattern_of_a_scan_that_kills_old_ones() -> None:
    with EmbeddedRedis(bundled_servers()[0]) as server:
        with open_link(server.url) as link:
            link.call("SET", "a" * 200_000, "x")
            assert link.call("SCAN", "0", "MATCH", "*?" * 200_000, timeout=20) in ([b"0", []], [b"0", [b"a" * 200_000]])
        assert server.running


def test_the_doctor_names_what_an_old_server_can_be_attacked_by() -> None:
    with EmbeddedRedis(servers.server(servers.OLDEST)) as server:
        done = run("doctor", "--redis", server.url)
    assert done.returncode == 1
    assert "CVE-2024-31228" in done.stdout
    assert "CVE-2025-49844" in done.stdout
