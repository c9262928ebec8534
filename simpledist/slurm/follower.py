"""The loop of `simpledist slurm submit`: asks how many workers are wanted, and has as many jobs.

More at once; fewer by themselves: what runs is never cancelled, only what has not started. A first Ctrl-C (or SIGTERM)
cancels what waits and drains what runs; a second one cancels all. Owns the signals and the exit code. One
thread. Called by cli/slurm.py.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simpledist import end_signals
from simpledist.slurm import commands
from simpledist.slurm.commands import ArrayTask, SlurmTrouble
from simpledist.slurm.worker_jobs import Kind, WorkerJobs

OK, WRONG = 0, 1
LOOK_SECONDS = 5.0
DRAIN_LOOK_SECONDS = 1.0
AGAIN_SECONDS = 15.0  # after its grace a worker is gone: one that still runs had not started when it was sent SIGTERM


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many workers the demand could use, and of how many jobs; `trouble`: why that is not known, "" where it is."""

    workers: int = 0
    jobs: float = 0.0
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """How many are kept: `least` of `lasting`, whose workers stay; of `passing` what demand adds, `most` in all."""

    least: int
    most: int
    lasting: Kind
    passing: Kind
    grace_seconds: float

    @property
    def kinds(self) -> tuple[Kind, Kind]:
        return self.lasting, self.passing


class Follower:
    """Keeps the jobs of one command.

    `ask` returns how many workers are wanted, `say` shows a line, `close` has jobs that start from now on end at once.
    """

    def __init__(
        self,
        jobs: WorkerJobs,
        plan: Plan,
        *,
        ask: Callable[[], Wanted],
        say: Callable[[str], None],
        close: Callable[[], None],
    ) -> None:
        self._jobs = jobs
        self._plan = plan
        self._ask = ask
        self._say = say
        self._close = close
        self._trouble = ""
        self._shown: object = None

    def once(self) -> str:
        """Look once, and leave the jobs that there are; return why demand is not known. Raises SlurmTrouble."""
        return self._look()

    def run(self) -> int:
        """Follow demand until a signal comes, then end the jobs; return the exit code."""
        with end_signals.counted(hangup=1) as (woken, asked):
            while not asked():
                self._try()
                _wait(woken, LOOK_SECONDS)
            self._close()
            return self._end(woken, asked)

    # --- demand --------------------------------------------------------------------------------------------------

    def _try(self) -> None:
        """Look; go on where Slurm is away."""
        try:
            trouble = self._look()
        except SlurmTrouble as error:
            trouble = f"{error}; leaves all as it is, and tries again"
        if trouble and trouble != self._trouble:
            self._say(trouble)
        self._trouble = trouble

    def _look(self) -> str:
        """Have as many jobs as are wanted; return why that is not known, "" where it is. Raises SlurmTrouble."""
        wanted = self._ask()
        tasks = self._jobs.look(self._plan.kinds)
        self._show(tasks, wanted)
        for kind in self._plan.kinds:
            there = [one for one in tasks if one.name == kind.name]
            if not kind.may_end:
                self._keep(kind, there, self._plan.least)
            elif not wanted.trouble:
                self._keep(kind, there, max(0, min(wanted.workers, self._plan.most) - self._plan.least))
        return wanted.trouble

    def _keep(self, kind: Kind, there: Sequence[ArrayTask], number: int) -> None:
        if number > len(there):
            self._submit(kind, number - len(there))
        else:
            # The last ones first: the others have waited for longer.
            surplus = [one for one in reversed(there) if one.waits][: len(there) - number]
            if surplus:
                commands.cancel_waiting(surplus)
                self._say(f"cancelled {_jobs(len(surplus))} that had not started: {number} wanted")

    def _submit(self, kind: Kind, number: int) -> None:
        try:
            arrays = self._jobs.submit(kind, number)
        except SlurmTrouble as error:
            self._say(f"{error}; tries again in {self._jobs.pause():.0f} s")
            return
        if arrays:
            self._say(f"submitted {_jobs(number)}: {', '.join(arrays)}")

    def _show(self, tasks: Sequence[ArrayTask], wanted: Wanted) -> None:
        waiting = [one for one in tasks if one.waits]
        shown = (len(tasks) - len(waiting), len(waiting), wanted.workers)
        if shown == self._shown or wanted.trouble:
            return
        self._shown = shown
        reasons = sorted({one.reason for one in waiting} - {"", "None"})
        why = f" ({', '.join(reasons[:3])})" if reasons else ""
        self._say(
            f"{_jobs(shown[0])} running, {shown[1]} waiting{why}; {wanted.jobs:g} calls want {wanted.workers} workers"
        )

    # --- the end -------------------------------------------------------------------------------------------------

    def _end(self, woken: int, asked: Callable[[], int]) -> int:
        """Cancel what waits, drain what runs, and return once nothing is left, or after a second signal."""
        sent: dict[str, float] = {}
        said = ""
        while asked() < 2:
            try:
                tasks = self._jobs.look(self._plan.kinds)
                if not tasks:
                    return OK
                self._drain(tasks, sent)
                line = f"{_jobs(len(tasks))} left: drains them; Ctrl-C again cancels them"
            except SlurmTrouble as error:
                line = f"{error}; tries again"
            if line != said:
                self._say(line)
            said = line
            _wait(woken, DRAIN_LOOK_SECONDS)
        try:
            tasks = self._jobs.look(self._plan.kinds)
            if tasks:
                commands.cancel(tasks)
                self._say(f"cancelled {_jobs(len(tasks))}: Slurm ends what still runs")
        except SlurmTrouble as error:
            names = ",".join(kind.name for kind in self._plan.kinds)
            self._say(f"{error}; jobs may be left: scancel --name={names}")
        return WRONG

    def _drain(self, tasks: Sequence[ArrayTask], sent: dict[str, float]) -> None:
        waiting = [one for one in tasks if one.waits]
        now = time.monotonic()
        again = self._plan.grace_seconds + AGAIN_SECONDS
        due = [one for one in tasks if one.state == "RUNNING" and now - sent.get(one.id, -again) >= again]
        if waiting:
            commands.cancel_waiting(waiting)
        if due:
            commands.terminate(due)
            sent.update((one.id, now) for one in due)


def _jobs(number: int) -> str:
    return f"{number} {'job' if number == 1 else 'jobs'}"


def _wait(woken: int, seconds: float) -> None:
    """Wait, or return at once when a signal comes."""
    if select.select([woken], [], [], seconds)[0]:
        with contextlib.suppress(BlockingIOError):
            os.read(woken, 64)
