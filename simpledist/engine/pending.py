"""Calls that one executor has accepted and must bring to an end, and the local slots that its calls share.

Owns the set of futures that `shutdown` and the end of the program wait for, and the word why nothing new is taken. Any
thread may call it. A future leaves when its callbacks have run, so that the program finds their work done, as with the
stdlib's executors.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from simpledist.engine import locks
from simpledist.engine.ready import RunHere


class Ending(Protocol):
    """What a future tells of its end."""

    settled_by: int

    def wait_done(self, timeout: float | None = None) -> bool: ...


F = TypeVar("F", bound=Ending)


@dataclass(eq=False)
class Backlog:
    """Futures that share a few local slots: the client's, or those of one executor.

    `waiting` and `threads` belong to LocalRuns, under its lock.
    """

    slots: int
    waiting: OrderedDict[Any, RunHere] = field(default_factory=OrderedDict[Any, RunHere])
    threads: int = 0
    depth: int = 0  # how many local runs its calls are made inside of
    below: Backlog | None = None  # of the calls that its own make


class Closed(RuntimeError):
    """Nothing new is taken."""


class Pending(Generic[F]):
    """The futures of one executor or pool that are not done, and the backlog in which they wait for a local run.

    `awaited`: the end of the program waits for them; else it cancels them.
    """

    def __init__(self, slots: int, *, awaited: bool = True) -> None:
        self.slots = slots
        self.awaited = awaited
        self.begin()

    def begin(self) -> None:
        """Begin, or begin again in the child of a fork: what the parent has taken is not ours."""
        self.backlog = Backlog(self.slots)
        self._condition = locks.condition("pending")  # guards the two below
        self._futures: set[F] = set()
        self._closed = ""

    def take(self, futures: Iterable[F]) -> None:
        """Take these; raise Closed if nothing new is taken."""
        with locks.lock_of(self._condition):
            if self._closed:
                raise Closed(self._closed)
            self._futures.update(futures)

    def ended(self, future: F) -> None:
        """Note that this one is done, and so are its callbacks."""
        with locks.lock_of(self._condition):
            self._futures.discard(future)
            self._condition.notify_all()

    def close(self, why: str) -> None:
        """Take nothing new."""
        with locks.lock_of(self._condition):
            self._closed = self._closed or why

    def outstanding(self) -> list[F]:
        """Return what is not done."""
        with locks.lock_of(self._condition):
            return list(self._futures)

    def join(self) -> None:
        """Return once all is done, but for what this very thread is about to end, from a callback."""
        for future in self.outstanding():
            future.wait_done()
        me = threading.get_ident()
        with locks.lock_of(self._condition):
            locks.wait_for(self._condition, lambda: all(future.settled_by == me for future in self._futures))
