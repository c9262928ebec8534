"""The iterator of a map: which calls go out when, alone or in chunks, and their outcomes in order.

Called by WorkerFunction.map, used by one thread. How many calls travel as one job is `policy.Experience`'s to say.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast

from simpledist import policy, wire
from simpledist.buffers import Data
from simpledist.client import beside
from simpledist.client.block import Block
from simpledist.client.chunks import Arguments, Chunk, Outcome
from simpledist.client.future import Future
from simpledist.client.inside import Entry, run_outside, thread
from simpledist.client.snapshot import unchanging
from simpledist.errors import Unserialisable
from simpledist.job import Why
from simpledist.placement import BLOCK_SECONDS

if TYPE_CHECKING:
    from simpledist.client.client import Client
    from simpledist.client.function import WorkerFunction
    from simpledist.client.progress import Bar

R = TypeVar("R")

MAP_BATCH = 500
BLOCK_CALLS = 256  # calls that run here before it is asked whether the next should


class _Rest:
    """What is left of a map whose outcomes nobody will take."""

    def __init__(self, client: Client, units: list[Outcome | Chunk], bar: Bar | None) -> None:
        self._client = client
        self._units = units
        self._bar = bar

    def cancel(self) -> None:
        futures: list[Future[Any]] = [one for one in self._units if isinstance(one, Future)]
        for unit in self._units:
            if isinstance(unit, Chunk):
                futures += unit.futures()
        self._client.forget(futures)
        if self._bar is not None:
            self._bar.close()


class MapIterator(Iterator[R], Generic[R]):
    """Outcomes in order; a bounded number of calls is under way or waiting to be taken.

    What is raised in `next` and is no call's outcome (Ctrl-C, above all) cancels the rest: whoever shows the traceback
    keeps the iterator alive, and nobody will ask it for more.
    """

    def __init__(
        self,
        function: WorkerFunction[Any, R],
        calls: Iterator[Arguments],
        chunksize: int | Literal["auto"],
        bar: Bar | None = None,
        *,
        still: bool = False,
    ) -> None:
        self._function = function
        self._bar = bar
        self._calls = calls
        self._chunksize = chunksize
        self._units: deque[Future[R] | Chunk] = deque()
        self._taken: deque[Outcome] = deque()  # of the chunk in front: what of it is still to be handed out
        self._under_way = 0  # calls in `_units`
        self._exhausted = False
        self._still = still  # to draw an item runs no code: many may be drawn before the first is sent
        self._raised: BaseException | None = None  # the outcome that is raised in this moment
        self._began = time.monotonic()
        self._block: Block[R] | None = None  # of calls that run here, where the iteration is
        self._values: Iterator[R] = iter(())  # its values, or those of a chunk
        self._block_size = 1
        with Entry():
            try:
                if self._stays() is None and chunksize == "auto" and function.client.seen(function.function).calls == 0:
                    self._probe()
                while self._has_room():
                    self._fill()
            except BaseException:
                self._cancel()
                raise

    def __iter__(self) -> MapIterator[R]:
        return self

    def __next__(self) -> R:
        try:
            for value in self._values:
                return value
        except KeyboardInterrupt:  # of a call that runs here, in this thread
            self.close()
            raise
        with Entry():
            try:
                return self._next()
            except BaseException as error:
                if error is not self._raised:
                    self._cancel()
                raise
            finally:
                self._raised = None

    def _next(self) -> R:
        self._end_block()
        while not self._taken:
            if not self._units and not self._exhausted and (why := self._stays()) is not None:
                return self._first_of_block(why)
            if self._has_room(MAP_BATCH):
                self._fill()
            if not self._units:
                raise StopIteration
            unit = self._units[0]
            outcomes = unit.outcomes() if isinstance(unit, Chunk) else [unit]
            self._take()
            if len(outcomes) > 1 and all(type(one) is wire.Value for one in outcomes):
                self._values = iter([one.value for one in cast("list[wire.Value]", outcomes)])
                return next(self._values)
            self._taken.extend(outcomes)
        one = self._taken[0]
        try:
            value = self._outcome(one)
        except BaseException as error:
            if not isinstance(one, Future) or one.done() or thread.interrupting:
                self._raised = error  # it is this call's outcome: the others go on
                self._taken.popleft()
            raise
        self._taken.popleft()
        return value

    @staticmethod
    def _outcome(one: Outcome) -> R:
        if isinstance(one, Future):
            return beside.run(one) if thread.interrupting and not one.done() else one.outcome()
        if isinstance(one, wire.Raised):
            raise one.exception
        return one.value

    def close(self) -> None:
        """Cancel every call whose outcome was not taken."""
        with Entry():
            self._cancel()

    def _cancel(self) -> None:
        rest = self._rest()
        if thread.interrupting:
            self._function.client.later(rest.cancel)
        else:
            run_outside(rest.cancel)

    def __del__(self) -> None:
        # Wherever the collector runs, it may be in a thread of the client, under its locks.
        if any(getattr(self, what, None) for what in ("_units", "_taken", "_bar", "_block")):
            self._function.client.later(self._rest().cancel)

    def _rest(self) -> _Rest:
        """All that is under way; it is no longer this iterator's."""
        self._exhausted = True
        self._drop_block()
        rest = _Rest(self._function.client, [*self._taken, *self._units], self._bar)
        self._units, self._taken, self._under_way, self._bar = deque(), deque(), 0, None
        return rest

    # --- how calls stay ------------------------------------------------------------------------------------------

    def _stays(self) -> Why | None:
        if thread.interrupting:
            return "nested"
        if self._bar is not None:  # a bar shows futures: no call of it is without one
            return None
        return self._function.client.staying.why_in_map(self._function, self._began)

    def _first_of_block(self, why: Why) -> R:
        """It stands for all of them: how long they take, and how many the next block has."""
        block = self._block = Block(self._function.local, self._calls, self._block_size, why)
        self._values = block.values
        began = time.perf_counter()
        try:
            return run_outside(next, self._values)
        except BaseException as error:
            if not (block.over() or isinstance(error, KeyboardInterrupt)):
                self._raised = error
            raise
        finally:
            if block.begun():
                seconds = time.perf_counter() - began
                self._function.client.staying.took(self._function.function, seconds)
                fits = seconds * self._block_size < BLOCK_SECONDS / 2
                self._block_size = min(2 * self._block_size, BLOCK_CALLS) if fits else max(1, self._block_size // 2)

    def _end_block(self) -> None:
        """All of its calls have run. One that raises StopIteration ends the iteration, as with the builtin map."""
        if self._block is not None:
            if not self._block.over():
                self._raised = StopIteration()
                raise self._raised
            self._exhausted = self._exhausted or self._block.exhausted()
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
        calls, sent = self._drawn(most if size == 1 else size)
        if size > 1 and len(calls) > 1 and (chunk := self._function.submit_chunk(calls, sent)) is not None:
            self._units.append(chunk)
            if self._bar is not None:
                self._bar.watch_chunk(chunk)
        else:
            futures = self._function.submit_many(calls, sent)
            self._units.extend(futures)
            if self._bar is not None:
                self._bar.watch(futures)
        self._under_way += len(calls)

    def _drawn(self, most: int) -> tuple[list[Arguments], list[Data | None]]:
        """The next calls, and for each that can change what is sent of it: the next item may reuse its buffer."""
        calls: list[Arguments] = []
        sent: list[Data | None] = []
        if self._still:
            calls += itertools.islice(self._calls, most)
        else:
            run_outside(self._draw, most, calls, sent)
        self._exhausted = len(calls) < most
        return calls, sent

    def _draw(self, most: int, calls: list[Arguments], sent: list[Data | None]) -> None:
        codec = self._function.codec
        for args in itertools.islice(self._calls, most):
            body = None
            if not unchanging(args):
                with contextlib.suppress(Unserialisable):
                    body = wire.encode_arguments(codec, args)
            calls.append(args)
            sent.append(body)

    def _take(self) -> None:
        unit = self._units.popleft()
        self._under_way -= 1 if isinstance(unit, Future) else len(unit)
