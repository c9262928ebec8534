"""`simpledist workers`: shows each worker, its health, what it offers and how many of its slots are busy."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from simpledist.cli.options import OK, common_options, complain
from simpledist.cli.reading import demand, demand_all, function_names, meant, monitor_of, problem_lines, tell_dropped
from simpledist.cli.tables import Age, Cell, json_option, objects, show, show_json
from simpledist.config import Config
from simpledist.monitor import WorkerState

HEADS = ("worker", "label", "host", "pid", "health", "busy", "slots", "beat_seconds", "python", "tags", "functions")


@click.command()
@click.option("--function", metavar="NAME", help="Only the workers that offer NAME, in any version or in that one.")
@json_option
@common_options
def workers(config: Config, function: str | None, as_json: bool) -> int:
    """Show each worker: its health, its slots, the age of its last beat, and the functions that it offers.

    Health is alive, late (no beat for 5 s), silent (for 10 s) or dead. The jobs of a dead worker went back to their
    queues by themselves, and its line is removed after ten minutes. A worker that drains finishes its jobs and takes no
    more. Else health says what keeps a worker from its work: `no child`, `stuck`, `other key`, `other version`,
    `missing module`, `withdrawn`, `refuses jobs` or `other code`. A line on stderr says more, and what to do.

    \b
    Examples:
        simpledist workers
        simpledist workers --function fib | tail -n +2 | cut -f2,5
        simpledist workers --json | jq -r '.workers[] | select(.health != "alive") | .worker'
    """
    with monitor_of(config) as monitor:
        snapshot = monitor.snapshot()
        tell_dropped("simpledist workers", monitor)
    demand(config, snapshot.redis)
    found = [one for one in snapshot.workers if function is None or _offers(one, function)]
    if as_json:
        rows = objects(HEADS, [(*_row(one)[:-2], list(one.tags), list(one.functions)) for one in found])
        problems = [[{"text": each.text, "remedy": each.remedy} for each in one.problems] for one in found]
        more = [
            {"problems": some, "distributions": dict(one.distributions)}
            for some, one in zip(problems, found, strict=True)
        ]
        show_json(workers=[row | each for row, each in zip(rows, more, strict=True)])
    else:
        # In a terminal each column counts.
        without = [] if any(one.tags for one in found) or not sys.stdout.isatty() else [HEADS.index("tags")]
        heads, *table = [_all_but(without, row) for row in (HEADS, *map(_row, found))]
        show([str(head) for head in heads], table, empty="no workers: start one with simpledist-worker MODULE:FUNCTION")
    for one in found:
        for line in problem_lines(one):
            complain("simpledist workers", line)
    if question := meant(function, function_names(snapshot)):
        complain("simpledist workers", question)
    demand_all(config, snapshot.redis)
    return OK


def _offers(worker: WorkerState, function: str) -> bool:
    return any(function in (one, one.partition("@")[0]) for one in worker.functions)


def _all_but(without: list[int], row: Sequence[Cell]) -> list[Cell]:
    return [cell for number, cell in enumerate(row) if number not in without]


def _row(worker: WorkerState) -> tuple[Cell, ...]:
    return (
        worker.id,
        worker.label,
        worker.host,
        worker.pid,
        worker.condition,
        worker.busy,
        worker.slots,
        None if worker.beat_age_seconds is None else Age(worker.beat_age_seconds),
        worker.python,
        " ".join(worker.tags),
        " ".join(worker.functions),
    )
