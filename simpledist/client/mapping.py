"""The iterator of a map: which calls go out when, alone or in chunks, and their outcomes in order.

Called by WorkerFunction.map, used by one thread. How many calls travel as one job is `policy.Experience`'s to say.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from simpledist import policy, wire
from simpledist.client.chunks import Arguments, Chunk, Outcome
from simpledist.client.future import Future

if TYPE_CHECKING:
    from simpledist.client.function import WorkerFunction
    from simpledist.client.progress import Bar

R = TypeVar("R")

MAP_BATCH = 500


class MapIterator(Iterator[R], Generic[R]):
    """Outcomes in order; a bounded number of calls is under way or waiting to be taken."""

    def __init__(
        self,
        function: WorkerFunction[Any, R],
        calls: Iterator[Arguments],
        chunksize: int | Literal["auto"],
        bar: Bar | None = None,
    ) -> None:
        self._function = function
        self._bar = bar
        self._calls = calls
        self._chunksize = chunksize
        self._units: deque[Future[R] | Chunk] = deque()
        self._taken: deque[Outcome] = deque()  # of the chunk in front: what of it is still to be handed out
        self._under_way = 0  # calls in `_units`
        self._exhausted = False
        if chunksize == "auto" and function.client.seen(function.function).calls == 0:
            self._probe()
        while self._has_room():
            self._fill()

    def __iter__(self) -> MapIterator[R]:
        return self

    def __next__(self) -> R:
        while not self._taken:
            if self._has_room(MAP_BATCH):
                self._fill()
            if not self._units:
                self.close()
                raise StopIteration
            unit = self._units[0]
            if isinstance(unit, Future):
                self._take()
                try:
                    return unit.result()
                except BaseException:
                    if not unit.done():
                        self._units.appendleft(unit)
                        self._under_way += 1
                    raise
            outcomes = unit.outcomes()
            self._take()
            self._taken.extend(outcomes)
        one = self._taken[0]
        if isinstance(one, Future):
            try:
                return one.result()
            finally:
                if one.done():
                    self._taken.popleft()
        self._taken.popleft()
        if isinstance(one, wire.Raised):
            raise one.exception
        return one.value

    def close(self) -> None:
        """Cancel every call whose outcome was not taken."""
        self._exhausted = True
        units, self._units = list(self._units), deque()
        taken, self._taken = list(self._taken), deque()
        self._under_way = 0
        futures: list[Future[Any]] = [one for one in taken if isinstance(one, Future)]
        for unit in units:
            futures += [unit] if isinstance(unit, Future) else unit.futures()
        self._function.client.forget(futures)
        if self._bar is not None:
            self._bar.close()

    def __del__(self) -> None:
        if getattr(self, "_units", None) or getattr(self, "_taken", None) or getattr(self, "_bar", None):
            self.close()

    # --- how calls go out ----------------------------------------------------------------------------------------

    def _probe(self) -> None:
        """A function that was never seen: some calls alone, and a moment to see whether they are short."""
        self._fill(policy.PROBES)
        last = self._units[-1] if self._units else None
        if isinstance(last, Future) and not self._exhausted:
            last.wait_done(policy.PROBE_SECONDS)

    def _size(self) -> int:
        if not self._function.chunks:
            return 1
        if isinstance(self._chunksize, int):
            return self._chunksize
        return self._function.client.seen(self._function.function).chunk_calls()

    def _has_room(self, for_calls: int = 1) -> bool:
        # While chunks still grow, the rest waits for bigger ones.
        most = min(max(policy.IN_FLIGHT, 32 * self._size()), policy.IN_FLIGHT_CHUNKED)
        return not self._exhausted and self._under_way <= most - for_calls

    def _fill(self, most: int = MAP_BATCH) -> None:
        size = self._size()
        calls: list[Arguments] = []
        try:
            calls.extend(itertools.islice(self._calls, most if size == 1 else size))
        except BaseException:
            # The caller's iterable raised: what was started before it is given up, as its outcome is not to be had.
            self.close()
            raise
        self._exhausted = len(calls) < (most if size == 1 else size)
        if size > 1 and len(calls) > 1 and (chunk := self._function.submit_chunk(calls)) is not None:
            self._units.append(chunk)
            if self._bar is not None:
                self._bar.watch_chunk(chunk)
        else:
            futures = self._function.submit_many(calls)
            self._units.extend(futures)
            if self._bar is not None:
                self._bar.watch(futures)
        self._under_way += len(calls)

    def _take(self) -> None:
        unit = self._units.popleft()
        self._under_way -= 1 if isinstance(unit, Future) else len(unit)
