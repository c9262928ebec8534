"""Runs the commands as a shell would: a process each, without the SIMPLEDIST_* of anyone who runs the tests."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from simpledist.embedded import HOST

WORKER = "simpledist.cli.worker"
DISTRIBUTOR = "simpledist.cli.distributor"
MAIN = "simpledist.cli.main"


def run(
    *words: str, module: str = MAIN, seconds: float = 30, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SIMPLEDIST_")}
    return subprocess.run(
        [sys.executable, "-m", module, *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=seconds,
        env=environment,
        cwd=cwd,
    )


def python(*words: str, cwd: Path, url: str) -> subprocess.CompletedProcess[str]:
    """Run a program of a user, in a folder, with the Redis of this URL."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env={**os.environ, "SIMPLEDIST_REDIS_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr."""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert not done.stdout, done.stdout
    return lines[0]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]
