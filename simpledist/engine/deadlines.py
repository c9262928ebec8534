"""When remote budgets are spent: which calls in flight have a deadline, and whose is over.

Calls are put in by any thread, without a lock; the listener sorts them and asks. Futures are held weakly.
"""

from __future__ import annotations

import heapq
import itertools
import time
import weakref
from collections import deque
from typing import Any

from simpledist.engine.future import Future
from simpledist.engine.session import GRACE_SECONDS

Entry = tuple[float, int, weakref.ref[Future[Any]]]


class Deadlines:
    """`put` is called by any thread, the rest by the listener."""

    def __init__(self) -> None:
        self._new: deque[Entry] = deque()
        self._sorted: list[Entry] = []
        self._numbers = itertools.count()

    def put(self, future: Future[Any]) -> None:
        """Note the deadline of a call that went out."""
        assert future.call.deadline is not None
        self._new.append((future.call.deadline, next(self._numbers), weakref.ref(future)))

    def next(self) -> float:
        """Return when the first budget is spent (time.monotonic())."""
        while self._new:
            heapq.heappush(self._sorted, self._new.popleft())
        return self._sorted[0][0] if self._sorted else float("inf")

    def bound(self) -> float:
        """Return until when a command may keep the listener, which has to end budgets, whatever the wire does."""
        return max(self.next(), time.monotonic()) + GRACE_SECONDS

    def over(self, now: float) -> list[Future[Any]]:
        """Return the calls whose budget is spent, and which are not done, each once."""
        futures: list[Future[Any]] = []
        while self.next() <= now:
            future = heapq.heappop(self._sorted)[2]()
            if future is not None and not future.done():
                futures.append(future)
        return futures
