"""`simpledist errors`: shows what failed in the last day, in groups."""

from __future__ import annotations

import click

from simpledist.cli.options import OK, common_options, complain
from simpledist.cli.reading import demand, demand_all, function_names, meant, monitor_of, tell_dropped
from simpledist.cli.tables import Age, json_option, objects, show, show_json
from simpledist.config import Config
from simpledist.monitor import Failure
from simpledist.monitor.times import ago, plural

HEADS = ("count", "function", "error", "place", "first_seconds", "last_seconds", "job", "message")


@click.command()
@click.option("--function", metavar="NAME", help="Only failures of NAME, in any version, or of NAME@VERSION.")
@click.option("--traceback", is_flag=True, help="Show one traceback of each group; meant for reading, not for scripts.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many groups to show.")
@json_option
@common_options
def errors(config: Config, function: str | None, traceback: bool, limit: int, as_json: bool) -> int:
    """Show what failed, grouped by function, error and place, the latest group first.

    An error is the type of an exception that a function raised, or the reason why a job ran at its client (crashed,
    lost, worker_error ...: see "What a caller sees" in the README). `first` and `last` say how long ago it happened,
    `job` is the latest job. Errors are forgotten a day after they last happened.

    \b
    Examples:
        simpledist errors
        simpledist errors --function fib --traceback
    """
    with monitor_of(config) as monitor:
        snapshot = monitor.snapshot()
        demand(config, snapshot.redis)
        named = {one.function for one in snapshot.functions if function in (None, one.function, one.name)}
        groups = [one for one in monitor.failures() if one.function in named]
        redis = monitor.redis()
        tell_dropped("simpledist errors", monitor)
    demand(config, redis)
    shown = groups[:limit]
    rows = [
        (
            one.count,
            one.function,
            one.kind,
            one.place,
            Age(max(0.0, snapshot.time - one.first)),
            Age(max(0.0, snapshot.time - one.last)),
            one.job,
            one.message,
        )
        for one in shown
    ]
    if as_json:
        traces = [{"traceback": one.traceback} if traceback else {} for one in shown]
        show_json(errors=[row | trace for row, trace in zip(objects(HEADS, rows), traces, strict=True)])
    elif traceback:
        for one in shown:
            click.echo(_described(one, snapshot.time))
    else:
        show(HEADS, rows, empty="nothing has failed in the last day")
    if question := meant(function, function_names(snapshot)):
        complain("simpledist errors", question)
    if len(shown) < len(groups):
        complain("simpledist errors", f"{len(shown)} of {len(groups)} groups are shown (--limit)")
    demand_all(config, redis)
    return OK


def _described(group: Failure, now: float) -> str:
    times = "once" if group.count == 1 else plural(group.count, "time")
    place = f" at {group.place}" if group.place else ""
    trace = "\n".join(f"    {line}" for line in group.traceback.splitlines())
    last = ago(max(0.0, now - group.last))
    head = f"{group.function}: {group.kind}{place}, {times}, last {last} (job {group.job})"
    return f"{head}\n{trace}\n"
