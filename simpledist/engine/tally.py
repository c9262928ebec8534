"""Tally of one function: what its calls came to in this process, for `stats()`.

The thread that brings a call to its end appends to a deque, no more, and every few hundredth adds up what is there:
under a lock that is only tried, for a finaliser may come between any two steps. After a fork the child counts from
nothing.
"""

from __future__ import annotations

import operator
import os
import threading
import weakref
from collections import Counter, deque
from typing import Any

from simpledist.job import Info, Stats

MOST_ENDED = 250
TRIED_SECONDS = 0.05

_why = operator.attrgetter("why")
_run_seconds = operator.attrgetter("run_seconds")
_wait_seconds = operator.attrgetter("queued_seconds")


class Tally:
    """Any thread may add to it, and ask.

    `returned`, `raised`: calls that have come to their outcome, one `Info` each; the thread that appends the last for
    which there is room (`MOST_ENDED`) calls `add_up`. What has no `Info` is added by `add`.
    """

    __slots__ = ("__weakref__", "_lock", "_others", "_reasons", "_sums", "raised", "returned")

    def __init__(self) -> None:
        _tallies.add(self)
        self.begin()

    def __reduce__(self) -> Any:
        """Pickle nothing of it: what was counted is that of this process."""
        return Tally, ()

    def begin(self) -> None:
        """Count from nothing."""
        self._lock = threading.Lock()  # guards `_reasons` and `_sums`; only tried: no place in the order
        self.returned: deque[Info] = deque()
        self.raised: deque[Info] = deque()
        self._others: deque[tuple[str | None, float, float, int, int, int]] = deque()
        self._reasons: Counter[str | None] = Counter()  # calls by why; None: remote
        self._sums = [0.0, 0.0, 0, 0]  # seconds of run and of wait, calls that failed, calls whose run was timed

    def add(
        self,
        why: str | None,
        run_seconds: float,
        failed: int = 0,
        calls: int = 1,
        timed: int = 1,
        wait_seconds: float = 0.0,
    ) -> None:
        """Count calls that have come to their outcome, in all so many seconds. `timed`: how many those ran, of all."""
        self._others.append((why, run_seconds, wait_seconds, failed, calls, timed))
        if len(self._others) >= MOST_ENDED:
            self.add_up()

    def add_up(self) -> None:
        """Add up what has ended, unless another thread does."""
        if self._lock.acquire(blocking=False):
            try:
                self._add_up()
            finally:
                self._lock.release()

    def _add_up(self) -> None:
        sums, reasons = self._sums, self._reasons
        for ended in (self.returned, self.raised):
            infos = [ended.popleft() for _ in range(len(ended))]
            if infos:
                reasons.update(map(_why, infos))
                sums[0] += sum(map(_run_seconds, infos))
                sums[1] += sum(map(_wait_seconds, infos))
                sums[2] += len(infos) if ended is self.raised else 0
                sums[3] += len(infos)
        for _ in range(len(self._others)):
            why, run_seconds, wait_seconds, failed, calls, timed = self._others.popleft()
            reasons[why] += calls
            sums[0] += run_seconds
            sums[1] += wait_seconds
            sums[2] += failed
            sums[3] += timed

    def stats(self) -> Stats:
        """Return what was counted."""
        tried = self._lock.acquire(timeout=TRIED_SECONDS)
        try:
            if tried:
                self._add_up()
            reasons, (run_seconds, wait_seconds, failed, timed) = dict(self._reasons), self._sums
        finally:
            if tried:
                self._lock.release()
        calls, remote = sum(reasons.values()), reasons.pop(None, 0)
        return Stats(
            calls=calls,
            remote=remote,
            local={str(why): count for why, count in sorted(reasons.items(), key=_most_first)},
            failed=int(failed),
            mean_run_seconds=run_seconds / timed if timed else None,
            mean_wait_seconds=wait_seconds / calls if calls else None,
        )


def _most_first(item: tuple[str | None, int]) -> tuple[int, str]:
    why, count = item
    return -count, str(why)


_tallies: weakref.WeakSet[Tally] = weakref.WeakSet()


def _after_fork() -> None:
    for tally in list(_tallies):
        tally.begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
