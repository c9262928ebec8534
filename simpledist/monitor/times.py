"""Times as people read them: durations, ages, moments. Pure; pages and command lines share it."""

from __future__ import annotations

from datetime import datetime, timezone

NOTHING = "\N{EN DASH}"
_SPANS = ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))


def duration(seconds: float | None) -> str:
    """Return `3 ms`, `1.2 s`, `12 s`, `2 min 5 s`, `3 h 20 min`."""
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
    """Return `now`, `12 s ago`, `3 min ago`; `never` for None."""
    if seconds is None:
        return "never"
    if seconds < 1:
        return "now"
    for size, name, _, _ in _SPANS:
        if seconds >= size:
            return f"{int(seconds // size)} {name} ago"
    return f"{int(seconds)} s ago"


def clock(time: float | None) -> str:
    """Return a moment in UTC, to the second."""
    if time is None:
        return NOTHING
    try:
        return datetime.fromtimestamp(time, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return NOTHING


def plural(number: float, noun: str, nouns: str = "") -> str:
    """Return `1 job`, `117 jobs`; `nouns` where the plural is not made with an s."""
    return f"{number:,.0f} {noun if number == 1 else nouns or f'{noun}s'}"
