"""The launcher of `simpledist ssh`, by a shell of this machine in place of ssh: how it ends, and what it leaves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

import simpledist
from simpledist.embedded import EmbeddedRedis
from simpledist.ssh import archive, messages, tunnel
from simpledist.ssh.launcher import FRESH_SECONDS
from simpledist.ssh.session import Plan
from tests.waiting import wait_until

SERVED_SECONDS = 30.0


@pytest.fixture
def home() -> Iterator[Path]:
    """A home with a short path, as a socket needs it."""
    folder = Path("/tmp") / f"sd-home-{os.getpid()}-{time.monotonic_ns() % 10**6}"
    folder.mkdir(0o700)
    yield folder
    shutil.rmtree(folder)


class Far:
    """One launcher, and what it says."""

    def __init__(self, home: Path, plan: Plan) -> None:
        self.plan = plan
        self._process = subprocess.Popen(
            ["sh", "-c", plan.command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"HOME": str(home), "TMPDIR": str(home), "PATH": os.environ["PATH"]},
            cwd=home,
        )
        self.send(plan.launcher)

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def order(self, **order: object) -> None:
        self.send(json.dumps(order).encode() + b"\n")

    def event(self) -> messages.Event | None:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode().rstrip("\n")
        if not line:
            assert self._process.stderr is not None
            pytest.fail(self._process.stderr.read().decode())
        return messages.event_of(line)

    def here(self) -> messages.Here:
        event = self.event()
        assert isinstance(event, messages.Here)
        return event

    def unpack(self, data: bytes) -> None:
        self.order(do="unpack", bytes=len(data))
        self.send(data)

    def close(self) -> tuple[str, int]:
        """End its stdin, as a connection that is gone does; return what it wrote to stderr, and its exit code."""
        _, errors = self._process.communicate(timeout=30)
        return errors.decode(), self._process.returncode

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def redis() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as server:
        yield server


def plan_of(redis: EmbeddedRedis, folder: Path) -> Plan:
    key = Path(os.environ["XDG_CONFIG_HOME"]) / "simpledist" / "key"
    return Plan(
        tunnel=tunnel.reached_by(redis.url, folder),
        arguments=("where=os:getcwd", "--slots", "1"),
        key=key.read_text(),
        archive=archive.made(),
        python=sys.executable,
    )


@contextmanager
def served(home: Path, redis: EmbeddedRedis, folder: Path) -> Generator[tuple[Far, Path, int]]:
    """A launcher whose worker runs; its socket is a link to that of Redis, in place of a tunnel."""
    plan = plan_of(redis, folder)
    far = Far(home, plan)
    try:
        here = far.here()
        if here.wants_files:
            assert plan.archive is not None
            far.unpack(plan.archive.data)
            assert far.event() == messages.Unpacked()
        socket = Path(here.socket)
        socket.symlink_to(plan.tunnel.target)
        far.send(plan.order(here.socket))
        started = far.event()
        assert isinstance(started, messages.Started)
        with simpledist.connect(redis.url) as client:
            where = simpledist.worker_function(client, "where", os.getcwd)
            wait_until(lambda: where() == str(home), SERVED_SECONDS, "a call is served")
        yield far, socket, started.pid
    finally:
        far.kill()


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_drain_ends_the_worker_with_0_and_removes_the_socket(
    home: Path, redis: EmbeddedRedis, tmp_path: Path
) -> None:
    with served(home, redis, tmp_path) as (far, socket, pid):
        far.order(do="drain")
        assert far.event() == messages.Ended(0)
        assert far.close()[1] == 0
        assert gone(pid)
        assert not socket.parent.exists()
        assert {path.name for path in home.iterdir()} == {".cache"}


def test_the_end_of_the_connection_ends_the_worker(home: Path, redis: EmbeddedRedis, tmp_path: Path) -> None:
    with served(home, redis, tmp_path) as (far, socket, pid):
        began = time.monotonic()
        far.close()
        assert time.monotonic() - began < 10
        assert gone(pid)
        assert not socket.parent.exists()


def test_a_killed_launcher_leaves_no_worker_and_the_next_one_removes_its_folder(
    home: Path, redis: EmbeddedRedis, tmp_path: Path
) -> None:
    with served(home, redis, tmp_path) as (far, socket, pid):
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        far.kill()
        wait_until(lambda: all(gone(one.pid) for one in processes), 20, "the end of the worker")
    left = socket.parent
    assert left.exists()
    (tmp_path / "again").mkdir()
    for age, stays in ((0, True), (FRESH_SECONDS + 10, False)):
        os.utime(left, (time.time() - age, time.time() - age))
        shutil.rmtree(tmp_path / "again")
        (tmp_path / "again").mkdir()
        far = Far(home, plan_of(redis, tmp_path / "again"))
        assert not far.here().wants_files, "they are there already"
        assert left.exists() is stays
        far.close()


def test_files_that_came_through_changed_are_not_unpacked(home: Path, redis: EmbeddedRedis, tmp_path: Path) -> None:
    plan = plan_of(redis, tmp_path)
    assert plan.archive is not None
    far = Far(home, plan)
    assert far.here().wants_files
    far.unpack(plan.archive.data[:-1] + b"\1")
    errors, code = far.close()
    assert (errors, code) == ("the files came through changed: nothing was unpacked\n", 1)
    assert {path.name for path in (home / ".cache" / "simpledist-ssh").iterdir()} == {"sockets"}


def test_a_cache_folder_that_others_can_enter_is_not_used(home: Path, redis: EmbeddedRedis, tmp_path: Path) -> None:
    open_folder = home / ".cache" / "simpledist-ssh"
    open_folder.mkdir(parents=True)
    open_folder.chmod(0o755)
    far = Far(home, plan_of(redis, tmp_path))
    socket = Path(far.here().socket)
    assert not socket.is_relative_to(open_folder)
    assert socket.parent.stat().st_mode & 0o077 == 0
    far.close()
    assert list(open_folder.iterdir()) == []
