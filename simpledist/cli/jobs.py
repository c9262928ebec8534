"""`simpledist jobs`: shows what runs and what is queued, job by job."""

from __future__ import annotations

import click

from simpledist.cli.options import OK, common_options, complain
from simpledist.cli.reading import demand, demand_all, function_names, meant, monitor_of, tell_dropped
from simpledist.cli.tables import Cell, Duration, json_option, objects, show, show_json
from simpledist.config import Config
from simpledist.monitor import Monitor, Snapshot

HEADS = ("job", "function", "state", "seconds", "worker", "slot", "attempt")


@click.command()
@click.option("--function", metavar="NAME", help="Only jobs of NAME, in any version, or of NAME@VERSION.")
@click.option("--worker", metavar="ID", help="Only jobs that run on this worker (its id or its label).")
@click.option("--state", type=click.Choice(["running", "queued"]), help="Only these.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many of either to show."
)
@json_option
@common_options
def jobs(config: Config, function: str | None, worker: str | None, state: str | None, limit: int, as_json: bool) -> int:
    """Show the jobs that run, the longest first, and the jobs that are queued, the oldest of each function first.

    `seconds` says how long a job has run or waited. The dashboard shows ended jobs, `simpledist errors` shows what
    failed. Arguments and results are never shown: only their callers can read them.

    \b
    Examples:
        simpledist jobs --function fib --state queued
        simpledist jobs --worker w3f5a9c0d1e2b | awk -F '\\t' '$4 > 60 {print $1}' | xargs simpledist cancel --
    """
    with monitor_of(config) as monitor:
        snapshot = monitor.snapshot()
        demand(config, snapshot.redis)
        wanted = [one.function for one in snapshot.functions if function in (None, one.function, one.name)]
        running = _running(snapshot, wanted, worker) if state != "queued" else []
        queued, waiting = ([], 0)
        if state != "running" and worker is None:
            waits = {one.function for one in snapshot.functions if one.queued}
            queued = _queued(monitor, [one for one in wanted if one in waits], limit)
            waiting = sum(one.queued for one in snapshot.functions if one.function in wanted)
        redis = monitor.redis()
        tell_dropped("simpledist jobs", monitor)
    demand(config, redis)
    rows = [*running[:limit], *queued]
    if as_json:
        show_json(jobs=objects(HEADS, rows), running=len(running), queued=waiting)
    else:
        show(HEADS, rows, empty="nothing is queued, nothing runs")
    workers = {name for one in snapshot.workers for name in (one.id, one.label)}
    for question in (meant(function, function_names(snapshot)), meant(worker, workers)):
        if question:
            complain("simpledist jobs", question)
    for shown, all_of_them, kind in ((len(running[:limit]), len(running), "run"), (len(queued), waiting, "are queued")):
        if shown < all_of_them:
            complain("simpledist jobs", f"{shown} of {all_of_them} jobs that {kind} are shown (--limit)")
    demand_all(config, redis)
    return OK


def _running(snapshot: Snapshot, functions: list[str], worker: str | None) -> list[tuple[Cell, ...]]:
    labelled = {one.id for one in snapshot.workers if worker in (None, one.id, one.label)}
    return [
        (one.id, one.function, "running", Duration(one.seconds), one.worker, one.slot, one.attempt)
        for one in snapshot.running
        if one.function in functions and (worker is None or one.worker in labelled)
    ]


def _queued(monitor: Monitor, functions: list[str], limit: int) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    for function in functions:
        page = monitor.queued(function, limit=limit - len(rows)) if len(rows) < limit else ()
        rows += [(one.id, one.function, "queued", Duration(one.seconds), None, None, None) for one in page]
    return rows
