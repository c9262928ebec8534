"""What all loads have reported, which faults struck, and how soon after each a call ran remotely again."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.faults.chaos.book import NEVER

SENTENCES = 20  # of findings of a kind that are shown, when they are found


@dataclass
class Tally:
    """Every reader thread adds to it."""

    ended: Counter[str] = field(default_factory=Counter[str])
    where: Counter[str] = field(default_factory=Counter[str])
    faults: Counter[str] = field(default_factory=Counter[str])
    findings: Counter[str] = field(default_factory=Counter[str])
    recoveries: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    rounds: int = 0  # of the load whose collector and signal handler are busy
    most_over: float = -NEVER
    open: dict[int, int] = field(default_factory=dict[int, int])  # load -> its open calls
    _waiting: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])  # faults not recovered from yet
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def calls(self) -> int:
        return sum(self.ended.values())

    @property
    def here(self) -> int:
        """Calls of which it is known that they ran at their client."""
        return sum(times for where, times in self.where.items() if where not in ("remote", "unknown"))

    def struck(self, kind: str) -> None:
        with self._lock:
            self.faults[kind] += 1
            self._waiting.append((kind, time.monotonic()))

    def found(self, what: str, sentence: str) -> None:
        with self._lock:
            self._found(what, sentence)

    def hear(self, load: int, line: dict[str, Any]) -> None:
        """One line of a load."""
        with self._lock:
            self.ended.update(line["ended"])
            self.where.update(line["where"])
            self.rounds += line.get("rounds", 0)
            self.open[load] = line["open"]
            self.most_over = max(self.most_over, line["most_over"])
            for what, sentence in line["findings"]:
                self._found(what, sentence)
            for sentence in line.get("lost", ()):
                self._found("lost", sentence)
            self._recover(line["remote"])

    def killed(self, load: int) -> None:
        """A load was killed: what it had open is no one's any more."""
        with self._lock:
            self.open.pop(load, None)

    def slowest(self) -> list[tuple[str, float]]:
        """Kinds of faults with their slowest recovery, the worst first."""
        with self._lock:
            worst = [(kind, max(seconds)) for kind, seconds in self.recoveries.items()]
        return sorted(worst, key=lambda one: -one[1])

    def _found(self, what: str, sentence: str) -> None:
        self.findings[what] += 1
        if self.findings[what] <= SENTENCES:
            print(f"{what}: {sentence}", flush=True)

    def _recover(self, remote: list[list[float]]) -> None:
        """A call that began after a fault and ran remotely: the cluster has recovered from it."""
        if not remote:
            return
        waiting: list[tuple[str, float]] = []
        for kind, at in self._waiting:
            ends = [ended for began, ended in remote if began > at]
            if ends:
                self.recoveries.setdefault(kind, []).append(min(ends) - at)
            else:
                waiting.append((kind, at))
        self._waiting = waiting
