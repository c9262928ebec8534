"""What the live workers offer, as a client sees it: looked up when somebody wants to know, at most every 2 s.

Owns the question "does a function of mine go by name?": only if every live worker that offers that name holds the very
same code. Knows no Redis: it is given a way to ask.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

KEEP_SECONDS = 2.0


class Offers:
    """Any thread may ask."""

    def __init__(self, live_workers: Callable[[], list[dict[str, Any]]]) -> None:
        self._live_workers = live_workers
        self._lock = threading.Lock()
        self._asked = float("-inf")
        self._names: dict[str, str] = {}  # fingerprint -> the name under which all who offer it have that code
        self._slots: dict[str, int] = {}  # function -> how many calls of it could run at once
        self._all_slots = 0

    def name_of(self, fingerprint: str) -> str | None:
        """The name under which code of this fingerprint is offered, by all who offer that name; None without one."""
        if not fingerprint:
            return None
        with self._lock:
            self._look()
            return self._names.get(fingerprint)

    def functions(self) -> dict[str, int]:
        """Each function that a live worker offers, and how many calls of it could run at once."""
        with self._lock:
            self._look()
            return dict(self._slots)

    def slots(self, function: str) -> int:
        """How many calls of it could run at once."""
        with self._lock:
            self._look()
            return self._slots.get(function, 0)

    def all_slots(self) -> int:
        """How many calls could run at once, of whatever function."""
        with self._lock:
            self._look()
            return self._all_slots

    def _look(self) -> None:
        if time.monotonic() - self._asked < KEEP_SECONDS:
            return
        rows = self._live_workers()
        self._asked = time.monotonic()
        codes: dict[str, set[str]] = {}
        self._slots = {}
        self._all_slots = sum(row["slots"] for row in rows)
        for row in rows:
            for name in row["functions"]:
                codes.setdefault(name, set()).add(row.get("fingerprints", {}).get(name, ""))
                self._slots[name] = self._slots.get(name, 0) + row["slots"]
        # Versions first, so that the plain name wins where both are the same code.
        agreed = sorted((name for name, code in codes.items() if len(code) == 1), key=len, reverse=True)
        self._names = {next(iter(codes[name])): name for name in agreed}
