"""The iterator of a map: which calls go out when, alone or in batches, and their outcomes in order.

Made by WorkerFunction.map, used by one thread. How many calls travel as one job is `policy.Experience`'s to say, and
whether they travel at all is routing's.
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
from simpledist.costs import LOCAL_BATCH_SECONDS
from simpledist.engine import at_once, map_batch
from simpledist.engine.argument_snapshot import Arguments, unchanging
from simpledist.engine.engine import Engine
from simpledist.engine.future import Future
from simpledist.engine.inside import Entry, run_outside, thread
from simpledist.engine.local_batch import LocalBatch
from simpledist.engine.map_batch import MapBatch, Outcome
from simpledist.engine.routing import Face, Here, Travel, Way
from simpledist.engine.spec import FunctionSpec
from simpledist.errors import Unserialisable
from simpledist.reasons import Why

if TYPE_CHECKING:
    from simpledist.client.progress import Bar

R = TypeVar("R")

DRAWN_CALLS = 500
LOCAL_BATCH_CALLS = 256  # calls that run here before it is asked whether the next should


class _Rest:
    """What is left of a map whose outcomes will not be taken."""

    def __init__(self, engine: Engine, units: list[Outcome | MapBatch], bar: Bar | None) -> None:
        self._engine = engine
        self._units = units
        self._bar = bar

    def cancel(self) -> None:
        futures: list[Future[Any]] = [one for one in self._units if isinstance(one, Future)]
        for unit in self._units:
            if isinstance(unit, MapBatch):
                futures += unit.futures()
        self._engine.forget(futures)
        if self._bar is not None:
            self._bar.close()


class MapIterator(Iterator[R], Generic[R]):
    """Outcomes in order; a bounded number of calls is under way or waiting to be taken.

    An exception in `next` that is no call's outcome (Ctrl-C, above all) cancels the rest: a traceback that is shown
    keeps the iterator alive, and it will not be asked for more.
    """

    def __init__(
        self,
        engine: Engine,
        spec: FunctionSpec,
        calls: Iterator[Arguments],
        *,
        chunksize: int | Literal["auto"] = "auto",
        bar: Bar | None = None,
        still: bool = False,
    ) -> None:
        self._engine = engine
        self._spec = spec
        # Each call that is shared, or that is ended after a time, goes by itself.
        self._batches = spec.sharing is None and spec.hard_timeout is None and engine.batches
        self._bar = bar
        self._calls = calls
        self._chunksize = chunksize
        self._units: deque[Future[R] | MapBatch] = deque()
        self._taken: deque[Outcome] = deque()  # of the batch in front: what of it is still to be handed out
        self._under_way = 0  # calls in `_units`
        self._exhausted = False
        self._still = still  # to draw an item runs no code: many may be drawn before the first is sent
        self._raised: BaseException | None = None  # the outcome that is raised in this moment
        self._began = time.monotonic()
        self._local_batch: LocalBatch[R] | None = None  # of calls that run here, where the iteration is
        self._values: Iterator[R] = iter(())  # its values, or those of a batch
        self._local_batch_size = 1
        with Entry(), thread.mark:
            try:
                if chunksize == "auto" and engine.known(spec).on_workers.calls == 0:
                    self._probe()
                while (way := self._way_out()) is not None:
                    self._fill(way)
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
        except BaseException:  # of another one: it is its outcome
            if self._local_batch is not None:
                self._local_batch.failed += 1
            raise
        with Entry(), thread.mark:
            try:
                return self._next()
            except BaseException as error:
                if error is not self._raised:
                    self._cancel()
                raise
            finally:
                self._raised = None

    def _next(self) -> R:
        self._end_local_batch()
        while not self._taken:
            if self._has_room(1 if not self._units else DRAWN_CALLS):
                way = self._way()
                if not isinstance(way, Here):
                    self._fill(way)
                elif not self._units:
                    return self._first_of_local_batch(way.why)
            if not self._units:
                raise StopIteration
            unit = self._units[0]
            outcomes = unit.outcomes() if isinstance(unit, MapBatch) else [unit]
            self._take()
            if len(outcomes) > 1 and set(map(type, outcomes)) == {wire.Value}:
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
            return at_once.run(one) if thread.interrupting and not one.done() else one.outcome()
        if isinstance(one, wire.Raised):
            raise one.exception
        return one.value

    def close(self) -> None:
        """Cancel every call whose outcome was not taken."""
        with Entry(), thread.mark:
            self._cancel()

    def _cancel(self) -> None:
        rest = self._rest()
        if thread.interrupting:
            self._engine.later(rest.cancel)
        else:
            run_outside(rest.cancel)

    def __del__(self) -> None:
        # Wherever the collector runs, it may be in a thread of the client, under its locks.
        if any(getattr(self, what, None) for what in ("_units", "_taken", "_bar", "_local_batch")):
            self._engine.later(self._rest().cancel)

    def _rest(self) -> _Rest:
        """Take all that is under way from this iterator."""
        self._exhausted = True
        self._drop_local_batch()
        rest = _Rest(self._engine, [*self._taken, *self._units], self._bar)
        self._units, self._taken, self._under_way, self._bar = deque(), deque(), 0, None
        return rest

    # --- how calls stay ------------------------------------------------------------------------------------------

    def _way(self) -> Way:
        """Return which way the next calls go."""
        if thread.interrupting:
            return Here("nested")
        # A bar shows futures: no call of it is without one.
        face: Face = "map" if self._bar is None else "again"
        return self._engine.route(self._spec, face, self._began, batches=self._batches)

    def _first_of_local_batch(self, why: Why) -> R:
        """Run the first call of a local batch: its time tells how many the next one may have."""
        batch = self._local_batch = LocalBatch(self._spec.here, self._calls, self._local_batch_size, why=why)
        self._values = batch.values
        self._engine.ran(self._spec, why, 0)
        began = time.perf_counter()
        try:
            return run_outside(next, self._values)
        except BaseException as error:
            if not (batch.over() or isinstance(error, KeyboardInterrupt)):
                self._raised = error
                batch.failed += 1
            raise
        finally:
            if batch.begun():
                seconds = batch.first_seconds = time.perf_counter() - began
                self._engine.known(self._spec).took_here(seconds)
                fits = seconds * self._local_batch_size < LOCAL_BATCH_SECONDS / 2
                self._local_batch_size = (
                    min(2 * self._local_batch_size, LOCAL_BATCH_CALLS) if fits else max(1, self._local_batch_size // 2)
                )

    def _end_local_batch(self) -> None:
        """End a local batch whose calls have run. One that raised StopIteration ends the map, as with the builtin."""
        if self._local_batch is not None:
            if not self._local_batch.over():
                self._raised = StopIteration()
                raise self._raised
            self._exhausted = self._exhausted or self._local_batch.exhausted()
            self._drop_local_batch()

    def _drop_local_batch(self) -> None:
        batch, self._local_batch = self._local_batch, None
        self._values = iter(())
        if batch is not None and (begun := batch.begun()):
            self._engine.ran(self._spec, batch.why, begun)
            failed = min(batch.failed, begun)
            self._spec.tally.add(batch.why, batch.first_seconds, failed, calls=begun)

    # --- how calls go out ----------------------------------------------------------------------------------------

    def _probe(self) -> None:
        """Send some calls of a function that is new to this client, and wait a moment: they may turn out short."""
        way = self._way()
        if isinstance(way, Here):
            return
        few = self._engine.known(self._spec).at_client.short()  # two: what is sent together gets its answer at once
        self._fill(way, 2 if few else 1 if self._spec.policy == "auto" else policy.PROBES)
        last = self._units[-1] if self._units else None
        if isinstance(last, Future) and not self._exhausted:
            last.wait_done(policy.PROBE_SECONDS)

    def _size(self) -> int:
        if not self._batches:
            return 1
        if isinstance(self._chunksize, int):
            return self._chunksize
        return self._engine.known(self._spec).on_workers.batch_calls()

    def _has_room(self, for_calls: int = 1) -> bool:
        # While batches still grow, the rest waits for bigger ones.
        most = min(max(policy.IN_FLIGHT, 32 * self._size()), policy.IN_FLIGHT_IN_BATCHES)
        return not self._exhausted and self._under_way <= most - for_calls

    def _way_out(self) -> Way | None:
        """Return the way of the next calls, where there is room for one and they do not run in this loop."""
        if not self._has_room():
            return None
        way = self._way()
        return None if isinstance(way, Here) else way

    def _fill(self, way: Way, most: int = DRAWN_CALLS) -> None:
        size = self._size()
        calls, sent = self._drawn(most if size == 1 else size)
        together = isinstance(way, Travel) and size > 1 and len(calls) > 1
        if together and (batch := map_batch.started(self._engine, self._spec, calls, sent=sent)) is not None:
            self._units.append(batch)
            if self._bar is not None:
                self._bar.watch_batch(batch)
        else:
            futures = self._engine.start_many(self._spec, calls, sent, way=way)
            self._units.extend(futures)
            if self._bar is not None:
                self._bar.watch(futures)
        self._under_way += len(calls)

    def _drawn(self, most: int) -> tuple[list[Arguments], list[Data | None]]:
        """Draw the next calls; encode those that can change now, for the next item may reuse their buffer."""
        calls: list[Arguments] = []
        sent: list[Data | None] = []
        if self._still:
            calls += itertools.islice(self._calls, most)
        else:
            run_outside(self._draw, most, calls, sent)
        self._exhausted = len(calls) < most
        return calls, sent

    def _draw(self, most: int, calls: list[Arguments], sent: list[Data | None]) -> None:
        codec = self._spec.codec
        for args in itertools.islice(self._calls, most):
            body = None
            if not unchanging(args):
                with contextlib.suppress(Unserialisable):
                    body = wire.encode_arguments(codec, args, shared=self._engine.shared)
            calls.append(args)
            sent.append(body)

    def _take(self) -> None:
        unit = self._units.popleft()
        self._under_way -= 1 if isinstance(unit, Future) else len(unit)
