"""A server that answers as no Redis does is a Redis that is away, or refuses us: to every role and command."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import psutil
import pytest

import simpledist
from simpledist.broker import Link
from simpledist.cluster import Cluster
from simpledist.errors import RedisDown, RedisRefused
from tests import commands
from tests.faults.hostile_server import BROKEN, ENDLESS, STUCK, WRONG, HostileServer
from tests.links import open_link
from tests.security.functions.counted import count

ROOT = Path(__file__).parents[2]
KINDS = {"wrong": WRONG, "broken": BROKEN, "stuck": STUCK}
LOOKING = (
    ("status",),
    ("workers",),
    ("jobs",),
    ("errors",),
    ("doctor",),
    ("cancel", "c1-1"),
    ("call", "fib", "20", "--timeout", "5"),
)
GROWTH_BYTES = 200_000_000


def doubled(n: int) -> int:
    return 2 * n


def memory_bytes() -> int:
    return psutil.Process().memory_info().rss


@pytest.mark.parametrize("kind", KINDS)
def test_every_plain_command_raises_ours_or_returns_what_its_type_says(kind: str) -> None:
    commands = (("TIME",), ("HGETALL", "k"), ("HSCAN", "k", 0), ("GET", "k"), ("EXISTS", "k"), ("LRANGE", "k", 0, 1))
    for reply in KINDS[kind]:
        with HostileServer([reply]) as server:
            link = Link(server.url, name="tests", most_bytes=1_000_000)
            for command in commands:
                try:
                    link.connect()
                    answer = link.call(*command, timeout=0.3)
                except (RedisDown, RedisRefused):
                    continue
                assert answer is None or isinstance(answer, (int, bytes, list)), (reply, command, answer)
                if isinstance(answer, list):
                    elements = cast("list[object]", answer)
                    assert all(isinstance(one, (bytes, list)) for one in elements), (reply, command, elements)
            link.close()


@pytest.mark.parametrize("introduces", [True, False], ids=["after its introduction", "at once"])
@pytest.mark.parametrize("kind", KINDS)
def test_calls_of_a_client_run_at_it(kind: str, introduces: bool) -> None:
    def calls(replies: Sequence[bytes]) -> None:
        with HostileServer(replies, introduces=introduces) as server:
            client = simpledist.connect(server.url, insecure=True)
            function = simpledist.worker_function(client, "doubled", doubled, timeout=4)
            began = time.monotonic()
            assert [function(1), function.submit(2).result(20), *function.map([3, 4])] == [2, 4, 6, 8]
            with client.executor() as executor:
                assert executor.submit(doubled, 5).result(20) == 10
            client.close()
            assert time.monotonic() - began < 25, replies

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(calls, [[reply] for reply in KINDS[kind]])) == [None] * len(KINDS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_and_a_distributor_wait_or_say_in_one_line_what_is_wrong(kind: str, tmp_path: Path) -> None:
    with HostileServer(KINDS[kind]) as server:
        port = commands.free_port()
        roles = (
            ("-m", commands.WORKER, "tests.security.functions.counted", "--slots", "1"),
            ("-m", commands.DISTRIBUTOR, "--port", str(port)),
        )
        outputs = [tmp_path / "worker", tmp_path / "distributor"]
        started: list[subprocess.Popen[bytes]] = []
        for role, output in zip(roles, outputs, strict=True):
            with output.open("wb") as file:
                arguments = [sys.executable, *role, "--redis", server.url, "--insecure"]
                started.append(subprocess.Popen(arguments, cwd=ROOT, stdout=file, stderr=file))
        most = 0
        try:
            began = time.monotonic()
            while time.monotonic() - began < 6 and any(one.poll() is None for one in started):
                sizes = [psutil.Process(one.pid).memory_info().rss for one in started if one.poll() is None]
                most = max(most, *sizes, 0) if sizes else most
                _ask(port)
                threading.Event().wait(0.05)
        finally:
            for one in started:
                one.terminate()
            codes = [one.wait(20) for one in started]
        assert server.answered > 2
    for code, output in zip(codes, outputs, strict=True):
        text = output.read_text("utf-8", "replace")
        assert code in (0, 2), text
        assert "Traceback" not in text, text
        assert "\x1b" not in text
        assert len(text.splitlines()) < 15, text
    assert most < GROWTH_BYTES


def _ask(port: int) -> None:
    for path in ("/", "/metrics", "/api/snapshot.json", "/workers"):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
                assert answer.status == 200
        except urllib.error.HTTPError as error:
            code = error.code
            assert code == 503, path
        except OSError:
            return  # it does not listen yet, or no more


@pytest.mark.parametrize("kind", KINDS)
def test_commands_say_in_one_line_what_is_wrong(kind: str) -> None:
    def run(words: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        return commands.run(*words, "--redis", server.url, "--insecure", seconds=60)

    with HostileServer(KINDS[kind]) as server, ThreadPoolExecutor(2) as pool:
        done = list(pool.map(run, [*LOOKING, *LOOKING]))
    for one in done:
        assert "Traceback" not in one.stderr, one.stderr
        assert "\x1b" not in one.stdout + one.stderr, (one.args, one.stdout, one.stderr)
        assert one.returncode in (0, 1, 2), one


def test_an_answer_without_an_end_fills_no_memory() -> None:
    before = memory_bytes()
    with HostileServer([ENDLESS]) as server:
        link = Link(server.url, name="tests", most_bytes=16_000_000)
        link.connect()
        with pytest.raises(RedisDown, match="more than 16 MB"):
            link.call("GET", "k")
    assert memory_bytes() - before < 80_000_000


def test_no_element_of_hundreds_of_megabytes_is_read(tmp_path: Path) -> None:
    with Cluster("tests.security.functions.counted", slots=1, folder=ROOT) as cluster, cluster.connect() as client:
        function = simpledist.worker_function(client, "count", count)
        assert function(str(tmp_path / "runs")) == 1
        worker = cluster.workers[0]
        with open_link(cluster.url) as thief:
            for name in (f"simpledist:reply:{client.id}", "simpledist:queue:count", "simpledist:rollcall"):
                thief.call("RPUSH", name, b"x" * 200_000_000, timeout=20)
                thief.call("PEXPIRE", name, 60_000)
                assert function(str(tmp_path / "runs")) > 1
        assert [function(str(tmp_path / "runs")) for _ in range(3)] == [5, 6, 7]
        assert worker.running
        assert peak_bytes(worker.pid) < GROWTH_BYTES


def peak_bytes(pid: int) -> int:
    """The most memory that a process ever had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
