"""The end of a Slurm job: from its environment, else from its squeue."""

from __future__ import annotations

import math
import os
from datetime import datetime
from pathlib import Path

import pytest

from simpledist.cli.slurm_job import job_end

SAID = "2026-11-30T05:00:00"
SECONDS = datetime.fromisoformat(SAID).timestamp()


def squeue(folder: Path, *lines: str) -> dict[str, str]:
    """Put a squeue that prints these lines first on the path of a job."""
    program = folder / "squeue"
    text = "\n".join(lines)
    program.write_text(f'#!/bin/sh\n[ "$SLURM_TIME_FORMAT" = standard ] && cat <<END\n{text}\nEND\n')
    program.chmod(0o755)
    return {"PATH": f"{folder}:{os.defpath}", "SLURM_JOB_ID": "17", "SLURM_TIME_FORMAT": "relative"}


def test_the_environment_of_the_job_comes_first(tmp_path: Path) -> None:
    assert job_end({**squeue(tmp_path, f"17 {SAID}"), "SLURM_JOB_END_TIME": "1700000000"}) == 1_700_000_000


def test_an_older_slurm_is_asked(tmp_path: Path) -> None:
    assert job_end(squeue(tmp_path, f"17 {SAID}")) == SECONDS


def test_of_an_array_its_own_task_counts(tmp_path: Path) -> None:
    other = "2026-11-30T09:00:00"
    assert job_end(squeue(tmp_path, f"18 {other}", f"17 {SAID}", f"19 {other}")) == SECONDS


def test_a_job_without_a_time_limit_never_ends(tmp_path: Path) -> None:
    assert job_end(squeue(tmp_path, "17 NONE")) == math.inf


@pytest.mark.parametrize("line", ["17 N/A", "", "18 2026-11-30T05:00:00", "slurm_load_jobs error: x y"])
def test_a_job_whose_end_is_not_known_has_none(tmp_path: Path, line: str) -> None:
    assert job_end(squeue(tmp_path, line)) is None


def test_outside_of_a_job_there_is_none(tmp_path: Path) -> None:
    environment = squeue(tmp_path, f"17 {SAID}")
    del environment["SLURM_JOB_ID"]
    assert job_end(environment) is None


def test_without_a_squeue_there_is_no_end(tmp_path: Path) -> None:
    assert job_end({"SLURM_JOB_ID": "17", "PATH": str(tmp_path)}) is None
