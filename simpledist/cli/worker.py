"""`simpledist-worker`: offers functions to all clients of a Redis."""

from __future__ import annotations

import logging
import math
import os
import platform
import re
import time
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import click

from simpledist import job, policy, shipped
from simpledist.cli import logs
from simpledist.cli.options import Duration, Seconds, Size, complain, run, shared
from simpledist.cli.slurm_job import job_end
from simpledist.config import Config
from simpledist.printable import logger
from simpledist.wire.process_keys import keyring_of
from simpledist.worker.cpus import cpus
from simpledist.worker.gpus import gpus

PROGRAM = "simpledist-worker"
SLOTS_MOST = 4096  # each is a process
LEAST_MEMORY_BYTES = 32 * 2**20  # a child that has imported nothing takes about as much
SPARE_SECONDS = 10.0  # before the end of a Slurm job a worker is gone


class Lifetime(Duration):
    """A duration, or "auto"."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Let "auto" pass."""
        return value if value == "auto" else super().convert(value, param, ctx)


class Tag(click.types.StringParamType):
    """A word that calls may need of a worker."""

    name = "tag"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what a caller could not ask for."""
        if not job.TAG.fullmatch(value):
            self.fail(f"{value!r}: {job.TAG_RULE}.", param, ctx)
        return value


class SetupFunction(click.types.StringParamType):
    """A function of a module, without another name or a version."""

    name = "module:function"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse a module alone, and what has a name or a version, as targets have."""
        if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*", value):
            self.fail(f"{value!r}: write MODULE:FUNCTION.", param, ctx)
        return value


@click.command(context_settings={"max_content_width": 100})
@click.argument("targets", metavar="TARGET...", nargs=-1)
@click.option(
    "--slots",
    type=click.IntRange(1, SLOTS_MOST),
    help="How many jobs may run at once.  [default: the CPUs that affinity, control group and Slurm allow]",
)
@click.option("--name", "label", help="A label for people; it need not be unique.  [default: the host's name]")
@click.option(
    "--grace",
    type=Seconds(min=0, max=policy.LONGEST_SECONDS),
    default=25.0,
    show_default=True,
    help="Seconds that running jobs have to finish after SIGTERM or Ctrl-C; unfinished jobs go back.",
)
@click.option(
    "--tag",
    "tags",
    metavar="TAG",
    type=Tag(),
    multiple=True,
    help="What this worker has and not every other one: 'gpu', 'big'. Serves calls that need it "
    "(worker_function(..., needs='gpu')) beside those that need nothing. May be given several times.",
)
@click.option(
    "--recycle", type=click.IntRange(min=1), help="Replace a child after so many jobs (for functions that leak)."
)
@click.option(
    "--memory",
    "memory_bytes",
    metavar="SIZE",
    type=Size(least=LEAST_MEMORY_BYTES),
    help="How much memory a slot may take, its child and what that has started: 2G, 500M. A job that takes more is "
    "stopped, tried on another worker, then run by its caller in a process of its own. Linux only.",
)
@click.option(
    "--gpus",
    "gpu_count",
    metavar="N",
    type=click.IntRange(1, SLOTS_MOST),
    help="Give each child one of N GPUs (CUDA_VISIBLE_DEVICES, HIP_VISIBLE_DEVICES), and start N slots. With --tag gpu "
    "calls can ask for it.",
)
@click.option(
    "--lifetime",
    type=Lifetime(min=1, max=policy.LONGEST_SECONDS),
    help="Drain and end with 0 after so long: 3300, 55m, 2h. 'auto': in time for the end of the Slurm job. "
    "A function whose jobs would take longer than what is left is offered no more.",
)
@click.option(
    "--stagger",
    type=Duration(min=0, max=policy.LONGEST_SECONDS),
    default=0.0,
    help="With --lifetime: end up to so much earlier, so that many workers do not end together.",
)
@click.option(
    "--idle-exit",
    type=Duration(min=1, max=policy.LONGEST_SECONDS),
    help="Drain and end with 0 after so long without a job; a Redis that is away is waited for for five minutes.",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Drain and end with 0 after so many jobs.")
@click.option(
    "--alive",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Touch this file once a second while the worker is well, for liveness probes; it goes when the worker ends.",
)
@click.option(
    "--any",
    "any_function",
    is_flag=True,
    help="Run functions that travel with their calls, as client.executor() sends them. "
    "Anyone who may send calls can then run any code here.",
)
@click.option(
    "--with",
    "with_named",
    metavar="NAMES",
    multiple=True,
    help="With --any: install these distributions and have functions find them: 'pandas,scikit-learn>=1.5'. By uv, "
    "else pip, once for each list, into this user's cache folder. May be given several times.",
)
@click.option(
    "--requirements",
    "requirements_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --any: do the same with a requirements file, as pip reads it.",
)
@click.option(
    "--setup",
    metavar="MODULE:FUNCTION",
    type=SetupFunction(),
    help="Call this function once, after the imports and before any job, in the process from which the children are "
    f"forked: what it loads, they share. Ends the worker where it fails, or takes {policy.SETUP_SECONDS:.0f} s.",
)
@shared(signs=True, log_format=True)
def worker(
    config: Config,
    targets: tuple[str, ...],
    slots: int | None,
    label: str | None,
    tags: tuple[str, ...],
    grace: float,
    recycle: int | None,
    memory_bytes: int | None,
    gpu_count: int | None,
    lifetime: float | Literal["auto"] | None,
    stagger: float,
    idle_exit: float | None,
    jobs: int | None,
    alive: Path | None,
    any_function: bool,
    with_named: tuple[str, ...],
    requirements_file: Path | None,
    setup: str | None,
) -> int:
    """Offer functions, and run the calls that clients make of them in child processes, one for each slot.

    A TARGET is module:function, a module (its __all__, else the public functions defined in it), or
    name=module:function; any of them may end in @version. The current directory is importable.

    \b
        simpledist-worker fns:fib
        simpledist-worker fns work=mathlib:integrate@2 --slots 8
        simpledist-worker fns:train --gpus 4 --tag gpu --tag big
        simpledist-worker --any --with pandas,scikit-learn

    Numerical libraries get CPUs / slots threads in each slot, unless OMP_NUM_THREADS and its like are set.

    Ctrl-C or SIGTERM drains: new calls go elsewhere at once, running jobs are finished. A second one stops now. The
    worker waits for a Redis that is away. With --lifetime, --idle-exit or --jobs it drains by itself.
    """
    if any_function:
        targets = (*targets, shipped.TARGET)
    if not targets:
        raise click.UsageError("Missing argument 'TARGET...' (or --any).")
    if (with_named or requirements_file) and not any_function:
        raise click.UsageError("--with and --requirements mean nothing without --any: install what your targets need.")
    if stagger and lifetime is None:
        raise click.UsageError("--stagger means nothing without --lifetime.")
    if len({*tags}) > job.MOST_TAGS:
        raise click.UsageError(f"--tag: a worker may have {job.MOST_TAGS} tags at most.")
    if gpu_count and slots and slots > gpu_count:
        raise click.UsageError(f"--slots {slots} with --gpus {gpu_count}: each slot needs a GPU of its own.")
    try:
        shown = gpus(gpu_count, os.environ) if gpu_count else ()
    except ValueError as error:
        raise click.UsageError(f"--gpus {gpu_count}: {error}.") from None
    keyring = keyring_of(config)
    distributions = _installed(with_named, requirements_file) if with_named or requirements_file else ""
    if memory_bytes is not None and not import_module("simpledist.worker.memory").resident_bytes([os.getpid()]):
        raise click.UsageError("--memory: this system does not tell how much memory a process takes (no /proc).")
    # Imported only now: this system has what they need.
    rooms: Any = [
        import_module(f"simpledist.worker.{name}") for name in ("printer", "worker", "life", "options", "launch")
    ]
    with rooms[0].Printer() as printer:
        logs.print_by(printer)
        ends = _slurm_seconds(grace) if lifetime == "auto" else lifetime
        options = rooms[3].Options(
            slots=slots or gpu_count or cpus(),
            label=label or platform.node(),
            grace_seconds=grace,
            recycle=recycle,
            bounds=rooms[2].Bounds(ends, stagger, idle_exit, jobs, alive),
            tags=tuple(sorted({*tags})),
            memory_bytes=memory_bytes,
            gpus=shown,
            preparation=rooms[4].Preparation(distributions, setup or ""),
        )
        one = rooms[1].Worker(config, keyring, list(targets), options, printer=printer)
        logs.name_worker(one.id)
        one.start()
        code = one.run()
    if one.unable:  # below whatever its children have written
        logger("simpledist.worker").error("worker %s: %s; it ends", one.id, one.unable)
    return code


def _installed(named: tuple[str, ...], file: Path | None) -> str:
    """Return the folder with these distributions, once they are there."""
    asked = import_module("simpledist.worker.requirements").requirements(named, file)

    def say(text: str) -> None:
        if logging.getLogger("simpledist.worker").isEnabledFor(logging.INFO):
            complain(PROGRAM, text)

    return str(import_module("simpledist.worker.distributions").made(asked, say)) if asked.lines else ""


def _slurm_seconds(grace: float) -> float | None:
    """Return what is left of the Slurm job that this worker runs in, less its grace; None: it has no time limit."""
    ends_at = job_end()
    if ends_at is None:
        raise click.UsageError("--lifetime auto: no end of a Slurm job is known here; say how long, as --lifetime 55m.")
    return None if ends_at == math.inf else max(1.0, ends_at - time.time() - grace - SPARE_SECONDS)


def main() -> None:
    """Run the command and exit."""
    run(worker, PROGRAM)


if __name__ == "__main__":
    main()
