"""Small tables for notebooks: what clients, functions and futures show of themselves there.

Owns the escaping: names, values and exceptions are anybody's text.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from simpledist.engine.call import Call
from simpledist.job import Info

CHARACTERS = 300


def table(title: str, rows: Iterable[tuple[str, object]]) -> str:
    """Return a table of names and values; a value that is None or "" is left out."""
    lines = [
        f'<tr><th style="text-align:left">{escape(name)}</th><td style="text-align:left">{_cell(value)}</td></tr>'
        for name, value in rows
        if value is not None and value != ""
    ]
    return f"<table><caption><b>{escape(title)}</b></caption>{''.join(lines)}</table>"


def code(value: object) -> str:
    """Return what a value's repr says, cut; never raises."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - a repr of a user's object may raise anything
        text = f"<a {type(value).__name__} whose repr raises {type(error).__name__}>"
    return text if len(text) <= CHARACTERS else text[: CHARACTERS - 3] + "..."


def of_call(call: Call, state: str, info: Info | None, *, outcome: object) -> str:
    """Return the table of one call; `outcome`: its value or its exception, once it is done."""
    rows: list[tuple[str, object]] = [("job", call.id), ("state", state)]
    if state in ("succeeded", "failed"):
        rows.append(("value" if state == "succeeded" else "raised", code(outcome)))
    if info is not None:
        rows += [
            ("where", "here" if info.where == "local" else f"worker {info.worker}"),
            ("why", info.why),
            ("waited", f"{info.queued_seconds:.3g} s"),
            ("ran", f"{info.run_seconds:.3g} s"),
            ("attempts", info.attempts or None),
        ]
    return table(call.made.spec.function, rows)


def _cell(value: object) -> str:
    return escape(str(value))
