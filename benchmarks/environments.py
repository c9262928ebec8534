"""A virtual environment for each peer, made once under benchmarks/.venvs; a peer that does not install is left out."""

from __future__ import annotations

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
    "dask": "distributed",
    "ray": "ray",
}


def python_of(peer: str) -> Path | None:
    """The interpreter to run a peer with; None, after a line that says why, where it cannot be installed."""
    requirements = REQUIREMENTS[peer].split()
    if not requirements:
        return Path(sys.executable)
    folder = FOLDER / peer
    python, stamp = folder / "bin" / "python", folder / ".installed"
    if stamp.exists():
        return python
    commands = (
        [sys.executable, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements],
    )
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no reason given"]
            print(f"{peer} is left out, it does not install: {lines[-1]}", file=sys.stderr)
            return None
    stamp.touch()
    return python
