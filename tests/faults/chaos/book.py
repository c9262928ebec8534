"""A load's open calls, and what became of those that ended: kept in the load's process, sent to the driver as JSON."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any

from simpledist.job import Info
from tests.faults.history import Entry, broken_law, due_of

STUCK_SECONDS = 60.0
NEVER = 1e9
NAMES = {"I1": "late", "I2": "wrong", "I3": "wrong"}


@dataclass
class News:
    """What happened since the last time that somebody asked."""

    ended: Counter[str] = field(default_factory=Counter[str])  # kind of call -> how many
    where: Counter[str] = field(default_factory=Counter[str])  # remote, plain, or the reason of a local run
    remote: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])  # begin and end, monotonic
    findings: list[tuple[str, str]] = field(
        default_factory=list[tuple[str, str]]
    )  # wrong, late, stuck or bug; a sentence
    most_over: float = -NEVER  # seconds by which a budget was exceeded at most; negative: all were kept
    open: int = 0

    def line(self) -> dict[str, Any]:
        """Return it as it is sent to the driver."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


class Book:
    """Any thread may write into it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._open: dict[int, tuple[Entry, Any]] = {}  # by the entry's identity: with its future, if it has one
        self._stuck: set[int] = set()
        self._news = News()

    def begin(self, kind: str, n: int, *, budget: float | None = None, due: Any = None) -> Entry:
        """A call is about to be made; by default `work(n)`."""
        entry = Entry(n, due_of(n) if due is None else due, budget, time.monotonic(), kind=kind)
        with self._lock:
            self._open[id(entry)] = (entry, None)
        return entry

    def holds(self, entry: Entry, future: Any) -> None:
        """The call's future, for the sentence about a call that is stuck."""
        with self._lock:
            self._open[id(entry)] = (entry, future)

    def end(self, entry: Entry, came: Any, info: Info | None = None) -> None:
        entry.ended, entry.came = time.monotonic(), came
        if info is not None:
            entry.where, entry.why, entry.attempts = info.where, info.why, info.attempts
        law = broken_law(entry)
        with self._lock:
            del self._open[id(entry)]
            self._stuck.discard(id(entry))
            news = self._news
            news.ended[entry.kind] += 1
            news.where["unknown" if info is None else info.why or info.where] += 1
            if entry.budget_seconds is not None:
                news.most_over = max(news.most_over, entry.seconds - entry.budget_seconds)
            if entry.where == "remote":
                news.remote.append((entry.began, entry.ended))
            if law is not None:
                news.findings.append((NAMES[law], _sentence(entry)))

    def found(self, what: str, sentence: str) -> None:
        """Something that is no call's outcome."""
        with self._lock:
            self._news.findings.append((what, sentence))

    def news(self) -> News:
        now = time.monotonic()
        with self._lock:
            for key, (entry, future) in self._open.items():
                if now - entry.began > STUCK_SECONDS and key not in self._stuck:
                    self._stuck.add(key)
                    self._news.findings.append(("stuck", f"{_sentence(entry)} {future!r}"))
            news, self._news = self._news, News()
            news.open = len(self._open)
        return news

    def open(self) -> list[str]:
        """A sentence for each call that has no outcome."""
        with self._lock:
            return [f"{_sentence(entry)} {future!r}" for entry, future in self._open.values()]


def _sentence(entry: Entry) -> str:
    seconds = (entry.ended or time.monotonic()) - entry.began
    came = repr(entry.came)[:200]
    return f"{entry.kind}({entry.n}) {entry.where} {entry.why or ''} after {seconds:.1f} s: {came}"
