"""`simpledist status`: queues and workers at a glance, for people and for scripts."""

from __future__ import annotations

import json
import sys

import click
from rich.console import Console
from rich.table import Table

from simpledist.cli.options import OK, WRONG, common_options, complain
from simpledist.config import Config
from simpledist.errors import RedisDown, RedisRefused
from simpledist.monitor import Monitor, Snapshot


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, stable for scripts (`schema` 1).")
@common_options
def status(config: Config, as_json: bool) -> int:
    """Show each function's queue and each worker.

    Exits with 1 when something is wrong: Redis is away, or jobs are queued for a function that no live worker offers.

    \b
        simpledist status
        simpledist status --json | jq '.functions[] | select(.queued > 100)'
    """
    monitor = Monitor.connect(config.url, config.namespace)
    snapshot = monitor.snapshot()
    monitor.close()
    if as_json:
        click.echo(json.dumps(snapshot.as_status()))
    elif snapshot.redis.ok:
        _show(snapshot)
    if snapshot.redis.refused:
        raise RedisRefused(f"Redis at {config.safe_url} refuses us: {snapshot.redis.error}")
    if not snapshot.redis.ok:
        raise RedisDown(f"Redis at {config.safe_url} cannot be reached: {snapshot.redis.error}")
    stranded = [one for one in snapshot.functions if one.stranded]
    for one in stranded:
        complain(
            "simpledist status",
            f"{one.queued} jobs of {one.function} are queued and no live worker offers it: "
            f"start one with simpledist-worker MODULE:{one.name}",
        )
    return WRONG if stranded else OK


def _show(snapshot: Snapshot) -> None:
    functions = [
        (one.function, str(one.queued), str(one.running), str(one.workers), f"{one.oldest_wait_seconds:.1f}")
        for one in snapshot.functions
    ]
    workers = [
        (
            one.id,
            one.label,
            one.host,
            str(one.pid),
            f"{one.busy}/{one.slots}",
            "-" if one.beat_age_seconds is None else f"{one.beat_age_seconds:.1f}",
            one.health,
        )
        for one in snapshot.workers
    ]
    _table(("function", "queued", "running", "workers", "oldest wait s"), functions, "no function was ever offered")
    _table(("worker", "label", "host", "pid", "busy", "beat s ago", "health"), workers, "no workers")


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]], empty: str) -> None:
    """A table in a terminal; lines with tabs where it is piped."""
    if not sys.stdout.isatty():
        for row in [heads, *rows]:
            click.echo("\t".join(" ".join(cell.split()) for cell in row))
        return
    table = Table(box=None, header_style="dim", pad_edge=False)
    for head in heads:
        table.add_column(
            head, justify="right" if head not in ("function", "worker", "label", "host", "health") else "left"
        )
    for row in rows:
        table.add_row(*row)
    console = Console()
    console.print(table if rows else f"({empty})", markup=False)
    console.print()
