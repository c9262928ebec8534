"""Servers that are not ours, for `make machines`: where one is missing, one line says which Debian package has it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "munged": "munge",
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "sbatch": "slurm-client",
    "scancel": "slurm-client",
    "sinfo": "slurm-client",
    "squeue": "slurm-client",
    "scontrol": "slurm-client",
}


def program(name: str) -> str:
    """Return the path of one of PACKAGES' programs; without it, the test fails."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        pytest.fail(f"no {name} here: apt-get install {PACKAGES[name]}", pytrace=False)
    return path


@contextlib.contextmanager
def running(*words: str, log: Path, environment: dict[str, str] | None = None) -> Generator[subprocess.Popen[bytes]]:
    """Run a server in the foreground of its own, with a log file, until the end of the `with` block."""
    with log.open("ab") as output:
        process = subprocess.Popen([program(words[0]), *words[1:]], stdout=output, stderr=output, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
