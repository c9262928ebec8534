"""Words behind the "--" of a command that starts workers: they are for simpledist-worker, and are checked by it, once.

Called by the commands that start workers elsewhere (ssh.py, slurm.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from click.core import ParameterSource

from simpledist.cli import worker

SEPARATOR = "--"
OURS = {"redis_url": "--redis", "namespace": "--namespace", "secret_file": "--secret-file", "insecure": "--insecure"}


class WithTargets(click.Command):
    """A command whose arguments end at "--"; what follows is the worker's, and left alone."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Set the worker's words aside before click looks at the rest."""
        at = args.index(SEPARATOR) if SEPARATOR in args else len(args)
        ctx.meta[SEPARATOR] = args[at + 1 :]
        return super().parse_args(ctx, args[:at])


def worker_options(words: Sequence[str]) -> dict[str, Any]:
    """Return those options of simpledist-worker that these words set, and "targets".

    Raises click's errors for what no worker would take.
    """
    context = worker.worker.make_context("simpledist-worker", list(words))
    given: dict[str, Any] = {
        name: value
        for name, value in context.params.items()
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    for name, option in OURS.items():
        if given.get(name):
            raise click.UsageError(f"{option} goes before the --: it is the same for all workers.")
    if not given.get("targets") and not given.get("any_function"):
        raise click.UsageError("Missing what the workers offer: -- TARGET... (or -- --any).")
    return {"targets": (), **given}
