"""Another operating system: what is missing is said in one line. Simulated by taking it out of the standard library."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
    assert "os.fork" in done.stderr
    assert "WSL" in done.stderr
