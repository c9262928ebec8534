"""The jobs of one command: which of them live, which have failed, and how more of them are submitted.

Knows Slurm, and nothing of demand. One thread. Called by follower.py.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from simpledist.printable import printable
from simpledist.slurm import commands
from simpledist.slurm.batch_job import KEPT_BACK
from simpledist.slurm.commands import FAILED, ArrayTask

ARRAY_MOST = 1000  # tasks: what Slurm's MaxArraySize allows by default
PAUSE_SECONDS, PAUSE_MOST_SECONDS = 10.0, 300.0  # without new jobs, after some have failed
WELL_SECONDS = 60.0  # a task that ran for so long shows that workers can start
LINE_MOST = 300


@dataclass(frozen=True, slots=True)
class Kind:
    """Jobs of one name that run one script. `may_end`: by themselves, for want of work."""

    name: str
    script: str
    may_end: bool


@dataclass(slots=True)
class _Failures:
    """How often in a row jobs failed, and until when none is submitted, by time.monotonic()."""

    in_a_row: int = 0
    until: float = 0.0
    seen: set[str] = field(default_factory=set[str])


class WorkerJobs:
    """The jobs of some kinds. `log`: the pattern of their output's file, with %A and %a; None: not known."""

    def __init__(self, options: Sequence[str], log: Path | None, say: Callable[[str], None]) -> None:
        self._options = (*options,)
        self._log = log
        self._say = say
        self._failures = _Failures()
        self._running_since: dict[str, float] = {}
        self._looked = False

    def look(self, kinds: Sequence[Kind]) -> list[ArrayTask]:
        """Return the tasks that live, and say which have failed since the last look. Raises SlurmTrouble."""
        tasks = commands.tasks_named([kind.name for kind in kinds])
        now = time.monotonic()
        running = {one.id for one in tasks if one.state == "RUNNING"}
        self._running_since = {id: self._running_since.get(id, now) for id in running}
        failed = [one for one in tasks if one.state in FAILED and one.id not in self._failures.seen]
        self._failures.seen = {one.id for one in tasks if one.state in FAILED}
        if any(now - since >= WELL_SECONDS for since in self._running_since.values()):
            self._failures.in_a_row = 0
        if failed and self._looked:  # those of an earlier command are its own
            self._note(failed)
        self._looked = True
        return [one for one in tasks if one.lives]

    def _note(self, failed: Sequence[ArrayTask]) -> None:
        pause = self.pause()
        last = failed[-1]
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        self._say(f"job {last.id} failed{more}{self._last_line(last)}; no new job for {pause:.0f} s")

    def _last_line(self, task: ArrayTask) -> str:
        """Return the last line of a task's output and where it is, to go behind the task; "" where it is not known."""
        if self._log is None:
            return f", {task.state}"
        file = Path(str(self._log).replace("%A", str(task.array)).replace("%a", str(task.index)))
        try:
            with file.open("rb") as output:
                output.seek(max(0, file.stat().st_size - 4096))
                lines = output.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return f", {task.state}"
        # What Slurm adds has its own mark; ours is the line before.
        own = [line for line in lines if line.strip() and not line.startswith(("srun: ", "slurmstepd: "))]
        text = printable((own or lines or [task.state])[-1].strip(), LINE_MOST)
        return f": {text} (all of it in {file})"

    # --- steps ---------------------------------------------------------------------------------------------------

    def check(self, kind: Kind) -> None:
        """Raise ConfigurationError where Slurm would not take such a job."""
        commands.check([*self._options, f"--job-name={kind.name}"], kind.script, _environment())

    def submit(self, kind: Kind, count: int) -> list[str]:
        """Submit so many tasks, unless some failed a moment ago; return the arrays. Raises SlurmTrouble."""
        if time.monotonic() < self._failures.until:
            return []
        arrays: list[str] = []
        while count > 0:
            size = min(count, ARRAY_MOST)
            options = [*self._options, f"--job-name={kind.name}"]
            arrays.append(str(commands.submit(options, kind.script, size, _environment())))
            count -= size
        return arrays

    def pause(self) -> float:
        """Submit nothing for a while, longer each time; return for how many seconds."""
        self._failures.in_a_row += 1
        pause = min(PAUSE_SECONDS * 2 ** (self._failures.in_a_row - 1), PAUSE_MOST_SECONDS)
        self._failures.until = time.monotonic() + pause
        return pause


def _environment() -> dict[str, str]:
    """Return what a job sees of our environment, as sbatch has it, without what Slurm must not keep."""
    return {name: value for name, value in os.environ.items() if name not in KEPT_BACK}
