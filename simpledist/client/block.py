"""Calls of a map that run in its caller's own loop, one whenever the next outcome is asked for, as of the builtin map.

Nothing lies between two calls but the iteration, so that short ones cost what they cost without us. Used by the map, in
its one thread.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from simpledist.client.chunks import Arguments
from simpledist.job import Why

R = TypeVar("R")


class Block(Generic[R]):
    """Some calls; `values` is an iterator that runs one at each step, and goes on after one that raises."""

    def __init__(self, local: Callable[..., R], calls: list[Arguments], why: Why) -> None:
        self.why: Why = why
        self._calls = calls
        self._rest = iter(calls)
        self._ends: list[None] = []
        # A function that raises StopIteration ends `values` too: at the real end, and there alone, there is a mark.
        # It is set by C: Ctrl-C must not come between the last call and it.
        mark: Iterator[Arguments] = iter(functools.partial(self._ends.append, None), None)
        self.values = itertools.starmap(local, itertools.chain(self._rest, mark))

    def over(self) -> bool:
        return bool(self._ends)

    def begun(self) -> int:
        return len(self._calls) - operator.length_hint(self._rest)

    def interrupted(self) -> list[Arguments]:
        """The call that Ctrl-C broke off, and those behind it: they are to be run again, in another block."""
        done = max(self.begun() - 1, 0)
        again = self._calls[done:]
        del self._calls[done:]
        return again
