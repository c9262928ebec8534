"""Foreign text made fit for a terminal, a page or a log: the one rule for whatever comes from Redis or another process.

No control character, none that turns the direction of text, no surrogate: each becomes a replacement character. Knows
nothing of who prints. Used by the read model, the command lines and every logger of ours.
"""

from __future__ import annotations

import logging

TEXT_LIMIT = 200  # no name, label or version that people chose is longer than this on a page


def printable(text: object, limit: int | None = TEXT_LIMIT) -> str:
    """Return a text of one line without what a terminal takes for a command, `limit` characters at most."""
    if not isinstance(text, str):
        return ""
    cut = text if limit is None or len(text) <= limit else text[: limit - 1] + "…"
    return (
        cut if cut.isprintable() else "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in cut)
    )


def printable_lines(text: str) -> str:
    """Return a text of several lines, each printable; all but the first are indented: none looks like a new entry."""
    return "\n    ".join(printable(line, None) for line in text.splitlines())


class _Printable(logging.Filter):
    """Makes the message of each record printable, before any handler sees it."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if not text.isprintable():
            record.msg, record.args = printable_lines(text), ()
        return True


def logger(name: str) -> logging.Logger:
    """Return the logger of this name, whose messages are printable whatever they quote."""
    log = logging.getLogger(name)
    if not any(isinstance(one, _Printable) for one in log.filters):
        log.addFilter(_Printable())
    return log
