"""Demand of this client that no ledger in Redis shows: calls that it runs, or keeps waiting, for want of a worker.

The thread that runs such a call notes its begin and its end, no more: it takes no lock. Once a second the listener
makes the text for a nudge of that and of what waits in the backlogs: so an autoscaler sees that a worker is wanted,
though no worker is there and `submit` enters nothing.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Protocol

from simpledist import policy
from simpledist.broker import client_demand
from simpledist.broker.client_demand import AtClient
from simpledist.engine.known import Key
from simpledist.reasons import Why

WANTING: frozenset[Why] = frozenset({"no_worker", "queue_full"})  # with more workers these calls would travel
WINDOW_SECONDS = 10.0  # short runs count as their average over so long


class Ending(Protocol):
    """What is asked of a future."""

    def done(self) -> bool: ...


class Demand:
    """Of one client. Any thread calls `begins`, `ends` and `ran`, the listener the rest. Times: time.monotonic()."""

    def __init__(self, mean_seconds: Callable[[str], float | None]) -> None:
        self._mean_seconds = mean_seconds  # of a function's runs in this process
        self._running: dict[Ending, tuple[str, float]] = {}  # its function, and when it began
        self._spent: dict[str, float] = {}  # seconds of runs that have ended since `_since`
        self._since = 0.0
        self._window: deque[tuple[float, float, Mapping[str, float]]] = deque()  # begin, end, seconds by function
        self._told = False  # Redis holds a row of this client

    def begins(self, future: Ending, function: str) -> None:
        """Note that a call runs here for want of a worker."""
        self._running[future] = function, time.monotonic()

    def ends(self, future: Ending) -> None:
        """Note that it has ended."""
        function, began = self._running.pop(future, ("", 0.0))
        if function:
            self.ran(function, time.monotonic() - max(began, self._since))

    def ran(self, function: str, seconds: float) -> None:
        """Note that calls ran here for so long. Of two ends in the same moment one may be lost."""
        self._spent[function] = self._spent.get(function, 0.0) + seconds

    def ran_in_map(self, function: str, why: Why, calls: int) -> None:
        """Note calls of a map that ran here, if that was for want of a worker."""
        if calls and why in WANTING:
            self.ran(function, calls * (self._mean_seconds(function) or 0.0))

    def any(self) -> bool:
        """Return whether there is something to tell, or to take back."""
        return bool(self._running or self._spent or self._window or self._told)

    def text(self, now: float, waits: Mapping[Key, int]) -> str:
        """Return what a nudge is to tell now; "" where there is nothing to say. `waits`: calls by function."""
        waiting: Counter[str] = Counter()
        for key, number in waits.items():
            waiting[key.function] += number
        average, running = self._average(now), Counter(function for function, _ in list(self._running.values()))
        demand: dict[str, AtClient] = {}
        for function in sorted({*waiting, *average, *running})[: client_demand.FUNCTIONS_MOST]:
            mean = self._mean_seconds(function)
            mean_ms = None if mean is None else round(mean * 1000, 3)
            at_once = max(average.get(function, 0.0), running[function])
            demand[function] = AtClient(waiting.get(function, 0), math.ceil(at_once * 1000) / 1000, mean_ms)
        before, self._told = self._told, bool(demand)
        return client_demand.text_of(demand) if demand else client_demand.NOTHING if before else ""

    def _average(self, now: float) -> dict[str, float]:
        """Return how many calls ran at once, by function, on average over the window."""
        # After a rest the window begins again: a long idle time must not lower the average of now.
        since = max(self._since, now - 2 * policy.TIMINGS.nudge_seconds)
        spent, self._spent, self._since = self._spent, {}, now
        busy = dict(spent)
        for future, (function, began) in list(self._running.items()):
            if future.done():  # its thread was torn away
                self._running.pop(future, None)
            else:
                busy[function] = busy.get(function, 0.0) + now - max(began, since)
        if busy or self._window:
            self._window.append((since, now, busy))
        while self._window and self._window[0][0] < now - WINDOW_SECONDS:
            self._window.popleft()
        total: dict[str, float] = {}
        for _, _, seconds in self._window:
            for function, one in seconds.items():
                total[function] = total.get(function, 0.0) + one
        if not total:
            self._window.clear()
            return {}
        length = max(now - self._window[0][0], 1e-3)
        return {function: seconds / length for function, seconds in total.items()}
