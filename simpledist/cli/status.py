"""`simpledist status`: queues and workers at a glance, for people and for scripts."""

from __future__ import annotations

import json

import click

from simpledist.cli.options import OK, WRONG, common_options, complain
from simpledist.cli.reading import (
    demand,
    demand_all,
    monitor_of,
    problem_lines,
    tell_dropped,
    with_tags,
    without_tags,
    without_worker,
)
from simpledist.cli.tables import Duration, json_option, show
from simpledist.config import Config
from simpledist.monitor import Snapshot
from simpledist.monitor.times import ago

EMPTY = "no worker ever offered a function: start one with simpledist-worker MODULE:FUNCTION"
DEMAND_HEADS = (
    "function",
    "demand",
    "queued",
    "running",
    "waiting_at_clients",
    "running_at_clients",
    "workers",
)
HEADS = ("function", "queued", "running", "workers", "oldest_wait_seconds")


@click.command()
@click.option("--demand", "as_demand", is_flag=True, help="Show where the jobs are that want a slot, also at clients.")
@json_option
@common_options
def status(config: Config, as_demand: bool, as_json: bool) -> int:
    """Show each function: how many jobs are queued and running, its live workers, and the oldest wait.

    The exit code is 1 when something is wrong: Redis is away, or jobs are queued for a function that no live worker
    offers. `simpledist workers` shows the workers, `simpledist doctor` finds everything else that may be wrong.

    \b
    Examples:
        simpledist status
        simpledist status --demand
        simpledist status --json | jq '.functions[] | select(.queued > 100)'
    """
    with monitor_of(config) as monitor:
        snapshot = monitor.snapshot()
        tell_dropped("simpledist status", monitor)
    if as_json:
        click.echo(json.dumps(snapshot.as_status()))
    elif snapshot.redis.ok:
        (_show_demand if as_demand else _show)(snapshot)
    demand(config, snapshot.redis)
    demand_all(config, snapshot.redis)
    for worker in snapshot.workers:
        for line in problem_lines(worker):
            complain("simpledist status", line)
    for one in snapshot.functions:
        if one.disabled_seconds is not None:
            when = ago(one.disabled_seconds)
            complain(
                "simpledist status", f"{one.function} was disabled {when}: simpledist enable {one.function} ends that"
            )
    stranded = [one for one in snapshot.functions if one.stranded]
    for one in stranded:
        complain("simpledist status", f"{without_worker(one)}: start one with {one.start_command}")
    for one in snapshot.functions:
        if tags := snapshot.lacking(one):
            complain("simpledist status", f"{without_tags(one, tags)}: start one with {with_tags(one, tags)}")
    return WRONG if stranded else OK


def _show(snapshot: Snapshot) -> None:
    rows = [
        (one.function, one.queued, one.running, one.workers, Duration(one.oldest_wait_seconds))
        for one in snapshot.functions
    ]
    show(HEADS, rows, empty=EMPTY)


def _show_demand(snapshot: Snapshot) -> None:
    rows = [
        (
            one.function,
            one.demand,
            one.queued,
            one.running,
            one.at_clients.waiting,
            round(one.at_clients.running, 3),
            one.workers,
        )
        for one in snapshot.functions
    ]
    show(DEMAND_HEADS, rows, empty=EMPTY)
