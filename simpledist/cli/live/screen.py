"""The screen of `top` and its keys, as pure functions: a view and a key give a view, a view and a snapshot give lines.

Two panes: workers (a line a worker, a cell a slot) and functions. The pane in focus gets the keys and the larger part
of the screen. Everything fits 80 columns; any terminal from 40 x 10 on shows something.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from rich.cells import set_cell_size
from rich.text import Text

from simpledist.cli.live.panes import (
    FUNCTION_COLUMNS,
    WORKER_COLUMNS,
    Column,
    function_rows,
    short,
    span,
    spark,
    worker_rows,
)
from simpledist.cli.live.rates import Meter
from simpledist.monitor import Dropped, Snapshot

KEYS = (("q", "quit"), ("tab", "pane"), ("s", "sort"), ("r", "reverse"), ("/", "filter"), ("space", "pause"))
WIDE = 110
MOST_OF_A_NAME = 32
NARROW_NAME = 14
ONLY_WIDE = ("raised/s", "host", "memory", "python", "beat")
WHY_WIDTH = 64  # below it "why local" is left out
NARROW_PANE_LINES = 4

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Pane:
    """How one pane is looked at."""

    sort: int = 0
    reverse: bool = False
    filter: str = ""
    offset: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """Everything that keys change."""

    focus: str = "functions"
    workers: Pane = Pane()
    functions: Pane = Pane(sort=1)
    typing: bool = False  # the filter is being typed
    paused: bool = False
    ended: bool = False

    @property
    def pane(self) -> Pane:
        return self.workers if self.focus == "workers" else self.functions

    def with_pane(self, **changes: Any) -> View:
        pane = replace(self.pane, **changes)
        return replace(self, workers=pane) if self.focus == "workers" else replace(self, functions=pane)


# --- keys --------------------------------------------------------------------------------------------------------


def press(view: View, key: str, page: int) -> View:
    """Return the view after a key; a page has `page` lines."""
    pane = view.pane
    if key == "end":
        return replace(view, ended=True)
    if view.typing:
        if key in ("enter", "escape"):
            return replace(view.with_pane(filter="" if key == "escape" else pane.filter), typing=False)
        text = pane.filter[:-1] if key == "backspace" else pane.filter + key if len(key) == 1 else pane.filter
        return view.with_pane(filter=text, offset=0)
    if key == "q":
        return replace(view, ended=True)
    if key == "escape":
        return view.with_pane(filter="", offset=0)
    if key == "tab":
        return replace(view, focus="functions" if view.focus == "workers" else "workers")
    if key == "/":
        return replace(view.with_pane(filter=""), typing=True)
    if key == "space":
        return replace(view, paused=not view.paused)
    if key in ("s", "S"):
        columns = len(WORKER_COLUMNS if view.focus == "workers" else FUNCTION_COLUMNS)
        return view.with_pane(sort=(pane.sort + (1 if key == "s" else -1)) % columns, reverse=False, offset=0)
    if key == "r":
        return view.with_pane(reverse=not pane.reverse, offset=0)
    steps = {"up": -1, "down": 1, "page up": -page, "page down": page, "home": -pane.offset}
    return view.with_pane(offset=max(0, pane.offset + steps.get(key, 0)))


# --- lines -------------------------------------------------------------------------------------------------------


def lines(
    view: View,
    snapshot: Snapshot,
    meter: Meter,
    *,
    dropped: Sequence[Dropped] = (),
    title: str,
    width: int,
    height: int,
) -> list[Text]:
    """Return the whole screen: `height` lines of at most `width` cells."""
    head = [_title(view, snapshot, title, width), _totals(snapshot, meter, width), *_left_out(dropped, width)]
    room = max(2, height - len(head) - 1)
    workers = worker_rows(snapshot)
    small = min(room // 3, max(NARROW_PANE_LINES, room // 3))
    for_workers = room - small if view.focus == "workers" else min(len(workers) + 1, small)
    panes = [
        *_pane(view, "workers", WORKER_COLUMNS, workers, width, for_workers),
        *_pane(view, "functions", FUNCTION_COLUMNS, function_rows(snapshot, meter), width, room - for_workers),
    ]
    blank = [Text()] * (room - len(panes))
    return [*head, *panes, *blank, _foot(view, width)]


def page_lines(height: int) -> int:
    """Return how many lines page up and page down scroll."""
    return max(1, height // 2)


def _title(view: View, snapshot: Snapshot, title: str, width: int) -> Text:
    if not snapshot.redis.ok:
        what = "refuses us" if snapshot.redis.refused else "is away"
        return Text(set_cell_size(f"{title}  Redis {what}: {snapshot.redis.error}", width), style="bold white on red")
    state = "  paused" if view.paused else ""
    return Text(set_cell_size(f"{title}  Redis {snapshot.redis.version or '?'}{state}", width), style="bold reverse")


def _totals(snapshot: Snapshot, meter: Meter, width: int) -> Text:
    functions, workers = snapshot.functions, [one for one in snapshot.workers if one.live]
    rates = meter.all()
    wait = max((one.oldest_wait_seconds for one in functions), default=0.0)
    facts = (
        ("queued", short(sum(one.queued for one in functions))),
        ("oldest", span(wait)),
        ("running", str(sum(one.running for one in functions))),
        ("slots", f"{sum(one.busy for one in workers)}/{sum(one.slots for one in workers)}"),
        ("workers", str(len(workers))),
        ("calls/s", f"{rates.calls:.1f}"),
        ("local/s", f"{rates.local:.1f}"),
    )
    line = Text()
    for name, value in facts:
        if line.cell_len + len(name) + len(value) + 1 > width:
            break  # a number that is cut off would be another number
        line.append(f"{name} ", style="dim").append(value, style="bold").append("  " if width >= WIDE else " ")
    line.append(spark(list(meter.calls)[-max(0, width - line.cell_len) :] if width > line.cell_len else []), "cyan")
    line.truncate(width)
    return line


def _left_out(dropped: Sequence[Dropped], width: int) -> list[Text]:
    """Return a line about elements of Redis that are shown nowhere, if there are any."""
    if not dropped:
        return []
    more = f", and of {len(dropped) - 1} more" if len(dropped) > 1 else ""
    return [Text(set_cell_size(f"left out: {dropped[0].text}{more} (simpledist doctor)", width), style="yellow")]


def _foot(view: View, width: int) -> Text:
    columns = WORKER_COLUMNS if view.focus == "workers" else FUNCTION_COLUMNS
    if view.typing:
        return Text(set_cell_size(f"filter {view.focus}: {view.pane.filter}_", width), style="reverse")
    sort = f"{columns[view.pane.sort].head}{' reversed' if view.pane.reverse else ''}"
    chosen = f"[{view.focus} by {sort}{f', filter {view.pane.filter}' if view.pane.filter else ''}] "
    line = Text(chosen)
    for key, does in (*KEYS, ("arrows", "scroll")):
        if line.cell_len + len(key) + len(does) + 1 > width:
            break
        line.append(key, "bold").append(f" {does} ", "dim")
    line.truncate(width)
    return line


def _pane(
    view: View, name: str, columns: Sequence[Column[Row]], rows: list[Row], width: int, height: int
) -> list[Text]:
    """Return a heading, then as many rows as fit, from the pane's offset on."""
    if height < 1:
        return []
    pane = view.workers if name == "workers" else view.functions
    first = columns[0]
    if pane.filter:
        rows = [row for row in rows if pane.filter.lower() in str(first.by(row)).lower()]
    rows = _sorted(rows, columns[pane.sort % len(columns)], pane.reverse)
    room = height - 1
    offset = min(pane.offset, max(0, len(rows) - room))
    shown = [column for column in columns if width >= WIDE or column.head not in ONLY_WIDE]
    shown = [column for column in shown if width >= WHY_WIDTH or column.head != "why local"]
    widths = _widths(shown, width)
    head = Text(style="bold dim" if view.focus != name else "bold underline")
    for column, cells in zip(shown, widths, strict=True):
        mark = column.head if column is not columns[pane.sort] else f"{column.head}{'^' if pane.reverse else '*'}"
        head.append_text(_cell(mark if len(mark) <= cells else column.head, cells, right=column.right)).append(" ")
    found = [head]
    for row in rows[offset : offset + room]:
        line = Text()
        for column, cells in zip(shown, widths, strict=True):
            line.append_text(_cell(column.text(row), cells, right=column.right)).append(" ")
        found.append(line)
    for line in found:
        line.truncate(width)
    return found


def _widths(columns: Sequence[Column[Any]], width: int) -> list[int]:
    """Return the cells of each column: the open ones share the rest, the first of them up to a bound."""
    widths = [column.width for column in columns]
    left = width - sum(widths) - len(widths)
    for number in (number for number, cells in enumerate(widths) if not cells):
        most = MOST_OF_A_NAME if width >= WIDE else NARROW_NAME
        widths[number] = max(1, left if number == len(widths) - 1 else min(left, most))
        left -= widths[number]
    return widths


def _sorted(rows: list[Row], column: Column[Row], reverse: bool) -> list[Row]:
    keys = [column.by(row) for row in rows]
    falling = any(not isinstance(key, str) for key in keys)
    order = sorted(range(len(rows)), key=lambda i: keys[i], reverse=falling != reverse)  # type: ignore[arg-type,return-value]
    return [rows[i] for i in order]


def _cell(content: str | Text, width: int, *, right: bool) -> Text:
    text = content if isinstance(content, Text) else Text(content)
    if text.cell_len > width:
        text = text.copy()
        text.truncate(max(width, 0), overflow="ellipsis")
    pad = " " * max(0, width - text.cell_len)
    return Text.assemble(pad, text) if right else Text.assemble(text, pad)
