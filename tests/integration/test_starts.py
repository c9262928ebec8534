"""Children that cannot start: their worker lives, backs off, says so, and no one waits for it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

import simpledist
from simpledist import policy
from simpledist.cluster import Cluster, RoleProcess
from simpledist.embedded import EmbeddedRedis
from simpledist.worker.children import Children
from simpledist.worker.printer import Printer
from tests.commands import run
from tests.waiting import wait_until

THREAD = "import threading, time; threading.Thread(target=time.sleep, args=(999,), daemon=True).start()\n"
FUNCTION = "\ndef sq(x): return x * x\n"
# What the first process that imports the target takes, and every other one lacks. With a thread: children are spawned.
TAKES = {
    "port": "import socket, sys\n"
    "from pathlib import Path\n"
    "s = socket.socket()\n"
    "number = Path('port')\n"
    "s.bind(('127.0.0.1', int(number.read_text()) if number.exists() else 0)); s.listen()\n"
    "number.write_text(str(s.getsockname()[1]))\n",
    "lock": "import fcntl; f = open('lock', 'w'); fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
    "dies": "import os, signal\n"
    "from pathlib import Path\n"
    "if Path('first').exists(): os.kill(os.getpid(), signal.SIGKILL)\n"
    "Path('first').touch()\n",
}
SAYS = {"port": "Address already in use", "lock": "BlockingIOError", "dies": "killed by SIGKILL before it began"}
# A child that is there, and gone at once.
FLEETING = """
import os, threading, time
def leave():
    time.sleep(0.2)
    os._exit(4)
def born():
    if os.path.exists("leave"): threading.Thread(target=leave, daemon=True).start()
os.register_at_fork(after_in_child=born)
"""
# A template whose user may have no further process, until SIGUSR1 lifts that. Root has no such limit.
NO_PROCESS = """
import os, resource, signal
if os.getuid() == 0: os.setuid(65534)
hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
resource.setrlimit(resource.RLIMIT_NPROC, (0, hard))
signal.signal(signal.SIGUSR1, lambda *_: resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard)))
"""
# The same, where the limit comes by and by.
LATER_NO_PROCESS = """
import os, resource, signal
if os.getuid() == 0: os.setuid(65534)
hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
signal.signal(signal.SIGUSR1, lambda *_: resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard)))
signal.signal(signal.SIGUSR2, lambda *_: resource.setrlimit(resource.RLIMIT_NPROC, (0, hard)))
"""


def here(*_: Any) -> Any:
    return "here"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster("target", workers=0, slots=1, folder=tmp_path) as one:
        yield one


def started(cluster: Cluster, folder: Path, text: str, **options: Any) -> RoleProcess:
    (folder / "target.py").write_text(text + FUNCTION)
    return cluster.start_worker(**options)


def offered(cluster: Cluster) -> Any:
    return simpledist.worker_function(cluster.connect(), "sq", here)


def runs_remotely(sq: Any, seconds: float = 20.0) -> None:
    wait_until(lambda: sq.submit(3).result(20) == 9, seconds, "it runs remotely")


def template_of(worker: RoleProcess) -> psutil.Process:
    return psutil.Process(worker.pid).children()[0]


@pytest.mark.parametrize("what", list(TAKES))
def test_a_worker_without_a_child_offers_nothing_says_why_and_ends(cluster: Cluster, tmp_path: Path, what: str) -> None:
    counts = "with open('imports', 'a') as file: file.write('.')\n"
    worker = started(cluster, tmp_path, counts + THREAD + TAKES[what])
    sq = offered(cluster)
    began = time.monotonic()
    assert sq.submit(3).result(20) == "here"
    assert time.monotonic() - began < 2.0
    with ThreadPoolExecutor() as pool:  # the worker ends soon
        asked = [pool.submit(run, command, "--redis", cluster.url) for command in ("status", "workers", "doctor")]
        status, workers, doctor = [one.result() for one in asked]
    for done in (status, workers, doctor):
        said = done.stdout + done.stderr
        assert "no child can start" in said, done
        assert SAYS[what] in said, done
    assert doctor.returncode == 1
    assert "no child\t" in workers.stdout
    assert worker.wait(30) == 1
    assert len((tmp_path / "imports").read_text()) < 16, "of the template, and of a few children"
    text = worker.stderr_text()
    assert "it offers nothing until that is over" in text
    assert "no child could start" in text.splitlines()[-1]


def test_a_child_that_hangs_at_its_start_keeps_no_one_waiting(cluster: Cluster, tmp_path: Path) -> None:
    hangs = "import fcntl; f = open('lock', 'w'); fcntl.flock(f, fcntl.LOCK_EX)\n"
    started(cluster, tmp_path, THREAD + hangs)
    began = time.monotonic()
    assert offered(cluster).submit(3).result(20) == "here"
    assert time.monotonic() - began < 2.0
    assert "no child has begun yet" in run("status", "--redis", cluster.url).stderr


@pytest.fixture
def printer() -> Iterator[Printer]:
    with Printer() as one:
        yield one


def test_a_child_that_hangs_at_its_start_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printer: Printer
) -> None:
    monkeypatch.setattr(policy, "START_SECONDS", 0.5)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hangs.py").write_text(
        THREAD + "from pathlib import Path\nif Path('template').exists(): time.sleep(600)\nPath('template').touch()\n"
        "def f(): pass\n"
    )
    children = Children(["hangs"], 2, printer)
    children.template.start()
    children.template.await_introduction()
    # Ten times as long as the template's import is a long time where this machine is busy.
    children.template.import_seconds = 0.0

    def failed() -> bool:
        children.tend(time.monotonic())
        children.read_templates(range(10_000))
        return all(place.failed > 2 for place in children.starts.places)

    try:
        wait_until(failed, 60, "three of each place have been given up")
        assert "did not begin within" in children.starts.why()
        pid = children.template.pid
        assert pid is not None
        assert len(psutil.Process(pid).children()) <= 2
    finally:
        children.stop()


def test_a_worker_goes_on_with_the_children_that_start(cluster: Cluster, tmp_path: Path) -> None:
    for_one_child = (
        "import fcntl\n"
        "from pathlib import Path\n"
        "if Path('template').exists():\n"
        "    f = open('lock', 'w'); fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "Path('template').touch()\n"
    )
    worker = started(cluster, tmp_path, THREAD + for_one_child, slots=2)
    sq = offered(cluster)
    runs_remotely(sq)
    wait_until(lambda: "1 of 2 children cannot start" in worker.stderr_text(), 10, "it says so")
    assert [future.result(20) for future in [sq.submit(n) for n in range(20)]] == [n * n for n in range(20)]
    done = run("status", "--redis", cluster.url)
    assert "1 of 2 children cannot start" in done.stderr
    assert worker.running


def test_a_module_edited_into_an_error_stops_the_offers_until_it_is_mended(cluster: Cluster, tmp_path: Path) -> None:
    worker = started(cluster, tmp_path, THREAD)
    sq = offered(cluster)
    runs_remotely(sq)
    good = (tmp_path / "target.py").read_text()
    (tmp_path / "target.py").write_text("def sq(:\n")
    template_of(worker).children()[0].kill()
    wait_until(lambda: "no child can start" in worker.stderr_text(), 20, "it says so")
    began = time.monotonic()
    assert sq.submit(3).result(20) == "here"
    assert time.monotonic() - began < 2.0
    assert "SyntaxError" in run("status", "--redis", cluster.url).stderr
    (tmp_path / "target.py").write_text(good)
    runs_remotely(sq, 40)
    assert "all is well again" in worker.stderr_text()
    assert worker.running


def test_a_new_template_that_cannot_import_is_tried_again(cluster: Cluster, tmp_path: Path) -> None:
    worker = started(cluster, tmp_path, "")
    sq = offered(cluster)
    runs_remotely(sq)
    good = (tmp_path / "target.py").read_text()
    (tmp_path / "target.py").write_text("def sq(:\n")
    template_of(worker).kill()
    wait_until(lambda: "no child can start" in worker.stderr_text(), 20, "it says so")
    assert sq.submit(3).result(20) == "here"
    (tmp_path / "target.py").write_text(good)
    runs_remotely(sq, 40)
    assert worker.running


def test_a_child_that_ends_as_soon_as_it_has_begun_gets_no_jobs(cluster: Cluster, tmp_path: Path) -> None:
    worker = started(cluster, tmp_path, FLEETING, slots=2)
    sq = offered(cluster)
    runs_remotely(sq)
    (tmp_path / "leave").touch()
    for child in template_of(worker).children():
        child.kill()
    wait_until(lambda: "no child can start" in worker.stderr_text(), 30, "it says so")
    assert "exit status 4" in worker.stderr_text()
    began = time.monotonic()
    assert [future.result(20) for future in [sq.submit(3) for _ in range(20)]] == ["here"] * 20
    assert time.monotonic() - began < 3.0
    (tmp_path / "leave").unlink()
    runs_remotely(sq, 60)


def test_without_a_process_to_be_had_the_worker_waits_for_one(cluster: Cluster, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    worker = started(cluster, tmp_path, NO_PROCESS)
    sq = offered(cluster)
    assert sq.submit(3).result(20) == "here"
    assert "no process for it: [Errno 11]" in run("status", "--redis", cluster.url).stderr
    template_of(worker).send_signal(signal.SIGUSR1)
    runs_remotely(sq, 20)


def test_one_refused_fork_disturbs_no_job_that_runs(cluster: Cluster, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    text = LATER_NO_PROCESS + (
        "import time\n"
        "def hold(s):\n"
        "    with open('runs', 'w') as file: file.write(str(os.getpid()))\n"
        "    time.sleep(s)\n"
        "    return s\n"
    )
    worker = started(cluster, tmp_path, text, slots=2)
    sq = offered(cluster)
    runs_remotely(sq)
    future: Any = simpledist.worker_function(cluster.connect(), "hold", here).submit(3.0)
    runs = tmp_path / "runs"
    wait_until(lambda: runs.exists() and runs.read_text(), 10, "it runs")
    template = template_of(worker)
    template.send_signal(signal.SIGUSR2)
    next(child for child in template.children() if child.pid != int(runs.read_text())).kill()
    wait_until(lambda: "1 of 2 children cannot start" in worker.stderr_text(), 10, "it says so")
    assert future.result(20) == 3.0
    assert future.info.attempts == 1
    template.send_signal(signal.SIGUSR1)
    wait_until(lambda: len(template.children()) == 2, 40, "there are two again")
    runs_remotely(sq)


def test_a_worker_out_of_descriptors_lives_and_serves_with_what_it_has(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "target.py").write_text(FUNCTION)
    program = (
        "import os, resource, sys\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (40, hard))\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    line = [sys.executable, "-m", "simpledist.cli.worker", "--redis", cluster.url, "--slots", "64", "target"]
    with subprocess.Popen(
        [sys.executable, "-c", program, *line], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as worker:
        sq = offered(cluster)
        runs_remotely(sq, 30)
        assert [future.result(20) for future in [sq.submit(n) for n in range(100)]] == [n * n for n in range(100)]
        wait_until(lambda: "Too many open files" in run("status", "--redis", cluster.url).stderr, 20, "it says so")
        worker.send_signal(signal.SIGTERM)
        _, errors = worker.communicate(timeout=20)
    assert worker.returncode == 0
    assert len(re.findall("64 children cannot start", errors)) < 20, errors
    assert "Traceback" not in errors


def test_a_template_out_of_descriptors_lives(cluster: Cluster, tmp_path: Path) -> None:
    text = (
        "import resource\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))\n"
        "import os\n"
        "files = [os.open(os.devnull, os.O_RDONLY)]\n"
        "while len(files) < 64:\n"
        "    try: files.append(os.dup(files[0]))\n"
        "    except OSError: break\n"
        "import signal\n"
        "spare = [files.pop() for _ in range(3)]\n"  # for the template's own wake-up descriptors
        "for one in spare[:2]: os.close(one)\n"
    )
    worker = started(cluster, tmp_path, text)
    assert offered(cluster).submit(3).result(20) == "here"
    assert "open files" in run("status", "--redis", cluster.url).stderr
    assert worker.wait(40) == 1


@pytest.mark.parametrize("thread", ["", THREAD])
def test_a_target_with_more_open_files_than_select_can_name_serves(
    cluster: Cluster, tmp_path: Path, thread: str
) -> None:
    text = (
        "import os, resource\n"
        "soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1400), hard))\n"
        "keep = [open(os.devnull) for _ in range(1100)]\n"
    )
    started(cluster, tmp_path, thread + text, slots=2)
    sq = offered(cluster)
    runs_remotely(sq)
    assert list(sq.map(range(50))) == [n * n for n in range(50)]


def test_an_import_that_goes_on_for_long_is_said(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(60)\n")
    line = [sys.executable, "-m", "simpledist.cli.worker", "--redis", redis_server.url, "slow"]
    with subprocess.Popen(line, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as worker:
        assert worker.stderr is not None
        assert "the import of slow goes on for 10 s" in worker.stderr.readline()
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(5) == 0


def test_the_row_and_the_page_say_it(tmp_path: Path) -> None:
    (tmp_path / "target.py").write_text(THREAD + TAKES["lock"] + FUNCTION)
    with Cluster("target", slots=1, folder=tmp_path, web=True) as cluster:
        done = run("status", "--json", "--redis", cluster.url)
        (row,) = json.loads(done.stdout)["workers"]
        assert row["functions"] == []
        for path in ("workers", f"workers/{row['id']}"):
            with urllib.request.urlopen(cluster.dashboard_url + path) as answer:
                page = answer.read().decode()
            assert "no child can start: target target: importing target fails: BlockingIOError" in page
            assert ">no child<" in page
