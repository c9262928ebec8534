"""The command line of `simpledist ssh`, without a server: usage, hosts that are not there, the table on a terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pyte
import pytest

from simpledist.embedded import HOST, EmbeddedRedis
from tests import needs
from tests.commands import MAIN, complaint, free_port, run
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def client_of_ssh() -> None:
    needs.program("ssh")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["alder"], "what the workers offer"),
        (["alder", "--"], "what the workers offer"),
        (["alder", "--", "--slots", "2"], "what the workers offer"),
        (["--", "fns"], "name a host"),
        (["alder", "-oProxyCommand=x", "--", "fns"], "-o"),
        (["al der", "--", "fns"], "is no host"),
        (["--hosts", "/no/such/file", "--", "fns"], "/no/such/file"),
        (["alder", "--python", "a;b", "--", "fns"], "--python"),
        (["alder", "--", "fns", "--slots", "0"], "--slots"),
        (["alder", "--", "fns", "--redis", "redis://x"], "--redis goes before the --"),
        (["alder", "--", "fns", "--insecure"], "--insecure goes before the --"),
        (["alder", "--redis", "redis://example.com", "--", "fns"], "simpledist secret FILE"),
        (["alder", "--redis", "rediss://localhost", "--", "fns"], "a tunnel carries redis:// and unix:// only"),
    ],
    ids=str,
)
def test_wrong_usage_is_one_line_and_exit_code_2(words: list[str], expected: str) -> None:
    done = run("ssh", *words)
    assert expected in complaint(done)
    assert done.returncode == 2


def test_without_ssh_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    done = run("ssh", "alder", "--", "fns")
    assert "there is no ssh on the path" in complaint(done)
    assert done.returncode == 2


@pytest.fixture
def redis() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as server:
        yield server


def test_a_host_that_is_away_is_tried_again_until_ctrl_c(redis: EmbeddedRedis, tmp_path: Path) -> None:
    host = f"{HOST}:{free_port()}"
    with (tmp_path / "out").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", MAIN, "ssh", host, "--redis", redis.url, "--", "fns"],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        lines = (tmp_path / "out").read_text
        wait_until(lambda: lines().count("Connection refused; tries again in") >= 2, 30, "two tries")
        assert lines().startswith(f"[{host}] ")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 1
    finally:
        process.kill()
        process.wait()


def test_on_a_terminal_a_table_shows_what_each_host_is_at(redis: EmbeddedRedis) -> None:
    hosts = [f"{HOST}:{free_port()}", f"{HOST}:{free_port()}"]
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", MAIN, "ssh", *hosts, "--redis", redis.url, "--", "fns"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color"},
        start_new_session=True,
    )
    os.close(theirs)
    screen = pyte.Screen(100, 24)
    stream = pyte.ByteStream(screen)
    os.set_blocking(ours, False)

    def shown() -> list[list[str]]:
        with contextlib.suppress(OSError):  # nothing new, or the end
            stream.feed(os.read(ours, 65536))
        return [line.split() for line in screen.display]

    def table() -> set[tuple[str, ...]]:
        return {tuple(words[:3]) for words in shown() if words}

    try:
        wanted = {(host, "again", "in") for host in hosts}
        wait_until(lambda: wanted <= table(), 30, "a row for each host")
        assert ("host", "state", "last") in table()
        process.send_signal(signal.SIGINT)
        wait_until(lambda: shown() and process.poll() is not None, 10, "its end")
        assert process.returncode == 1
    finally:
        process.kill()
        process.wait()
        os.close(ours)
