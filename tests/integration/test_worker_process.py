"""The worker as a process: targets that are wrong, its start and stop, what it leaves and what it buries."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import psutil
import pytest

import simpledist
from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster
from simpledist.embedded import EmbeddedRedis
from tests.commands import complaint
from tests.integration.functions import farm
from tests.waiting import wait_until

MODULES = {
    "good": "def fine(): return 1\n",
    "slow_to_import": "import pathlib, time\npathlib.Path('importing').touch()\ntime.sleep(60)\n",
    "raises": "raise RuntimeError('two\\nlines')\n",
    "exits": "import os\nos._exit(3)\n",
    "leaves": "import sys\nsys.exit('bye')\n",
    "lacks": "import no_such_module\n",
    "syntax": "def f(:\n",
    "empty": "_private = 1\n",
    "lies": "__all__ = ['absent']\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
    return tmp_path


def worker_line(url: str, *words: str) -> list[str]:
    return [sys.executable, "-m", "simpledist.cli.worker", "--redis", url, *words]


def test_a_redis_that_refuses_a_worker_at_its_start_is_named_with_the_remedy(folder: Path) -> None:
    with EmbeddedRedis(port=0, password="right") as server:
        url = server.url.replace("right", "wrong")
        done = subprocess.run(
            worker_line(url, "good"), cwd=folder, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 2
    shown = server.url.replace("right", "***")
    assert f"simpledist-worker: Redis at {shown} refuses us: it wants another user or password " in done.stderr
    assert "correct them in the URL" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("nowhere", "there is no module nowhere"),
        ("nowhere:f", "there is no module nowhere"),
        ("good.py:fine", "did you mean good:fine?"),
        ("sub/good.py", "did you mean good, in the folder sub?"),
        ("good.fine", "did you mean good:fine?"),
        ("fine", "a function is named MODULE:FUNCTION"),
        ("good:absent", "module good has no absent"),
        ("good:__name__", "is not a function"),
        ("good:", "write module:function"),
        (":f", "write module:function"),
        ("x=good", "write module:function"),
        ("good:fine@", "write module:function"),
        ("good:fine@a b", "version 'a b'"),
        ("a b=good:fine", "function name 'a b'"),
        ("raises", "RuntimeError: two lines"),
        ("exits", "ended the process (exit status 3)"),
        ("leaves", "SystemExit: bye"),
        ("lacks", "No module named 'no_such_module'"),
        ("syntax", "SyntaxError"),
        ("empty", "no public function"),
        ("lies", "__all__ names absent"),
    ],
)
def test_a_wrong_target_is_one_line_and_exit_code_2_before_anything_is_registered(
    folder: Path, redis_server: EmbeddedRedis, target: str, expected: str
) -> None:
    done = subprocess.run(
        worker_line(redis_server.url, target), cwd=folder, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert expected in done.stderr
    link = Link(redis_server.url)
    link.connect()
    assert link.call("KEYS", "*") == []
    link.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_it_imports_ends_it_with_0(folder: Path, number: signal.Signals) -> None:
    line = worker_line("redis://127.0.0.1:1", "slow_to_import")
    with subprocess.Popen(line, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: (folder / "importing").exists(), 10, "the import has begun")
        below = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        _, errors = process.communicate(timeout=5)
        assert (process.returncode, errors) == (0, "")
    wait_until(lambda: not any(one.is_running() for one in below), 3, "its template is gone too")


def test_labels_need_not_be_unique(own_cluster: Cluster) -> None:
    for _ in range(2):
        own_cluster.start_worker(slots=1, arguments=["--name", "twin"])
    first, second = own_cluster.workers
    assert first.id != second.id
    with own_cluster.connect() as client:
        sleep = simpledist.worker_function(client, "sleep", farm.sleep)
        futures = [sleep.submit(0.3) for _ in range(2)]
        assert [future.result(20) for future in futures] == [0.3, 0.3]
        assert {future.info.worker for future in futures if future.info} == {first.id, second.id}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")
def test_as_the_first_process_of_a_container_it_buries_what_user_code_leaves(tmp_path: Path) -> None:
    """A subreaper inherits orphans as PID 1 does, and needs no container."""
    (tmp_path / "orphans.py").write_text(
        "import os\n"
        "def leave():\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        if os.fork() == 0: os._exit(0)\n"
        "        os._exit(0)\n"
        "    os.waitpid(pid, 0)\n"
        "    return os.getpid()\n"
    )
    with Cluster(folder=tmp_path) as cluster:
        program = (
            "import ctypes, os, sys\n"
            "ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\n"  # PR_SET_CHILD_SUBREAPER, which outlives exec
            "os.execv(sys.argv[1], sys.argv[1:])\n"
        )
        line = [sys.executable, "-c", program, *worker_line(cluster.url, "orphans", "--slots", "1")]
        with subprocess.Popen(line, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
            with cluster.connect() as client:
                leave = simpledist.worker_function(client, "leave", lambda: 0)
                wait_until(leave, 10, "it runs remotely")
                children = {leave() for _ in range(10)}
            wait_until(lambda: not zombies(process.pid), 6, "all orphans are buried")
            assert len(children) == 1, "the child itself was left alone"
            os.kill(next(iter(children)), signal.SIGKILL)
            with cluster.connect() as client:
                leave = simpledist.worker_function(client, "leave", lambda: 0)
                wait_until(lambda: leave() not in children, 5, "a killed child is still noticed and replaced")
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0


def zombies(pid: int) -> list[psutil.Process]:
    return [one for one in psutil.Process(pid).children() if one.status() == psutil.STATUS_ZOMBIE]


def test_a_drained_worker_leaves_no_row_no_offer_and_no_beat(own_cluster: Cluster) -> None:
    worker = own_cluster.start_worker()
    assert worker.stop(signal.SIGTERM) == 0
    keys = Keys()
    link = Link(own_cluster.url)
    link.connect()
    for name in (keys.workers, keys.heartbeats, keys.named("offers", "fib")):
        assert link.call("EXISTS", name) == 0, name
    link.close()


def test_with_log_format_json_every_line_is_one_object_and_names_the_worker(own_cluster: Cluster) -> None:
    worker = own_cluster.start_worker("talking", arguments=["--log-format", "json"])
    with own_cluster.connect() as client:
        say = simpledist.worker_function(client, "say", str)
        assert say("hello\n") == "said"
        future = say.submit('a "quoted" one')
        assert future.result() == "said"
    assert worker.stop() == 0
    lines = [json.loads(line) for line in worker.stderr_text().splitlines()]
    assert {one["worker"] for one in lines} == {worker.id}
    assert all(datetime.fromisoformat(one["time"]).utcoffset() is not None for one in lines)
    said = [one for one in lines if "output" in one]
    assert [one["output"] for one in said] == ["hello", "", 'a "quoted" one']
    assert said[2]["job"] == future.call.id
    assert any("is ready" in one["message"] for one in lines if one.get("level") == "info")


def test_a_certificate_that_is_not_there_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    for words in (worker_line("", "farm"), [sys.executable, "-m", "simpledist.cli.distributor", "--no-web"]):
        for option in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"):
            url = f"rediss://127.0.0.1:1/0?{option}={tmp_path}/absent.pem"
            line = [*words, "--redis", url]
            done = subprocess.run(line, check=False, capture_output=True, text=True, timeout=30)
            assert done.returncode == 2
            assert f"its option {option} names no file" in complaint(done)
