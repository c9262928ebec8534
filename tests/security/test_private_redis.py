"""`simpledist redis` listens where every user of the machine comes: nothing that they ask of it writes a file."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

import simpledist
from simpledist.cluster import Cluster
from simpledist.embedded import HOST, PING, EmbeddedRedis, ask, bundled_servers
from simpledist.errors import RedisRefused
from simpledist.wire.key_file import new_secret
from tests import servers
from tests.commands import MAIN, complaint, free_port, run
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


# --- for other machines ----------------------------------------------------------------------------------------------


@contextmanager
def listening(folder: Path, port: int) -> Generator[tuple[subprocess.Popen[str], list[str]]]:
    """Run it for all addresses; give the process, and the lines that it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SIMPLEDIST_")}
    with subprocess.Popen(
        [sys.executable, "-m", MAIN, "redis", "--listen", "0.0.0.0", "--port", str(port)],
        stdout=subprocess.PIPE,
        text=True,
        env={**environment, "XDG_CONFIG_HOME": str(folder)},
    ) as process:
        try:
            assert process.stdout is not None
            lines: list[str] = []
            while not lines or "not encrypted" not in lines[-1]:
                line = process.stdout.readline()
                assert line, lines
                lines.append(line.strip())
            yield process, lines
        finally:
            process.terminate()
            assert process.wait(20) == 0


def urls(lines: list[str]) -> list[str]:
    """What the printed `export` lines come to in a shell."""
    exports = [line for line in lines if line.startswith("export SIMPLEDIST_REDIS_URL=")]
    return [
        subprocess.run(
            ["sh", "-c", f'{line}; echo "$SIMPLEDIST_REDIS_URL"'], check=True, capture_output=True, text=True
        ).stdout.strip()
        for line in exports
    ]


def test_with_listen_it_demands_a_password_and_says_what_to_type_elsewhere(tmp_path: Path) -> None:
    folder, port = tmp_path / "simpledist", free_port()
    folder.mkdir(0o700)
    key = Path(os.environ["XDG_CONFIG_HOME"]) / "simpledist" / "key"
    (folder / "key").touch(0o600)
    (folder / "key").write_text(key.read_text())
    with listening(tmp_path, port) as (process, lines):
        for address in (HOST, "127.0.0.2"):  # the second one stands for all others
            assert ask((address, port), PING).startswith(b"-NOAUTH")
        here, there = urls(lines)
        password = (folder / "redis-password").read_text().strip()
        assert stat.S_IMODE((folder / "redis-password").stat().st_mode) == 0o600
        assert here == f"redis://:{password}@{HOST}:{port}/0"
        assert there.startswith(f"redis://:{password}@")
        assert there.endswith(f":{port}/0")
        assert f"scp {folder / 'key'} HOST:simpledist.key" in lines
        below = [*psutil.Process(process.pid).children(recursive=True)]
        assert not [one for one in below if password in " ".join([*one.cmdline(), *one.environ().values()])]
        with open_link(here) as link:
            assert link.call("PING") == b"PONG"
            for attack in ATTACKS:
                with pytest.raises(RedisRefused, match="unknown command"):
                    link.call(*attack)
    with listening(tmp_path, port) as (_, lines):
        assert not [line for line in lines if password in line], "it is shown once"
        assert urls(lines)[0] == here


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("nonsense", "is no IP address"),
        ("", "is no IP address"),
        ("localhost", "is no IP address"),
        ("-1", "is no IP address"),
        ("192.0.2.1", "cannot be had"),
        ("::1", "listens on 127.0.0.1 only"),
    ],
)
def test_an_address_that_it_cannot_listen_on_is_one_line(address: str, words: str) -> None:
    done = run("redis", "--listen", address, "--port", str(free_port()))
    assert words in complaint(done)
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        ("a" * 32, 0o644, "others can read it"),
        ("short", 0o600, "letters and digits"),
        ("", 0o600, "letters and digits"),
    ],
    ids=["readable", "short", "empty"],
)
def test_it_listens_nowhere_without_a_safe_password(
    tmp_path: Path, text: str, mode: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "simpledist"
    folder.mkdir(0o700)
    for name, content in (("key", new_secret()), ("redis-password", text)):
        (folder / name).touch(0o600)
        (folder / name).write_text(content)
    (folder / "redis-password").chmod(mode)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    port = free_port()
    done = run("redis", "--listen", "0.0.0.0", "--port", str(port))
    assert words in complaint(done)
    assert done.returncode == 2
    assert ask((HOST, port), PING) == b""
