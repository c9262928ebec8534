"""Calls that wait to be sent: a loop of single submits travels in batches, and a lone one is not delayed.

A submitting thread puts its call here and wakes the listener, once: until the listener has come for what is there, no
second wake-up is needed. Whatever has gathered by then goes in one script. No lock: appending to a deque and popping
from it are atomic, and a wake-up too many does no harm.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from simpledist.engine.batch import alike
from simpledist.engine.future import Future


class Unsent:
    """`put` is called by any thread, `take` by the listener."""

    def __init__(self) -> None:
        self._futures: deque[Future[Any]] = deque()
        self._awaited = False  # the listener was woken and has not come yet

    def put(self, future: Future[Any], wake: Callable[[], None]) -> None:
        """Leave a call to be sent; `wake` brings the listener."""
        self._futures.append(future)
        if not self._awaited:
            self._awaited = True
            wake()

    def take(self) -> list[list[Future[Any]]]:
        """Return everything that waits, in groups that one `submit` may carry but for their size."""
        self._awaited = False  # first: what is put from now on wakes again
        taken: list[Future[Any]] = []
        while self._futures:
            taken.append(self._futures.popleft())
        return alike(taken)
