"""End of the Slurm job that this process runs in.

Slurm names it in the job's environment from version 23.02 on; an older one is asked by its own `squeue`. Knows nothing
of workers. Called by cli/worker.py for `--lifetime auto`.
"""

from __future__ import annotations

import math
import os
import subprocess
from collections.abc import Mapping
from datetime import datetime

NO_END = "NONE"  # says squeue of a job without a time limit
ASK_SECONDS = 20.0  # a busy controller may take some


def job_end(environment: Mapping[str, str] = os.environ) -> float | None:
    """Return when the job ends, in Unix seconds: infinity without a time limit; None where that is not known."""
    named = environment.get("SLURM_JOB_END_TIME", "")
    if named.isdigit():
        return float(named)
    job = environment.get("SLURM_JOB_ID", "")
    return _asked(job, environment) if job.isdigit() else None


def _asked(job: str, environment: Mapping[str, str]) -> float | None:
    try:
        said = subprocess.run(
            ["squeue", "--noheader", "--array", "--jobs", job, "--format", "%A %e"],
            env={**environment, "SLURM_TIME_FORMAT": "standard"},
            capture_output=True,
            text=True,
            timeout=ASK_SECONDS,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):  # no squeue, or no answer
        return None
    # One task of an array has the id of the whole array.
    ends = dict(line.split() for line in said.splitlines() if len(line.split()) == 2)
    try:
        return datetime.fromisoformat(ends.get(job, "")).timestamp()  # in the local time of this node
    except ValueError:
        return math.inf if ends.get(job) == NO_END else None
