"""The cluster behind the stdlib's interface: `client.executor()`, a concurrent.futures.Executor in every corner.

Owns the way of a callable (by its name, or with its call) and an executor's life. How a call travels is the engine's
business, what was taken is in engine/pending.py.
"""

from __future__ import annotations

import concurrent.futures
import functools
import itertools
import operator
import sys
import time
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ParamSpec, TypeVar, cast

from simpledist import shipped, wire
from simpledist.client.function import WorkerFunction
from simpledist.client.mapping import DRAWN_CALLS
from simpledist.engine import snapshot
from simpledist.engine.engine import Engine
from simpledist.engine.future import Future
from simpledist.engine.inside import Entry, is_inside, thread
from simpledist.engine.routing import Way
from simpledist.engine.spec import FunctionSpec
from simpledist.wire import serializers

P = ParamSpec("P")
R = TypeVar("R")

Arguments = tuple[tuple[Any, ...], dict[str, Any]]  # of one call

# A pool's thread has a call before `submit` returns, a worker when it gets there. Who gives many calls and shuts down
# at once, cancelling, counts on some having begun (CPython's test_cancel_futures does): the oldest gets this long.
TO_BEGIN_S = 0.5


class Executor(concurrent.futures.Executor):
    """See `Client.executor`. Safe to use from many threads.

    Beyond the stdlib's contract: its futures can be awaited and have `.info`, which tells where a call ran, and why.
    """

    def __init__(self, engine: Engine, slots: int) -> None:
        self._engine = engine
        self._pending = engine.pending(slots)
        self._run = FunctionSpec(shipped.FUNCTION, shipped.run)
        self._named: dict[str, FunctionSpec] = {}

    def __reduce__(self) -> Any:
        return Executor, (self._engine, self._pending.slots)

    def __repr__(self) -> str:
        return f"<executor of {self._engine!r}: {len(self._pending.outstanding())} calls to be done>"

    @property
    def _max_workers(self) -> int:
        """Return how many calls can run at once: dask and others ask an executor for it, by the stdlib's own name.

        The slots of the live workers, looked up at most every 2 s; without any, those of this process.
        """
        return max(self._engine.offers.all_slots(), self._pending.slots)

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Start `fn(*args, **kwargs)` and return its future; RuntimeError after `shutdown`.

        The future's `cancel` keeps the stdlib's rule: False once the call runs, wherever.
        """
        named = self._by_name(fn)
        if named is not None:
            return self._start(named, [(args, kwargs)])[0]
        return self._start(self._run, [shipped.arguments(fn, args, kwargs)])[0]

    def map(
        self,
        fn: Callable[..., R],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[R]:
        """As the stdlib's: outcomes in order, TimeoutError if they are not there `timeout` seconds after the call.

        A function that travels with its calls travels once for `chunksize` of them; the calls of one that goes by name
        travel in batches whatever it is. The iterables are consumed at once, or with `buffersize` only so many jobs
        ahead. Closing the iterator cancels what has not begun, and so does dropping it once an outcome was taken from
        it. Raises ValueError for a size below 1, TypeError for one that is no integer, RuntimeError after `shutdown`.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and operator.index(buffersize) < 1:
            raise ValueError("buffersize must be None or > 0")
        end = None if timeout is None else time.monotonic() + timeout
        calls: Iterator[tuple[Any, ...]] = zip(*iterables)  # noqa: B905 - as the builtin does
        named = self._by_name(fn)
        if named is not None:
            return self._outcomes(named, ((args, {}) for args in calls), buffersize=buffersize, end=end)
        if chunksize == 1:
            return self._outcomes(
                self._run, (shipped.arguments(fn, args, {}) for args in calls), buffersize=buffersize, end=end
            )
        # Each item as it is when it is drawn: the next may be the same buffer, filled again.
        copies = map(snapshot.copied, calls)
        chunks = iter(lambda: list(itertools.islice(copies, chunksize)), [])
        jobs = (shipped.arguments(shipped.run_each, (fn, chunk), {}) for chunk in chunks)
        return _each(self._outcomes(self._run, jobs, buffersize=buffersize, end=end))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; with `wait`, return when those that were taken are done and their callbacks have run.

        `cancel_futures` cancels those that have not begun. May be called more than once; the client stays open.
        """
        self._pending.close("cannot schedule new futures after shutdown")
        if thread.inside and is_inside():  # a signal handler or finaliser in the midst of our work waits for nothing
            if cancel_futures:
                self._engine.cancel_waiting(self._pending.outstanding())
            return
        if cancel_futures:
            given = self._pending.outstanding()
            if given:
                oldest = min(given, key=lambda future: future.call.began)
                oldest.wait_done(max(0.0, oldest.call.began + TO_BEGIN_S - time.monotonic()))
            self._engine.cancel_waiting(given)
        if wait:
            self._pending.join()

    # --- which way a callable goes -------------------------------------------------------------------------------

    def _by_name(self, fn: Callable[..., Any]) -> FunctionSpec | None:
        """Return `fn` as the workers know it; None if it must travel with its calls."""
        if isinstance(fn, WorkerFunction):
            return cast("WorkerFunction[..., Any]", fn).spec
        if not isinstance(fn, types.FunctionType) or not _is_at_home(fn) or serializers.goes_by_value(fn.__module__):
            return None
        name = self._engine.offers.name_of(wire.fingerprint(fn))
        if name is None:
            return None
        named = self._named.get(name)
        if named is None or named.local is not fn:
            named = self._named[name] = FunctionSpec(name, fn)
        return named

    # --- how calls start and end ---------------------------------------------------------------------------------

    def _start(self, spec: FunctionSpec, calls: Iterable[Arguments]) -> list[Future[Any]]:
        """Start calls, each encoded when it is drawn."""
        engine = self._engine
        made: list[tuple[Future[Any], Way]] = []
        for args, kwargs in calls:
            with Entry():
                way = engine.route(spec, "submit")
                made.append(engine.new(spec, args, kwargs, way, pending=self._pending))
        if not made:
            return []  # a map that has come to its end asks too, perhaps after `shutdown`
        futures = [future for future, _ in made]
        with Entry():
            self._pending.take(futures)
            engine.go(made)
        return futures

    def _outcomes(
        self, spec: FunctionSpec, calls: Iterator[Arguments], *, buffersize: int | None, end: float | None
    ) -> Iterator[Any]:
        """Start calls now, and return the iterator of their outcomes."""
        futures: deque[Future[Any]] = deque()
        most = sys.maxsize if buffersize is None else buffersize
        try:
            while batch := self._start(spec, itertools.islice(calls, min(DRAWN_CALLS, most - len(futures)))):
                futures.extend(batch)
        except BaseException:
            self._engine.cancel_waiting(list(futures))
            raise
        return _Outcomes(self._engine, futures, more=lambda: self._start(spec, itertools.islice(calls, 1)), end=end)


class _Outcomes(Iterator[Any]):
    """The outcomes of a map, in order. No generator: the collector would close that wherever it runs.

    As with the stdlib's generator, dropping it cancels nothing as long as no outcome was asked for: who calls `map` and
    never looks wants the calls to be made.
    """

    def __init__(
        self, engine: Engine, futures: deque[Future[Any]], *, more: Callable[[], list[Future[Any]]], end: float | None
    ) -> None:
        self._engine = engine
        self._futures: deque[Future[Any]] = futures
        self._more = more
        self._end = end
        self._begun = False

    def __next__(self) -> Any:
        self._begun = True
        try:
            if not self._futures:
                raise StopIteration
            self._futures.extend(self._more())
            # No variable for future or outcome: they live no longer than the caller wants.
            return _result(self._futures.popleft(), self._end)
        except BaseException:  # as of a generator, nothing comes after an exception
            self.close()
            raise

    def close(self) -> None:
        """Cancel what has not begun."""
        futures, self._futures = self._futures, deque[Future[Any]]()
        self._more = list[Any]
        if futures:
            self._engine.cancel_waiting(list(futures))

    def __del__(self) -> None:
        if self._begun and (futures := self._futures):
            self._engine.later(functools.partial(self._engine.cancel_waiting, list(futures)))


def _result(future: Future[Any], end: float | None) -> Any:
    try:
        return future.result(None if end is None else end - time.monotonic())
    except BaseException:
        future.cancel()
        raise
    finally:
        del future  # an exception's traceback would keep it, and it the exception


def _each(lists: Iterator[list[Any]]) -> Iterator[Any]:
    for outcomes in lists:
        outcomes.reverse()
        while outcomes:
            yield outcomes.pop()


def _is_at_home(fn: types.FunctionType) -> bool:
    """Return whether it is what its module has under its name: a closure or a replaced function is only like it."""
    found: Any = sys.modules.get(fn.__module__)
    for part in fn.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is fn
