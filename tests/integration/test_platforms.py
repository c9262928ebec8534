"""Another operating system: what is missing is said in one line. Simulated by taking it out of the standard library."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simpledist.cluster import Cluster
from tests.waiting import wait_until

# Everything that needs the missing names itself is loaded before they go.
PROGRAM = """
import asyncio, concurrent.futures, logging, multiprocessing.connection, os, random, select, selectors, shutil, signal
import socket, subprocess, sys, tempfile
import click, flask, redis, rich.console, waitress
for module, names in (
    (os, ("fork", "register_at_fork", "set_blocking", "waitstatus_to_exitcode", "killpg", "sched_getaffinity")),
    (select, ("poll", "epoll")),
    (signal, ("SIGKILL", "SIGCHLD", "SIGHUP", "SIGTSTP", "SIGCONT", "pthread_sigmask", "SIG_SETMASK", "SIG_UNBLOCK")),
    (socket, ("AF_UNIX", "MSG_DONTWAIT")),
):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
for name in ("fcntl", "termios", "tty", "pty", "resource"):
    sys.modules[name] = None
sys.platform = "win32"
from importlib import import_module
module = sys.argv.pop(1)
getattr(import_module(module), "main", lambda: print("imported"))()
"""


def run_there(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], check=False, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    "words", [["simpledist"], ["simpledist.cli.main", "--help"], ["simpledist.cli.worker", "--help"]]
)
def test_it_can_be_imported_and_asked_for_help(words: list[str]) -> None:
    done = run_there(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["simpledist.cli.main", "status"],
        ["simpledist.cli.main", "redis"],
        ["simpledist.cli.main", "demo"],
        ["simpledist.cli.main", "call", "fib", "1"],
        ["simpledist.cli.main", "top"],
        ["simpledist.cli.worker", "math:sqrt"],
        ["simpledist.cli.distributor"],
    ],
    ids=" ".join,
)
def test_a_command_says_in_one_line_what_is_missing(words: list[str]) -> None:
    done = run_there(*words)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "select.poll" in done.stderr
    assert "WSL" in done.stderr


NO_FORK = """
import os
for name in ("fork", "forkpty", "register_at_fork"):
    delattr(os, name)
"""
FUNCTIONS = """
import os, signal
def sq(x): return x * x
def pid(x): return os.getpid()
def die(home):
    if os.getpid() != home: os.kill(os.getpid(), signal.SIGKILL)
    return "at home"
"""
CALLS = """
import os, sys
import simpledist, simpledist.errors, target
assert not hasattr(os, "fork")
with simpledist.connect(sys.argv[1]) as dist:
    pid = simpledist.worker_function(dist, "pid", target.pid)
    futures = [pid.submit(n) for n in range(40)]
    assert os.getpid() not in {future.result(20) for future in futures}
    assert list(simpledist.worker_function(dist, "sq", target.sq).map(range(100))) == [n * n for n in range(100)]
    die = simpledist.worker_function(dist, "die", target.die)
    try:
        die(os.getpid())
    except simpledist.errors.FunctionCrashed as error:
        print(error)
    assert pid(1) != os.getpid()
"""


def test_a_system_without_fork_spawns_children(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_FORK)
    (tmp_path / "target.py").write_text(FUNCTIONS)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    with Cluster("target", workers=0, slots=2, folder=tmp_path) as cluster:
        worker = cluster.start_worker(environment={"PYTHONPATH": path})
        wait_until(lambda: "is ready" in worker.stderr_text(), 20, "it has a child")
        done = subprocess.run(
            [sys.executable, "-c", CALLS, cluster.url],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert "kills its process" in done.stdout
