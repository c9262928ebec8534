"""Runs `simpledist slurm submit` under a Slurm of its own, as a person does who stands at a login node."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from tests.commands import MAIN
from tests.integration.conftest import FUNCTIONS
from tests.machines.slurm import Slurm


@dataclass(frozen=True, slots=True)
class Submitting:
    """One command that runs; `folder`: where it was started, with its output and the jobs' logs."""

    process: subprocess.Popen[bytes]
    folder: Path

    def text(self) -> str:
        return (self.folder / "output").read_text()

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def wait(self, seconds: float = 60) -> int:
        return self.process.wait(seconds)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def cache(self) -> Path:
        return self.folder / "cache" / "simpledist-slurm"


def surroundings(slurm: Slurm, folder: Path, *, key: Path) -> dict[str, str]:
    """Return the environment of a person's command."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("SIMPLEDIST_")},
        **slurm.environment,
        "PYTHONPATH": str(FUNCTIONS),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "SIMPLEDIST_SECRET_FILE": str(key),
    }


@contextlib.contextmanager
def submitting(slurm: Slurm, folder: Path, url: str, *words: str, key: Path) -> Generator[Submitting]:
    """Start the command; at the end it is killed, with what it has submitted."""
    environment = {**surroundings(slurm, folder, key=key), "SIMPLEDIST_REDIS_URL": url}
    with (folder / "output").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", MAIN, "slurm", "submit", *words],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    one = Submitting(process, folder)
    try:
        yield one
    finally:
        one.kill()
        slurm.run("scancel", "--user=root")
