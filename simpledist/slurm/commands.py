"""Slurm's own commands: what they are given, and what their output says.

Each runs in a session of its own: Ctrl-C is for us, and must not end an sbatch that has just submitted. Knows nothing
of workers. Called by worker_jobs.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simpledist.errors import ConfigurationError

PROGRAMS = ("sbatch", "squeue", "scancel")
ANSWER_SECONDS = 60.0  # a busy controller may take some
FAILED = frozenset({"BOOT_FAIL", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY"})
OVER = FAILED | {"CANCELLED", "COMPLETED", "COMPLETING", "PREEMPTED", "REVOKED", "TIMEOUT"}
AWAY = ("unable to contact", "timed out", "did not answer")  # the controller, and not what it was asked
_FORMAT = "%F|%K|%j|%T|%r"


class SlurmTrouble(Exception):
    """A command of Slurm failed; the text is one line, its own."""


@dataclass(frozen=True, slots=True, order=True)
class ArrayTask:
    """One task of an array. `array`, `index`: its numbers; `state`: in Slurm's words; `reason`: why it waits."""

    array: int
    index: int
    name: str
    state: str
    reason: str = ""

    @property
    def id(self) -> str:
        return f"{self.array}_{self.index}"

    @property
    def lives(self) -> bool:
        return self.state not in OVER

    @property
    def waits(self) -> bool:
        return self.state == "PENDING"


def demand() -> None:
    """Raise ConfigurationError unless the commands of Slurm are on the path."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        raise ConfigurationError(
            f"there is no {' and no '.join(missing)} on the path: run this on a machine from which jobs are submitted, "
            "or load the module of Slurm"
        )


def submit(options: Sequence[str], script: str, tasks: int, environment: Mapping[str, str]) -> int:
    """Submit an array of so many tasks that run a script; return its number. Raises SlurmTrouble.

    The script stands behind --wrap: with it sbatch takes no other script, and refuses words that are no options.
    """
    words = ["sbatch", *options, "--parsable", f"--array=1-{tasks}", f"--wrap={script}"]
    number = _output(words, environment).strip().partition(";")[0]
    if not number.isdigit():
        raise SlurmTrouble(f"sbatch did not say which job it has submitted: {number[:80]!r}")
    return int(number)


def check(options: Sequence[str], script: str, environment: Mapping[str, str]) -> None:
    """Raise ConfigurationError where Slurm would not take such a job. One that does not answer may take it later."""
    try:
        _output(["sbatch", *options, "--test-only", f"--wrap={script}"], environment)
    except SlurmTrouble as error:
        if not any(text in str(error).lower() for text in AWAY):
            raise ConfigurationError(f"Slurm would not take these jobs: {error}") from None


def tasks_named(names: Sequence[str]) -> list[ArrayTask]:
    """Return the tasks of our user's arrays of these names, also those that ended a little ago. Raises SlurmTrouble."""
    words = ["squeue", "--noheader", "--array", "--states=all", f"--user={os.geteuid()}", f"--name={','.join(names)}"]
    found: list[ArrayTask] = []
    for line in _output([*words, f"--format={_FORMAT}"]).splitlines():
        array, index, name, state, reason = [*line.split("|", 4), "", "", "", ""][:5]
        if array.isdigit() and index.isdigit() and name in names:
            found.append(ArrayTask(int(array), int(index), name, state, reason))
    return sorted(found)


def cancel_waiting(tasks: Sequence[ArrayTask]) -> None:
    """Cancel tasks that have not started; one that has started meanwhile is left alone. Raises SlurmTrouble."""
    _output(["scancel", "--state=PENDING", *(one.id for one in tasks)])


def terminate(tasks: Sequence[ArrayTask]) -> None:
    """Send SIGTERM to what tasks run, without ending them. Raises SlurmTrouble."""
    _output(["scancel", "--signal=TERM", *(one.id for one in tasks)])


def cancel(tasks: Sequence[ArrayTask]) -> None:
    """Cancel tasks, whatever they are at. Raises SlurmTrouble."""
    _output(["scancel", *(one.id for one in tasks)])


def _output(words: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            words,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ANSWER_SECONDS,
            check=False,
            start_new_session=True,
        )
    except OSError as error:
        raise SlurmTrouble(f"{words[0]}: {error.strerror or error}") from None
    except subprocess.TimeoutExpired:
        raise SlurmTrouble(f"{words[0]} did not answer within {ANSWER_SECONDS:g} s") from None
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        # Its last line may be advice or "Batch job submission failed" alone: the first one has the cause.
        raise SlurmTrouble("; ".join(said[:2]) or f"{words[0]} ended with {done.returncode}")
    return done.stdout
