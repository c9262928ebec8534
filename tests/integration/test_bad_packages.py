"""Packages that cannot travel, cannot be kept or cannot be imported: each call has its own value all the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster
from tests import needs
from tests.links import open_link
from tests.waiting import wait_until

PROGRAM = """
import json, sys, importlib, simpledist
dist = simpledist.connect()
executor = dist.executor()

def show(function, *args):
    future = executor.submit(function, *args)
    try:
        value = future.result(60)
    except Exception as error:
        value = type(error).__name__
    print(json.dumps([value, future.info.where, future.info.why]), flush=True)

"""
SOUND = {"sound.py": "def work(x):\n    return x + 1\n"}
# It cannot be compressed: 3 MB on any wire.
BIG = {"big/__init__.py": "def work(x):\n    return x + 2\n", "big/noise.bin": os.urandom(3_000_000)}
Files = dict[str, Any]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """No worker yet."""
    (tmp_path / "empty").mkdir()
    with Cluster(workers=0, slots=1, folder=tmp_path / "empty") as cluster:
        yield cluster


@pytest.fixture
def link(cluster: Cluster) -> Iterator[Link]:
    with open_link(cluster.url) as one:
        yield one


@pytest.fixture
def run(cluster: Cluster, tmp_path: Path) -> Run:
    """Run a program beside these files of its own."""

    def run(program: str, files: Files, fault: str = "") -> subprocess.CompletedProcess[str]:
        place = tmp_path / "project"
        for name, content in {**files, "main.py": PROGRAM + textwrap.dedent(program)}.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return subprocess.run(
            [sys.executable, "main.py"],
            cwd=place,
            env={**os.environ, "SIMPLEDIST_REDIS_URL": cluster.url, "SIMPLEDIST_FAULT": fault},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def start(cluster: Cluster, tmp_path: Path, **environment: str) -> None:
    cluster.start_worker(arguments=["--any"], environment={"XDG_CACHE_HOME": str(tmp_path / "cache"), **environment})


def shown(done: subprocess.CompletedProcess[str]) -> list[Any]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_one_over_its_limits_stays_and_the_log_says_why(cluster: Cluster, run: Run, tmp_path: Path) -> None:
    start(cluster, tmp_path)
    long = "# " + 10_000_000 * "x" + "\ndef work(x):\n    return x + 3\n"
    done = run("import long, sound\nshow(long.work, 1)\nshow(sound.work, 1)", {**SOUND, "long.py": long})
    assert shown(done) == [[4, "local", "unserialisable"], [2, "remote", None]]
    assert "long.py has 10 MB; files of 10 MB at most travel" in done.stderr


def test_a_syntax_error_in_it_is_what_its_caller_would_have(cluster: Cluster, run: Run, tmp_path: Path) -> None:
    start(cluster, tmp_path)
    files = {**SOUND, "uses.py": "def work(x):\n    import broken\n    return broken.y\n", "broken.py": "def (:\n"}
    done = run("import uses, sound\nshow(uses.work, 1)\nshow(sound.work, 1)", files)
    assert shown(done) == [["SyntaxError", "local", "unserialisable"], [2, "remote", None]]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with room for 256 KB."""
    if os.geteuid():
        needs.missing("only root can mount a small disk: run this test as root")
    (tmp_path / "small").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(tmp_path / "small")], check=True)
    try:
        yield tmp_path / "small"
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path / "small")], check=True)


@pytest.mark.parametrize("files", [BIG, {**BIG, "big/noise.bin": bytes(3_000_000)}], ids=["packed", "unpacked"])
def test_one_for_which_the_workers_disk_has_no_room_runs_at_its_caller(
    files: Files, cluster: Cluster, run: Run, tmp_path: Path, small_disk: Path
) -> None:
    start(cluster, tmp_path, XDG_CACHE_HOME=str(small_disk))
    done = run("import big, sound\nfor _ in range(3):\n    show(big.work, 1)\nshow(sound.work, 1)", {**SOUND, **files})
    assert shown(done) == [[3, "local", "undecodable"]] * 3 + [[2, "remote", None]]


def test_a_worker_that_is_killed_while_it_unpacks_leaves_nothing_that_counts(
    cluster: Cluster, run: Run, tmp_path: Path
) -> None:
    start(cluster, tmp_path, SIMPLEDIST_FAULT="worker.unpacks:kill@2")
    (first,) = shown(run("import big\nshow(big.work, 1)", BIG))
    assert first[:2] == [3, "local"]
    cluster.workers[0].stop()
    assert list((tmp_path / "cache").rglob("*.zip")), "it was there"
    start(cluster, tmp_path)
    assert shown(run("import big\nshow(big.work, 1)", BIG)) == [[3, "remote", None]]


def test_a_client_that_is_killed_while_it_puts_one_leaves_nothing_that_counts(
    cluster: Cluster, run: Run, link: Link, tmp_path: Path
) -> None:
    start(cluster, tmp_path)
    assert run("import big\nshow(big.work, 1)", BIG, fault="upload.slice:kill@3").returncode == -9
    assert not link.call("KEYS", Keys().named("archive", "*"))
    assert shown(run("import big\nshow(big.work, 1)", BIG)) == [[3, "remote", None]]
    wait_until(lambda: not [key for key in link.call("KEYS", "*") if unbounded(link, key)], 20, "all of it has a TTL")


def unbounded(link: Link, key: bytes) -> bool:
    return b"archive" in key and link.call("PTTL", key) < 0


def test_one_for_which_redis_has_no_room_runs_at_its_caller(
    cluster: Cluster, run: Run, link: Link, tmp_path: Path
) -> None:
    start(cluster, tmp_path)
    used = next(line for line in link.call("INFO", "memory").split() if line.startswith(b"used_memory:"))
    link.call("CONFIG", "SET", "maxmemory", int(used.partition(b":")[2]) + 1_500_000)
    (full,) = shown(run("import big\nshow(big.work, 1)", BIG))
    assert full[:2] == [3, "local"]
    link.call("CONFIG", "SET", "maxmemory", 0)
    assert shown(run("import big\nshow(big.work, 1)", BIG)) == [[3, "remote", None]]


SLOWLY = """
    import time
    from simpledist.code import travelling_modules
    read, seconds = travelling_modules.Program.archive_of, iter([{seconds}])

    def slowly(program, body, *, reads):
        with program._lock:
            time.sleep(next(seconds, 0))
            return read(program, body, reads=reads)

    travelling_modules.Program.archive_of = slowly
    import sound
    while not dist.engine.offers.functions():  # its worker still starts
        time.sleep(0.1)
    work = simpledist.worker_function(dist, "work", sound.work, timeout={timeout})
    futures = [work.submit(number) for number in range(20)]
    values = [future.result(60) for future in futures]
    until = time.monotonic() + 20
    while dist.engine.in_flight() and time.monotonic() < until:
        time.sleep(0.01)
    shown = [values == list(range(1, 21)), sorted({{(one.info.where, one.info.why) for one in futures}})]
    print(json.dumps([*shown, dist.engine.in_flight()]))
"""


@pytest.mark.parametrize(("seconds", "timeout", "where"), [(8, None, ["remote", None]), (2, 1, ["local", "timeout"])])
def test_to_read_the_modules_may_take_long(
    seconds: int, timeout: int | None, where: list[str | None], run: Run, cluster: Cluster
) -> None:
    """Redis is not asked after calls that wait for it: it has never heard of them."""
    cluster.start_worker(arguments=["--any"])
    done = run(SLOWLY.format(seconds=seconds, timeout=timeout), SOUND)
    assert json.loads(done.stdout) == [True, [where], 0], done.stderr
