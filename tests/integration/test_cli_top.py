"""`simpledist top` in a terminal: what it shows, its keys, and the terminal afterwards.

The terminal is a real pseudo-terminal, read by a small emulator (pyte).
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from typing import Any, cast

import pyte
import pytest

import simpledist
from simpledist.cluster import Cluster
from tests.commands import MAIN, complaint, run
from tests.integration.functions import farm
from tests.waiting import wait_until


class Screen:
    """`top` in a terminal of its own."""

    def __init__(self, url: str, width: int, height: int) -> None:
        self.screen: Any = pyte.Screen(width, height)
        self._stream: Any = pyte.ByteStream(self.screen)
        self.ours, self.theirs = pty.openpty()
        self.resize(width, height)
        self.before = termios.tcgetattr(self.theirs)
        self.output = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", MAIN, "top", "--redis", url, "--seconds", "0.2"],
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            env={**os.environ, "TERM": "xterm-256color"},
            start_new_session=True,
        )

    def resize(self, width: int, height: int) -> None:
        self.screen.resize(height, width)
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def read(self) -> None:
        while select.select([self.ours], [], [], 0)[0]:
            data = os.read(self.ours, 65536)
            self.output += data
            self._stream.feed(data)

    @property
    def lines(self) -> list[str]:
        self.read()
        return [line.rstrip() for line in cast("list[str]", self.screen.display)]

    def press(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def shows(self, text: str, seconds: float = 10.0) -> None:
        try:
            wait_until(lambda: any(text in line for line in self.lines), seconds, f"{text!r} on the screen")
        except AssertionError as error:
            raise AssertionError(f"{error}; it shows:\n" + "\n".join(self.lines)) from None

    def hides(self, text: str) -> None:
        wait_until(lambda: not any(text in line for line in self.lines), 5, f"no {text!r} on the screen")

    def left(self, code: int = 0) -> None:
        """It has ended so, and the terminal is as it was."""
        wait_until(lambda: self.read() or self.process.poll() is not None, 5, "its end")
        self.read()
        assert self.process.returncode == code, self.output[-500:]
        assert termios.tcgetattr(self.theirs) == self.before
        self.is_clean()

    def is_clean(self) -> None:
        assert self.output.rfind(b"\x1b[?1049l") > self.output.rfind(b"\x1b[?1049h"), "the screen is given back"
        assert self.output.rfind(b"\x1b[?25h") > self.output.rfind(b"\x1b[?25l"), "the cursor is shown"

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)


@pytest.fixture
def small(cluster: Cluster) -> Iterator[Screen]:
    screen = Screen(cluster.url, 80, 24)
    yield screen
    screen.close()


def test_at_80_by_24_it_lives_sorts_filters_pauses_and_quits(
    small: Screen, cluster: Cluster, client: simpledist.Client
) -> None:
    small.shows("simpledist top")
    small.shows("··")
    sleep = simpledist.worker_function(client, "sleep", farm.sleep)
    jobs = [sleep.submit(60.0) for _ in range(5)]
    small.shows("2/2 ss")
    small.shows("queued 3 ")
    assert small.lines[-1].startswith("[functions by queued]")
    row = next(line for line in small.lines if line.startswith("sleep"))
    assert row.split()[1] == "3"
    small.press("s")
    small.shows("[functions by oldest]")
    small.press("/fib\r")
    small.hides("sleep  ")
    small.shows("[functions by oldest, filter fib]")
    small.press("\x1b")
    small.shows("sleep  ")
    small.press("\t")
    small.shows("[workers by worker]")
    small.press(" ")
    small.shows("paused")
    assert all(one.cancel() for one in jobs)
    small.press(" ")
    small.shows("queued 0 ")
    small.shows("0/2 ··")
    small.press("q")
    small.left()


def test_it_follows_the_size_of_the_terminal(small: Screen) -> None:
    small.shows("[functions by queued]")
    assert not any("raised/s" in line for line in small.lines)
    small.resize(200, 60)
    os.killpg(small.process.pid, signal.SIGWINCH)
    small.shows("raised/s")
    wait_until(lambda: small.lines[59].startswith("[functions"), 5, "the last line at the bottom")
    small.press("q")
    small.left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_clean(small: Screen, number: signal.Signals) -> None:
    small.shows("[functions by queued]")
    small.process.send_signal(number)
    small.left()


def test_ctrl_z_gives_the_terminal_back_for_a_while(small: Screen) -> None:
    small.shows("[functions by queued]")
    small.process.send_signal(signal.SIGTSTP)
    pid = small.process.pid
    wait_until(lambda: os.waitpid(pid, os.WNOHANG | os.WUNTRACED)[0] == pid, 5, "its stop")
    small.read()
    assert termios.tcgetattr(small.theirs) == small.before
    small.is_clean()
    begins = small.output.count(b"\x1b[?1049h")
    small.process.send_signal(signal.SIGCONT)
    wait_until(lambda: small.read() or small.output.count(b"\x1b[?1049h") > begins, 5, "its return")
    small.press("q")
    small.left()


def test_it_outlives_a_redis_that_goes_and_comes(own_cluster: Cluster) -> None:
    own_cluster.start_worker()
    screen = Screen(own_cluster.url, 80, 24)
    try:
        screen.shows("0/2")
        own_cluster.redis.stop()
        screen.shows("Redis is away")
        own_cluster.redis.start()
        screen.hides("Redis is away")
        screen.press("q")
        screen.left()
    finally:
        screen.close()


def test_without_a_terminal_it_says_what_to_use_instead(cluster: Cluster) -> None:
    done = run("top", "--redis", cluster.url)
    assert "simpledist status --json" in complaint(done)
    assert done.returncode == 2
