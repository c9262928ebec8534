"""`simpledist status`: queues and workers at a glance, for people and for scripts."""

from __future__ import annotations

import json

import click

from simpledist.cli.options import OK, WRONG, common_options, complain
from simpledist.cli.reading import demand, demand_all, in_trouble, monitor_of
from simpledist.cli.tables import show
from simpledist.config import Config
from simpledist.monitor import FunctionState, Snapshot

HEADS = ("function", "queued", "running", "workers", "oldest_wait_seconds")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, stable for scripts (`schema` 1).")
@common_options
def status(config: Config, as_json: bool) -> int:
    """Show each function: how many jobs are queued and running, its live workers, and the oldest wait.

    Exits with 1 when something is wrong: Redis is away, or jobs are queued for a function that no live worker offers.
    `simpledist workers` shows the workers, `simpledist doctor` looks for all else that may be wrong.

    \b
    Examples:
        simpledist status
        simpledist status --json | jq '.functions[] | select(.queued > 100)'
    """
    with monitor_of(config) as monitor:
        snapshot = monitor.snapshot()
    if as_json:
        click.echo(json.dumps(snapshot.as_status()))
    elif snapshot.redis.ok:
        _show(snapshot)
    demand(config, snapshot.redis)
    demand_all(config, snapshot.redis)
    for worker in snapshot.workers:
        if worker.live and worker.trouble:
            complain("simpledist status", in_trouble(worker))
    stranded = [one for one in snapshot.functions if one.stranded]
    for one in stranded:
        complain("simpledist status", without_worker(one))
    return WRONG if stranded else OK


def without_worker(function: FunctionState) -> str:
    """What is wrong with a stranded function, and what to do."""
    return (
        f"{function.queued} jobs of {function.function} are queued and no live worker offers it: "
        f"start one with simpledist-worker MODULE:{function.function}"
    )


def _show(snapshot: Snapshot) -> None:
    rows = [(one.function, one.queued, one.running, one.workers, one.oldest_wait_seconds) for one in snapshot.functions]
    show(HEADS, rows, empty="no function was ever offered: start a worker with simpledist-worker MODULE:FUNCTION")
