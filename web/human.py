"""Numbers, times and names as a person reads them; what chooses a function's colour. Pure."""

from __future__ import annotations

from datetime import datetime, timezone
from hashlib import blake2s

from simpledist.reasons import words

COLOURS = 24
NOTHING = "\N{EN DASH}"
_SPANS = ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
_BYTES = ("B", "KB", "MB", "GB", "TB")


def colour(function: str) -> int:
    """A function's colour: the same on every page, in every browser, after every restart; versions differ."""
    return int.from_bytes(blake2s(function.encode("utf-8", "replace"), digest_size=4).digest(), "big") % COLOURS


def number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.0f}"


def rate(value: float | None) -> str:
    """A number a second."""
    if not value:
        return "0"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 0.1 else f"{value:.2f}"


def duration(seconds: float | None) -> str:
    """`3 ms`, `1.2 s`, `12 s`, `2 min 5 s`, `3 h 20 min`."""
    if seconds is None:
        return NOTHING
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    for size, name, smaller, smaller_name in _SPANS:
        if seconds >= size:
            rest = int(seconds % size // smaller)
            return f"{int(seconds // size)} {name}" + (f" {rest} {smaller_name}" if rest else "")
    return NOTHING


def ago(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    if seconds < 1:
        return "now"
    for size, name, _, _ in _SPANS:
        if seconds >= size:
            return f"{int(seconds // size)} {name} ago"
    return f"{int(seconds)} s ago"


def size(count: int | None) -> str:
    """Bytes: `182 MB`."""
    if count is None:
        return NOTHING
    value, unit = float(count), 0
    while value >= 1000 and unit < len(_BYTES) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} {_BYTES[unit]}" if value >= 10 or unit == 0 else f"{value:.1f} {_BYTES[unit]}"


def clock(time: float | None) -> str:
    """A moment in UTC, to the second."""
    if time is None:
        return NOTHING
    try:
        return datetime.fromtimestamp(time, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return NOTHING


def clip(text: str, limit: int = 48) -> str:
    """A name that may be of any length, short enough for a cell."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


FILTERS = {
    "ago": ago,
    "clip": clip,
    "clock": clock,
    "colour": colour,
    "duration": duration,
    "number": number,
    "rate": rate,
    "size": size,
    "why": words,
}
