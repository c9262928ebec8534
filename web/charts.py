"""Charts as plain shapes for SVG, in a box of WIDTH by a given height; templates draw them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simpledist.monitor import BOUNDS_SECONDS, Bin, Histogram
from simpledist.monitor.times import clock, duration, plural

WIDTH = 600.0
KINDS = {"succeeded": "on workers", "local": "at clients", "failed": "raised"}  # in words


@dataclass(frozen=True, slots=True)
class Spark:
    """A small line: its path, and that of the area below."""

    line: str
    area: str


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    kind: str


@dataclass(frozen=True, slots=True)
class Column:
    """Bars on top of each other, and the text that the pointer shows."""

    x: float
    width: float
    title: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """Columns from left to right; `top` is the value of the upper edge in words, `marks` are the labels below."""

    columns: tuple[Column, ...]
    top: str
    marks: tuple[tuple[float, str], ...]
    empty: bool
    height: float = 120.0


def spark(values: Sequence[float], width: float = 120.0, height: float = 28.0) -> Spark:
    """Return the values as a small line without axes."""
    top = max([*values, 0.0]) or 1.0
    step = width / max(len(values) - 1, 1)
    points = [f"{i * step:.1f} {height - 1 - (height - 3) * value / top:.1f}" for i, value in enumerate(values)]
    if not points:
        return Spark("", "")
    line = "M" + " L".join(points)
    return Spark(line, f"{line} L{width:.1f} {height} L0 {height} Z")


def calls(bins: Sequence[Bin], height: float = 120.0) -> Chart:
    """Return the calls that ended: on workers, at their clients, with an exception."""
    rows = [
        (("succeeded", one.tally.returned), ("local", sum(one.tally.local.values())), ("failed", one.tally.raised))
        for one in bins
    ]
    return _stacked(bins, rows, height, ("call", "calls"))


def queue(bins: Sequence[Bin], height: float = 120.0) -> Chart:
    """Return the most jobs that waited and ran at once."""
    rows = [(("running", one.tally["max_running"]), ("queued", one.tally["max_queued"])) for one in bins]
    return _stacked(bins, rows, height, ("job at most", "jobs at most"))


def _stacked(
    bins: Sequence[Bin], rows: Sequence[Sequence[tuple[str, int]]], height: float, unit: tuple[str, str]
) -> Chart:
    top = max((sum(n for _, n in row) for row in rows), default=0)
    step = WIDTH / max(len(bins), 1)
    columns: list[Column] = []
    for i, (one, row) in enumerate(zip(bins, rows, strict=True)):
        said = ", ".join(f"{n:,} {KINDS.get(kind, kind)}" for kind, n in row if n) or "none"
        columns.append(Column(i * step, step, f"{clock(one.start)}: {said}", _bars(row, i * step, step, height, top)))
    return Chart(tuple(columns), plural(top, *unit), _marks(bins, step), top == 0, height)


def _bars(row: Sequence[tuple[str, int]], x: float, step: float, height: float, top: int) -> tuple[Bar, ...]:
    bars: list[Bar] = []
    y = height
    for kind, n in row:
        if n:
            tall = max(1.0, n / top * (height - 4))
            y -= tall
            bars.append(Bar(x + step * 0.1, max(y, 0.0), step * 0.8, tall, kind))
    return tuple(bars)


def _marks(bins: Sequence[Bin], step: float) -> tuple[tuple[float, str], ...]:
    if not bins:
        return ()
    span = bins[-1].start + bins[-1].seconds - bins[0].start
    every = max(1, len(bins) // 4)
    return tuple(
        (i * step / WIDTH * 100, f"{duration(span - (bins[i].start - bins[0].start))} ago")
        for i in range(0, len(bins) - every // 2, every)
    )


def histogram(measured: Histogram, height: float = 120.0) -> Chart:
    """Return how many durations fell into each interval, from the first interval that has any to the last."""
    filled = [i for i, n in enumerate(measured.counts) if n]
    first, last = (max(0, filled[0] - 1), min(len(measured.counts), filled[-1] + 2)) if filled else (0, 0)
    shown = range(first, last)
    top = max((measured.counts[i] for i in shown), default=0)
    step = WIDTH / max(len(shown), 1)
    columns: list[Column] = []
    for place, i in enumerate(shown):
        low, high = BOUNDS_SECONDS[i - 1] if i else 0.0, BOUNDS_SECONDS[i] if i < len(BOUNDS_SECONDS) else None
        named = f"over {duration(low)}" if high is None else f"{duration(low)} to {duration(high)}"
        bars = _bars((("run", measured.counts[i]),), place * step, step, height, top or 1)
        columns.append(Column(place * step, step, f"{named}: {measured.counts[i]:,}", bars))
    every = max(1, len(shown) // 5)
    marks = tuple(
        (place * step / WIDTH * 100, duration(BOUNDS_SECONDS[min(i, len(BOUNDS_SECONDS)) - 1] if i else 0.0))
        for place, i in enumerate(shown)
        if place % every == 0
    )
    return Chart(tuple(columns), plural(top, "run"), marks, not filled, height)


def shares(parts: Sequence[tuple[str, int]], width: float = 100.0) -> tuple[Bar, ...]:
    """Return a bar of `width` split by number."""
    total, x = sum(n for _, n in parts), 0.0
    bars: list[Bar] = []
    for kind, n in parts:
        if n:
            wide = n / total * width
            bars.append(Bar(x, 0.0, wide, 8.0, kind))
            x += wide
    return tuple(bars)
