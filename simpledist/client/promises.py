"""What one executor has taken and must bring to an end: the futures that `shutdown` and the program's end wait for.

Owns that set and the word why nothing new is taken. Any thread may call it. A future leaves when its callbacks have
run, so that whoever waited for the executor finds their work done, as with the stdlib's.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from simpledist.client.future import Future, wait_for
from simpledist.client.local import Backlog


class Promises:
    """The futures of one executor that are not done, and the backlog in which they wait for a local run."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.begin()

    def begin(self) -> None:
        """At the start, and in the child of a fork: what the parent promised is not ours."""
        self.backlog = Backlog(self.slots)
        self._condition = threading.Condition()
        self._futures: set[Future[Any]] = set()
        self._closed = ""

    def make(self, futures: Iterable[Future[Any]]) -> None:
        """Promise these; RuntimeError if nothing new is taken."""
        with self._condition:
            if self._closed:
                raise RuntimeError(self._closed)
            self._futures.update(futures)

    def keep(self, future: Future[Any]) -> None:
        """This one is done, and so are its callbacks."""
        with self._condition:
            self._futures.discard(future)
            self._condition.notify_all()

    def close(self, why: str) -> None:
        """Take nothing new."""
        with self._condition:
            self._closed = self._closed or why

    def outstanding(self) -> list[Future[Any]]:
        with self._condition:
            return list(self._futures)

    def join(self) -> None:
        """Return once all is kept; what this very thread is about to keep, from a callback, is not waited for."""
        for future in self.outstanding():
            future.wait_done()
        me = threading.get_ident()
        with self._condition:
            wait_for(self._condition, lambda: all(future.settled_by == me for future in self._futures))
