"""Lock of the client's command connection: small commands go before the next slice of a big value.

A plain lock would not do: a thread that sends slice after slice takes it again before one that waits has woken up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from simpledist.engine import locks
from simpledist.errors import BudgetSpent

T = TypeVar("T")


class ConnectionLock:
    """`_held` is held by the thread that uses the connection, `_next` by the one that has it next.

    `_slices` is held by the thread that sends or reads the next slice, so that only one of them contends with what is
    small, and `_next_slice` by the one that has its slice after that: so values take turns. They are taken in the order
    `_next_slice`, `_slices`, `_next`, `_held`. They are reentrant for one reason: such a lock knows whether this thread
    holds it, wherever a signal handler has torn the thread away.
    """

    def __init__(self) -> None:
        self._next_slice = locks.reentrant("next slice turn")
        self._slices = locks.reentrant("slice turn")
        self._next = locks.reentrant("next turn")
        self._held = locks.reentrant("command turn")

    def use(self, work: Callable[[], T], until: float | None = None) -> T:
        """Do this with the connection: one small command. Raises BudgetSpent at `until` (time.monotonic())."""
        return self._use(work, until, slice=False)

    def use_for_slice(self, work: Callable[[], T], until: float | None = None) -> T:
        """Do this with the connection: one slice of a big value. Raises as `use`."""
        return self._use(work, until, slice=True)

    def _use(self, work: Callable[[], T], until: float | None, *, slice: bool) -> T:
        try:
            try:
                if slice:
                    _take(self._next_slice, until)
                    _take(self._slices, until)
                    self._next_slice.release()
                _take(self._next, until)
                _take(self._held, until)
                self._next.release()
                return work()
            finally:
                self._give()
        except BaseException:
            self._give()  # Ctrl-C may come before the line above
            raise

    def _give(self) -> None:
        locks.let_go(self._held)
        locks.let_go(self._next)
        locks.let_go(self._slices)
        locks.let_go(self._next_slice)


def _take(lock: locks.Reentrant, until: float | None) -> None:
    if not lock.acquire(timeout=-1 if until is None else max(until - time.monotonic(), 0.0)):
        raise BudgetSpent("the time that a call may be away is over")
