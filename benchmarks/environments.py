"""A virtual environment for each peer, made once under benchmarks/.venvs; a peer that cannot be had is left out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / ".venvs"

# What pip is asked for; "" stands for the environment of the run itself.
REQUIREMENTS: dict[str, str] = {
    "floor": "",
    "ours": "",
    "pool": "",
    "huey": "huey redis[hiredis]",
    "saq": "saq[hiredis] typing_extensions",
    "taskiq": "taskiq taskiq-redis hiredis",
    "celery": "celery[redis] hiredis",
    "rq": "rq hiredis",
    "tasktiger": "tasktiger hiredis",
    "gearman": "gear",
    "dask": "distributed numpy",
    "ray": "ray numpy",
    "loky": "joblib numpy",
}

# A server that a peer needs beside that, and how to come by it.
PROGRAMS: dict[str, tuple[str, str]] = {"gearman": ("gearmand", "apt-get install gearman-job-server")}


class NotHere(Exception):
    """A peer cannot be had on this machine; its text is one line for people."""


def python_of(peer: str) -> Path:
    """The interpreter to run a peer with. Raises NotHere."""
    if peer in PROGRAMS:
        needed, source = PROGRAMS[peer]
        if not program(needed):
            raise NotHere(f"not here: {source}")
    requirements = REQUIREMENTS[peer].split()
    if not requirements:
        return Path(sys.executable)
    folder = FOLDER / peer
    python, stamp = folder / "bin" / "python", folder / ".installed"
    if stamp.exists() and stamp.read_text() == REQUIREMENTS[peer]:
        return python
    commands = (
        [sys.executable, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements],
    )
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no reason given"]
            raise NotHere(f"does not install: {lines[-1]}")
    stamp.write_text(REQUIREMENTS[peer])
    return python


def program(name: str) -> str:
    """Where a server's program is, or ""; Debian keeps some where not everybody's PATH leads."""
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))) or ""
