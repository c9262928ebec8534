"""Offers of the live workers, as a client sees them: read when something asks for them, at most every 2 s.

Owns the question "does a function of mine go by name?": only if every live worker that offers that name holds the very
same code. Knows no Redis: it is given a way to ask.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

KEEP_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was seen of the live workers, and when."""

    at: float = float("-inf")
    names: dict[str, str] = field(default_factory=dict[str, str])  # fingerprint -> its name, where all agree
    slots: dict[str, int] = field(default_factory=dict[str, int])  # function -> how many calls of it could run at once
    all_slots: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


class Offers:
    """Any thread may ask. No lock: it would be held while Redis is asked, and several that ask do no harm."""

    def __init__(self, live_workers: Callable[[], list[dict[str, Any]] | None]) -> None:
        self._live_workers = live_workers
        self._seen = _Seen()

    def name_of(self, fingerprint: str) -> str | None:
        """Return the name under which all who offer it offer code of this fingerprint; None without one."""
        return self._look().names.get(fingerprint) if fingerprint else None

    def functions(self) -> dict[str, int]:
        """Return each function that a live worker offers, and how many calls of it could run at once."""
        return dict(self._look().slots)

    def slots(self, function: str, tags: Collection[str] = ()) -> int:
        """Return how many calls of it could run at once, on workers that have these tags."""
        seen = self._look()
        if not tags:
            return seen.slots.get(function, 0)
        return sum(row["slots"] for row in seen.rows if function in row["functions"] and {*tags} <= {*row["tags"]})

    def all_slots(self) -> int:
        """Return how many calls could run at once, of any function."""
        return self._look().all_slots

    def _look(self) -> _Seen:
        if time.monotonic() - self._seen.at >= KEEP_SECONDS:
            rows = self._live_workers()
            if rows is not None:
                self._seen = _seen(rows)
        return self._seen


def _seen(rows: list[dict[str, Any]]) -> _Seen:
    codes: dict[str, set[str]] = {}
    slots: dict[str, int] = {}
    for row in rows:
        for name in row["functions"]:
            codes.setdefault(name, set()).add(row.get("fingerprints", {}).get(name, ""))
            slots[name] = slots.get(name, 0) + row["slots"]
    # Versions first, so that the plain name wins where both are the same code.
    agreed = sorted((name for name, code in codes.items() if len(code) == 1), key=len, reverse=True)
    names = {next(iter(codes[name])): name for name in agreed}
    return _Seen(time.monotonic(), names, slots, sum(row["slots"] for row in rows), rows)
