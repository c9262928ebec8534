"""Prints rows: as a table in a terminal, as lines with tabs where the output is piped, as JSON where it is asked for.

Piped output is for scripts: a header line, then a line for each row, plain numbers, nothing cut. A terminal shows times
for people ("12 s ago"). Every cell is made printable, and holds no tab and no end of a line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from simpledist.monitor.times import ago, duration
from simpledist.printable import printable

Cell = str | int | float | None


class Duration(float):
    """Seconds that something took or waits."""


class Age(float):
    """Seconds since something happened."""


SCHEMA = 1  # of what --json prints; a schema only gains fields


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a click callback the option --json, as `as_json`."""
    text = f"Print one JSON object, stable for scripts (`schema` {SCHEMA})."
    return click.option("--json", "as_json", is_flag=True, help=text)(command)


def show_json(**content: Any) -> None:
    """Print one object of JSON on one line, with the number of its schema in front."""
    click.echo(json.dumps({"schema": SCHEMA, **content}))


def objects(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[dict[str, Any]]:
    """Return rows as objects of JSON: numbers stay numbers, and what is not known is null."""
    return [
        {
            head: round(float(cell), 3) if isinstance(cell, float) else cell
            for head, cell in zip(heads, row, strict=True)
        }
        for row in rows
    ]


def show(heads: Sequence[str], rows: Iterable[Sequence[Cell]], *, empty: str) -> None:
    """Print rows under their heads; a person reads `empty` where there are none."""
    if not sys.stdout.isatty():
        for row in [heads, *rows]:
            click.echo("\t".join(plain(cell) for cell in row))
        return
    console = Console(highlight=False)
    cells = [list(row) for row in rows]
    if not cells:
        console.print(Text(f"({empty})", style="dim"))
        return
    table = Table(box=None, header_style="dim", pad_edge=False)
    for number, head in enumerate(heads):
        right = all(not isinstance(row[number], str) for row in cells)
        last = number == len(heads) - 1  # only the last column is wrapped: it may be long
        timed = any(isinstance(row[number], (Duration, Age)) for row in cells)
        named = head.replace("_seconds", "" if timed else " s").replace("_", " ")
        shown = Text("for" if named == "seconds" else named)
        table.add_column(
            shown, justify="right" if right else "left", no_wrap=not last, overflow="fold" if last else "ellipsis"
        )
    for row in cells:
        table.add_row(*(Text(_for_people(cell)) for cell in row))
    console.print(table)


def plain(cell: Cell) -> str:
    """Return a cell as text; a dash for what is not known."""
    if cell is None:
        return "-"
    return f"{cell:.1f}" if isinstance(cell, float) else printable(" ".join(str(cell).split()), None)


def _for_people(cell: Cell) -> str:
    if isinstance(cell, Age):
        return ago(cell)
    return duration(cell) if isinstance(cell, Duration) else plain(cell)
