"""`simpledist workers`: each worker, how it is, what it offers and how much of it is busy."""

from __future__ import annotations

import click

from simpledist.cli.options import OK, common_options, complain
from simpledist.cli.reading import demand, demand_all, in_trouble, monitor_of
from simpledist.cli.tables import Cell, show
from simpledist.config import Config
from simpledist.monitor import WorkerState

HEADS = ("worker", "label", "host", "pid", "health", "busy", "slots", "beat_seconds", "python", "functions")


@click.command()
@click.option("--function", metavar="NAME", help="Only the workers that offer NAME, in any version or in that one.")
@common_options
def workers(config: Config, function: str | None) -> int:
    """Show each worker: its health, its slots, the age of its last beat, and the functions that it offers.

    Health is alive, late (no beat for 5 s), silent (for 10 s) or dead: a dead worker's jobs went back to their queues
    by themselves, and its line leaves after ten minutes. A worker that drains finishes what it has and takes no more.
    One with `no child` lives, but its child processes cannot start; one that is `stuck` gets a
    command not through to Redis. Both offer nothing meanwhile: a line on stderr says why.

    \b
    Examples:
        simpledist workers
        simpledist workers --function fib | tail -n +2 | cut -f2,5
    """
    with monitor_of(config) as monitor:
        snapshot = monitor.snapshot()
    demand(config, snapshot.redis)
    found = [one for one in snapshot.workers if function is None or _offers(one, function)]
    show(HEADS, [_row(one) for one in found], empty="no workers: start one with simpledist-worker MODULE:FUNCTION")
    for one in found:
        if one.live and one.trouble:
            complain("simpledist workers", in_trouble(one))
    demand_all(config, snapshot.redis)
    return OK


def _offers(worker: WorkerState, function: str) -> bool:
    return any(function in (one, one.partition("@")[0]) for one in worker.functions)


def _row(worker: WorkerState) -> tuple[Cell, ...]:
    return (
        worker.id,
        worker.label,
        worker.host,
        worker.pid,
        worker.condition,
        worker.busy,
        worker.slots,
        worker.beat_age_seconds,
        worker.python,
        " ".join(worker.functions),
    )
