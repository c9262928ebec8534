"""How the commands print rows: a table in a terminal, lines with tabs where the output is piped.

Piped output is for scripts: a header line, then a line a row, plain numbers, nothing cut. Cells are printable already
(the monitor's part); what is left here is that none may hold a tab or the end of a line.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

Cell = str | int | float | None


def show(heads: Sequence[str], rows: Iterable[Sequence[Cell]], *, empty: str) -> None:
    """Print rows under their heads; `empty` is what a person reads where there are none."""
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
        last = number == len(heads) - 1  # the one that may be long is wrapped, and the others are not
        shown = Text(head.replace("_seconds", " s").replace("_", " "))
        table.add_column(
            shown, justify="right" if right else "left", no_wrap=not last, overflow="fold" if last else "ellipsis"
        )
    for row in cells:
        table.add_row(*(Text(plain(cell)) for cell in row))
    console.print(table)


def plain(cell: Cell) -> str:
    """A cell as text; what is not known is a dash."""
    if cell is None:
        return "-"
    return f"{cell:.1f}" if isinstance(cell, float) else str(cell)
