"""Numbers, names and looks as a page shows them. Pure but for Looks; times are monitor/times.py's."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from simpledist.monitor.looks import Looks
from simpledist.monitor.times import NOTHING, ago, clock, duration, plural
from simpledist.reasons import words

_BYTES = ("B", "KB", "MB", "GB", "TB")


def number(value: float | None) -> str:
    """Return a whole number with thousands separated."""
    return NOTHING if value is None else f"{value:,.0f}"


def rate(value: float | None) -> str:
    """Return a number a second."""
    if not value:
        return "0"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 0.1 else f"{value:.2f}"


def size(count: int | None) -> str:
    """Return bytes as `182 MB`."""
    if count is None:
        return NOTHING
    value, unit = float(count), 0
    while value >= 1000 and unit < len(_BYTES) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} {_BYTES[unit]}" if value >= 10 or unit == 0 else f"{value:.1f} {_BYTES[unit]}"


def clip(text: str, limit: int = 48) -> str:
    """Return a name that may be of any length, short enough for a cell."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def close(text: str) -> str:
    """Keep numbers and their units on one line, where a cell is narrow."""
    return re.sub(r"(?<=\d) (?=[a-z])", "\N{NO-BREAK SPACE}", text)


def filters(looks: Looks) -> dict[str, Callable[..., Any]]:
    """Return the filters of all templates."""

    def look(function: str) -> str:
        """Return the classes of a function's swatch; grey where no worker offers it and no client calls it."""
        found = looks.of(function)
        return "faint" if found is None else f"c{found.colour} p{found.pattern}"

    return {
        "ago": ago,
        "clip": clip,
        "clock": clock,
        "close": close,
        "duration": duration,
        "look": look,
        "number": number,
        "plural": plural,
        "rate": rate,
        "size": size,
        "why": words,
    }
