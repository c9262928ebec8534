"""The iterator of a map: which calls go out when, alone or in chunks, and their outcomes in order.

Called by WorkerFunction.map, used by one thread. How many calls travel as one job is `policy.Experience`'s to say.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast

from simpledist import policy, wire
from simpledist.client.block import Block
from simpledist.client.chunks import Arguments, Chunk, Outcome
from simpledist.client.future import Future
from simpledist.job import Why
from simpledist.placement import BLOCK_SECONDS

if TYPE_CHECKING:
    from simpledist.client.function import WorkerFunction
    from simpledist.client.progress import Bar

R = TypeVar("R")

MAP_BATCH = 500
BLOCK_CALLS = 256  # calls that run here before it is asked whether the next should


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
        self._began = time.monotonic()
        self._block: Block[R] | None = None  # of calls that run here, where the iteration is
        self._values: Iterator[R] = iter(())  # its values, or those of a chunk
        self._block_size = 1
        if self._stays() is None and chunksize == "auto" and function.client.seen(function.function).calls == 0:
            self._probe()
        while self._has_room():
            self._fill()

    def __iter__(self) -> MapIterator[R]:
        return self

    def __next__(self) -> R:
        try:
            for value in self._values:
                return value
        except KeyboardInterrupt:
            if self._block is not None:
                self._calls = itertools.chain(self._block.interrupted(), self._calls)
                self._exhausted = False
            raise
        return self._next()

    def _next(self) -> R:
        self._end_block()
        while not self._taken:
            if not self._units and not self._exhausted and (why := self._stays()) is not None:
                if self._begin_block(why):
                    return self._first_of_block()
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
            if all(type(one) is wire.Value for one in outcomes):
                self._values = iter([one.value for one in cast("list[wire.Value]", outcomes)])
                return next(self)
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
        self._drop_block()
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
        if any(getattr(self, what, None) for what in ("_units", "_taken", "_bar", "_block")):
            self.close()

    # --- how calls stay ------------------------------------------------------------------------------------------

    def _stays(self) -> Why | None:
        if self._bar is not None:  # a bar shows futures: no call of it is without one
            return None
        return self._function.client.staying.why_in_map(self._function, self._began)

    def _begin_block(self, why: Why) -> bool:
        """Whether there is another call to run here."""
        calls = self._next_calls(self._block_size)
        if calls:
            self._block = Block(self._function.local, calls, why)
            self._values = self._block.values
        return bool(calls)

    def _first_of_block(self) -> R:
        """It stands for all of them: how long they take, and how many the next block has."""
        began = time.perf_counter()
        try:
            return next(self)
        finally:
            seconds = time.perf_counter() - began
            self._function.client.staying.took(self._function.function, seconds)
            fits = seconds * self._block_size < BLOCK_SECONDS / 2
            self._block_size = min(2 * self._block_size, BLOCK_CALLS) if fits else max(1, self._block_size // 2)

    def _end_block(self) -> None:
        """All of its calls have run. One that raises StopIteration ends the iteration, as with the builtin map."""
        if self._block is not None:
            if not self._block.over():
                raise StopIteration
            self._drop_block()

    def _drop_block(self) -> None:
        block, self._block = self._block, None
        self._values = iter(())
        if block is not None:
            self._function.client.staying.ran(self._function.function, block.why, block.begun())

    # --- how calls go out ----------------------------------------------------------------------------------------

    def _probe(self) -> None:
        """A function that no worker was seen to run: some calls alone, and a moment to see whether they are short."""
        function = self._function
        few = function.client.staying.short(function)  # two: what is sent together gets its answer at once
        self._fill(2 if few else 1 if function.policy == "auto" else policy.PROBES)
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
