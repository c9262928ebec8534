"""A batch of a map's calls that run in its caller's own loop, one whenever the next outcome is asked for.

Nothing happens between two calls but the iteration, so that short ones cost what they cost with the builtin map; and as
there, one item is drawn, its call is run, and then the next item is drawn. Used by the map, in its one thread.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from simpledist.engine.argument_snapshot import Arguments
from simpledist.reasons import Why

R = TypeVar("R")


class LocalBatch(Generic[R]):
    """Up to `most` calls; `values` is an iterator that runs one at each step, and goes on after one that raises."""

    def __init__(self, local: Callable[..., R], calls: Iterator[Arguments], most: int, *, why: Why) -> None:
        self.why: Why = why
        self.failed = 0  # calls that raised
        self.first_seconds = 0.0  # that the first one took
        self._most = most
        self._numbers = iter(range(most))
        self._ends: list[None] = []
        drawn = map(operator.itemgetter(0), zip(itertools.islice(calls, most), self._numbers, strict=False))
        # A function that raises StopIteration ends `values` too: at the real end, and there alone, there is a mark.
        # It is set by C: Ctrl-C must not come between the last call and it.
        mark: Iterator[Arguments] = iter(functools.partial(self._ends.append, None), None)
        self.values = itertools.starmap(local, itertools.chain(drawn, mark))

    def over(self) -> bool:
        """Return whether every call has run."""
        return bool(self._ends)

    def begun(self) -> int:
        """Return how many calls have begun."""
        return self._most - operator.length_hint(self._numbers)

    def exhausted(self) -> bool:
        """Return whether there were no more calls."""
        return self.over() and self.begun() < self._most
