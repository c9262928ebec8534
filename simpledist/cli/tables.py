"""Prints rows: as a table in a terminal, as lines with tabs where the output is piped.

Piped output is for scripts: a header line, then a line for each row, plain numbers, nothing cut. A terminal shows times
for people ("12 s ago"). The monitor has made every cell printable; here no cell may hold a tab or the end of a line.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from simpledist.monitor.times import ago, duration

Cell = str | int | float | None


class Duration(float):
    """Seconds that something took or waits."""


class Age(float):
    """Seconds since something happened."""


def show(heads: Sequence[str], rows: Iterable[Sequence[Cell]], *, empty: str) -> None:
    """Print rows under their heads; a person reads `empty` where there are none."""
    if not sys.stdout.isatty():
        for row in [heads, *rows]:
            click.echo("\t".join(" ".join(plain(cell).split()) for cell in row))
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
    return f"{cell:.1f}" if isinstance(cell, float) else str(cell)


def _for_people(cell: Cell) -> str:
    if isinstance(cell, Age):
        return ago(cell)
    return duration(cell) if isinstance(cell, Duration) else plain(cell)
