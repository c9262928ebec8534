"""`simpledist slurm submit -- TARGET...`: workers as jobs of Slurm, as many as there is demand for."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from simpledist import policy
from simpledist.cli.operating import ask_redis
from simpledist.cli.options import OK, WRONG, Seconds, before_subcommand, complain, shared
from simpledist.cli.reading import monitor_of
from simpledist.cli.worker_words import SEPARATOR, WithTargets, worker_options
from simpledist.config import Config, on_this_machine
from simpledist.errors import ConfigurationError
from simpledist.monitor import Monitor
from simpledist.monitor.scales import ALL, SECONDS_MOST, Question, Scales
from simpledist.printable import printable
from simpledist.slurm import batch_job, commands
from simpledist.slurm.batch_job import WorkerCommand
from simpledist.slurm.commands import SlurmTrouble
from simpledist.slurm.follower import Follower, Plan, Wanted
from simpledist.slurm.worker_jobs import Kind, WorkerJobs
from simpledist.wire.process_keys import keyring_of

PROGRAM = "simpledist slurm"
SBATCH = "sbatch"
MOST = 10
MOST_JOBS = 10_000
# What this command says to sbatch itself, by long and short name.
OURS = ("array", "wrap", "parsable", "job-name", "clusters", "wait", "test-only")
OURS_SHORT = ("a", "J", "M", "W")
RESOLVE = (
    "import json, sys; from simpledist.errors import TargetError; from simpledist.worker import targets\n"
    "try: print(json.dumps(sorted(targets.resolve(sys.argv[1:]))))\n"
    "except TargetError as error: print(error, file=sys.stderr); sys.exit(2)"
)


class WithSbatchOptions(WithTargets):
    """A command that sets aside, before the "--", each option that is not its own: they are for sbatch."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Sort the words before the "--" into ours and those of sbatch."""
        at = args.index(SEPARATOR) if SEPARATOR in args else len(args)
        words, ours = iter(args[:at]), list[str]()
        theirs: list[str] = []
        options = {name: one for one in self.params if isinstance(one, click.Option) for name in one.opts}
        for word in words:
            option = options.get(word.partition("=")[0])
            if option is None:
                theirs.append(word)
                continue
            ours.append(word)
            if not option.is_flag and "=" not in word:
                ours += [value for value in [next(words, None)] if value is not None]
        ctx.meta[SBATCH] = theirs
        return super().parse_args(ctx, [*ours, *args[at:]])


@click.group()
@before_subcommand
def slurm() -> None:
    """Start workers under Slurm.

    \b
    Example:
        simpledist slurm submit --max 20 -- fns:fib --slots 8
    """


@slurm.command(
    cls=WithSbatchOptions,
    options_metavar="[OPTIONS] [SBATCH OPTIONS] -- TARGET... [WORKER OPTIONS]",
    context_settings={"max_content_width": 100},
)
@click.option(
    "--min",
    "least",
    type=click.IntRange(0, MOST_JOBS),
    default=0,
    show_default=True,
    help="Keep so many workers, whatever the demand.",
)
@click.option(
    "--max",
    "most",
    type=click.IntRange(1, MOST_JOBS),
    default=MOST,
    show_default=True,
    help="Have so many workers at most, queued ones among them.",
)
@click.option(
    "--seconds",
    type=Seconds(min=0.001, max=SECONDS_MOST),
    default=policy.WORK_SECONDS,
    show_default=True,
    help="How much work of what waits each slot should have at least. Where jobs start late, or seldom: 60.",
)
@click.option("--once", is_flag=True, help="Look once, leave the jobs, and return: for cron.")
@shared(signs=True)
def submit(config: Config, least: int, most: int, seconds: float, once: bool) -> int:
    """Have as many workers as there is demand for, each a task of a job array, until Ctrl-C.

    Before the "--" are options of sbatch too, such as --partition=short --time=4:00:00; behind it are targets and
    options of simpledist-worker. The machines share your home, the current folder, and this Python.

    More workers are submitted at once, fewer are wanted after three looks, as docs/autoscaling.md says. Demand that
    falls cancels only what has not started: a worker ends by itself after 5 minutes without a job (--idle-exit), and in
    time for the end of its Slurm job. Those of --min stay. Workers that others have started are not counted.

    Ctrl-C cancels what has not started, has workers finish their jobs (--grace, 60 s), and returns when all have
    ended; a second one cancels all. After a crash the same command finds its jobs again. The exit code is 0, or 1
    after a second Ctrl-C.

    \b
    Examples:
        simpledist slurm submit --max 20 --partition=short --time=1:00:00 -- fns:fib
        simpledist slurm submit --min 2 --max 50 --cpus-per-task=8 --mem=16G -- --any --idle-exit 10m
    """
    meta = click.get_current_context().meta
    sbatch: list[str] = meta[SBATCH]
    words: list[str] = meta[SEPARATOR]
    given = worker_options(words)
    _check(sbatch, least, most)
    commands.demand()
    key = keyring_of(config).file
    command = WorkerCommand(config, str(Path(key).absolute()) if key else None, (*words,), given)
    functions = (ALL,) if given.get("any_function") else _functions(given["targets"])
    question = Question(functions, batch_job.slots_of(command, _cpus(sbatch)), seconds)
    name = batch_job.name_of(command, sbatch)
    folder = batch_job.folder_of(name)
    url_file = folder / batch_job.URL_FILE
    jobs = WorkerJobs([*batch_job.defaults(command), *sbatch], _log(sbatch), _say)
    plan = Plan(
        least,
        most,
        lasting=Kind(f"{name}-min", batch_job.script_of(command, url_file, idle_exit=False), may_end=False),
        passing=Kind(name, batch_job.script_of(command, url_file, idle_exit=True), may_end=True),
        grace_seconds=command.grace_seconds,
    )
    jobs.check(plan.passing)
    ask_redis(config, PROGRAM)
    if on_this_machine(config.url):
        complain(PROGRAM, f"{config.safe_url} is reached from this machine only: workers on others need its name")
    batch_job.write_url(folder, config.url)
    with monitor_of(config) as monitor:
        scales = Scales(monitor)
        follower = Follower(
            jobs, plan, ask=lambda: _ask(scales, monitor, question), say=_say, close=lambda: batch_job.remove(folder)
        )
        if once:
            try:
                trouble = follower.once()
            except SlurmTrouble as error:
                trouble = str(error)
            if trouble:
                complain(PROGRAM, trouble)
            return WRONG if trouble else OK
        _say(f"{least} to {most} workers of {', '.join(functions)}, jobs {name}; Ctrl-C drains them")
        return follower.run()


def _check(sbatch: Sequence[str], least: int, most: int) -> None:
    """Refuse what can mean nothing. Raises click.UsageError."""
    if least > most:
        raise click.UsageError(f"--min {least} is more than --max {most}.")
    before = ""
    for word in sbatch:
        long = word.removeprefix("--").partition("=")[0] if word.startswith("--") else ""
        short = word[1:2] if word.startswith("-") and not long else ""
        if long in OURS or short in OURS_SHORT:
            raise click.UsageError(f"{word} is not for you to set: this command makes and names its own job arrays.")
        if not word.startswith("-") and (not before.startswith("-") or "=" in before):
            raise click.UsageError(f"{word[:40]!r} is no option of sbatch: targets are behind a --.")
        before = word


def _cpus(sbatch: Sequence[str]) -> int | None:
    """Return how many CPUs these options of sbatch ask for; None where they do not say."""
    found = re.findall(r"(?:^|\n)(?:-c[\n=]?|--cpus-per-task[\n=])([1-9][0-9]{0,4})(?=\n|$)", "\n".join(sbatch))
    return int(found[-1]) if found else None


def _log(sbatch: Sequence[str]) -> Path | None:
    """Return the pattern of the files with the workers' output; None where the user has chosen other ones."""
    own = ("--output", "--error", "--chdir")
    if any(one.partition("=")[0] in own or one[:2] in ("-o", "-e", "-D") for one in sbatch):
        return None
    return Path.cwd() / batch_job.LOG


def _functions(targets: Sequence[str]) -> tuple[str, ...]:
    """Return the names under which these targets are offered. Raises ConfigurationError for a target that is none."""
    done = subprocess.run(
        [sys.executable, "-c", RESOLVE, *targets], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = done.stderr.splitlines() or [f"importing the targets ended with {done.returncode}"]
        raise ConfigurationError(lines[-1])
    # What a module prints at its import comes before.
    names: list[str] = json.loads(done.stdout.splitlines()[-1])
    return (*names,)


def _ask(scales: Scales, monitor: Monitor, question: Question) -> Wanted:
    answer: dict[str, Any] | None = scales.answer(question)
    if answer is None:
        return Wanted(trouble=f"Redis: {monitor.redis().error}; leaves the jobs as they are")
    return Wanted(answer["workers"], answer["demand"])


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # the terminal is gone
        click.echo(printable(text, None))
        sys.stdout.flush()
