"""Small tables for notebooks: what clients, functions and futures show of themselves there.

Owns the escaping: names, values and exceptions are anybody's text. Knows nothing of what it shows.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

CHARACTERS = 300


def table(title: str, rows: Iterable[tuple[str, object]]) -> str:
    """A table of names and values; a value that is None or "" is left out."""
    lines = [
        f'<tr><th style="text-align:left">{escape(name)}</th><td style="text-align:left">{_cell(value)}</td></tr>'
        for name, value in rows
        if value is not None and value != ""
    ]
    return f"<table><caption><b>{escape(title)}</b></caption>{''.join(lines)}</table>"


def code(value: object) -> str:
    """What a value's repr says, cut; never raises."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - a repr of a user's object may raise anything
        text = f"<a {type(value).__name__} whose repr raises {type(error).__name__}>"
    return text if len(text) <= CHARACTERS else text[: CHARACTERS - 3] + "..."


def _cell(value: object) -> str:
    return escape(str(value))
