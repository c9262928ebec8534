"""`simpledist-worker`: offers functions to all clients of a Redis."""

from __future__ import annotations

import logging
import platform
from importlib import import_module
from typing import Any, cast

import click

from simpledist import shipped
from simpledist.cli.options import Seconds, common_options, run
from simpledist.config import Config
from simpledist.config.arguments import MOST_SECONDS
from simpledist.wire.signing import Keyring
from simpledist.worker.cpus import cpus

SLOTS_MOST = 4096  # each is a process


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
    type=Seconds(min=0, max=MOST_SECONDS),
    default=25.0,
    show_default=True,
    help="Seconds that running jobs have to finish after SIGTERM or Ctrl-C; unfinished jobs go back.",
)
@click.option(
    "--recycle", type=click.IntRange(min=1), help="Replace a child after so many jobs (for functions that leak)."
)
@click.option(
    "--any",
    "any_function",
    is_flag=True,
    help="Run functions that travel with their calls, as client.executor() sends them. "
    "Anyone who may send calls can then run any code here.",
)
@common_options
def worker(
    config: Config,
    targets: tuple[str, ...],
    slots: int | None,
    label: str | None,
    grace: float,
    recycle: int | None,
    any_function: bool,
) -> int:
    """Offer functions, and run the calls that clients make of them in child processes, one for each slot.

    A TARGET is module:function, a module (its __all__, else the public functions defined in it), or
    name=module:function; any of them may end in @version. The current directory is importable.

    \b
        simpledist-worker fns:fib
        simpledist-worker fns work=mathlib:integrate@2 --slots 8

    Numerical libraries get CPUs / slots threads in each slot, unless OMP_NUM_THREADS and its like are set.

    Ctrl-C or SIGTERM drains: new calls go elsewhere at once, running jobs are finished. A second one stops now. The
    worker waits for a Redis that is away.
    """
    if any_function:
        targets = (*targets, shipped.TARGET)
    if not targets:
        raise click.UsageError("Missing argument 'TARGET...' (or --any).")
    keyring = Keyring.from_file(config.secret_file, config.namespace) if config.secret_file else Keyring()
    # Imported only now: this system has what they need.
    rooms: Any = [import_module(f"simpledist.worker.{name}") for name in ("printer", "worker")]
    with rooms[0].Printer() as printer:
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler):
                cast("logging.StreamHandler[Any]", handler).setStream(printer)
        one = rooms[1].Worker(
            config,
            keyring,
            list(targets),
            slots=slots or cpus(),
            label=label or platform.node(),
            grace_seconds=grace,
            recycle=recycle,
            printer=printer,
        )
        one.start()
        return one.run()


def main() -> None:
    """Run the command and exit."""
    run(worker, "simpledist-worker")


if __name__ == "__main__":
    main()
