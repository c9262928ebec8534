"""The iterator of a map: which calls go out when, alone or in chunks, and their outcomes in order.

Called by WorkerFunction.map, used by one thread. How many calls travel as one job is `policy.Experience`'s to say.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from simpledist import policy, wire
from simpledist.client.chunks import Arguments, Chunk, Outcome
from simpledist.client.future import Future
from simpledist.job import Why
from simpledist.placement import BLOCK_SECONDS

if TYPE_CHECKING:
    from simpledist.client.function import WorkerFunction
    from simpledist.client.progress import Bar

R = TypeVar("R")

MAP_BATCH = 500
BLOCK_CALLS = 256  # calls that run here before anybody looks at the time


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
        self._ready: Iterator[R] = iter(())  # values of a block that ran here
        self._raised: BaseException | None = None  # ... and what came behind them
        self._block = 1
        if self._stays() is None and chunksize == "auto" and function.client.seen(function.function).calls == 0:
            self._probe()
        while self._has_room():
            self._fill()

    def __iter__(self) -> MapIterator[R]:
        return self

    def __next__(self) -> R:
        for value in self._ready:
            return value
        return self._next()

    def _next(self) -> R:
        while not self._taken:
            if self._raised is not None:
                error, self._raised = self._raised, None
                raise error
            if not self._units and not self._exhausted and (why := self._stays()) is not None:
                self._run_block(why)
                for value in self._ready:
                    return value
                continue
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
        self._ready, self._raised = iter(()), None
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

    # --- how calls stay ------------------------------------------------------------------------------------------

    def _stays(self) -> Why | None:
        function = self._function
        if function.policy == "remote" or self._bar is not None:  # a bar shows futures: no call of it is without one
            return None
        return function.client.stays(function, in_map=True)

    def _run_block(self, why: Why) -> None:
        """Run some calls here, with as little as possible between one and the next."""
        calls = self._next_calls(self._block)
        began = time.perf_counter()
        values: list[R] = []
        try:
            # What came before an exception stays in the list.
            values.extend(itertools.starmap(self._function.local, calls))
        except KeyboardInterrupt:
            self._calls = itertools.chain(calls[len(values) :], self._calls)
            self._exhausted = False
            raise
        except BaseException as error:  # noqa: BLE001 - it is one call's outcome, raised at its place
            self._raised = error
            self._calls = itertools.chain(calls[len(values) + 1 :], self._calls)
            self._exhausted = False
        finally:
            self._ready = iter(values)
        seconds = time.perf_counter() - began
        self._function.client.ran_here(self._function.function, why, len(calls), seconds)
        self._block = min(2 * self._block, BLOCK_CALLS) if seconds < BLOCK_SECONDS / 2 else max(1, self._block // 2)

    # --- how calls go out ----------------------------------------------------------------------------------------

    def _probe(self) -> None:
        """A function that was never seen: some calls alone, and a moment to see whether they are short."""
        self._fill(policy.PROBES if self._function.policy == "remote" else 1)
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
        return not self._exhausted and self._under_way <= most - for_calls and self._stays() is None

    def _fill(self, most: int = MAP_BATCH) -> None:
        size = self._size()
        calls = self._next_calls(most if size == 1 else size)
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

    def _next_calls(self, most: int) -> list[Arguments]:
        calls: list[Arguments] = []
        try:
            calls.extend(itertools.islice(self._calls, most))
        except BaseException:
            # The caller's iterable raised: what was started before it is given up, as its outcome is not to be had.
            self.close()
            raise
        self._exhausted = len(calls) < most
        return calls

    def _take(self) -> None:
        unit = self._units.popleft()
        self._under_way -= 1 if isinstance(unit, Future) else len(unit)
