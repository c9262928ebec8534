"""The cluster behind the stdlib's interface: `client.executor()`, a concurrent.futures.Executor in every corner.

Owns an executor's life and the order of a map's outcomes. Which way a callable goes is in callables.py, how a call
travels is the engine's business, what was taken is in engine/pending.py.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import operator
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ParamSpec, TypeVar

from simpledist.client.callables import Arguments, Callables
from simpledist.client.mapping import DRAWN_CALLS
from simpledist.engine.engine import Engine
from simpledist.engine.future import Future
from simpledist.engine.inside import is_inside
from simpledist.engine.pending import Closed
from simpledist.engine.spec import FunctionSpec

P = ParamSpec("P")
R = TypeVar("R")

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
        self._callables = Callables(engine, self._pending)

    def __reduce__(self) -> Any:
        return Executor, (self._engine, self._pending.slots)

    def __repr__(self) -> str:
        return f"<executor of {self._engine!r}: {len(self._pending.outstanding())} calls to be done>"

    @property
    def _max_workers(self) -> int:
        """Return how many calls can run at once: dask and others ask an executor for it, by the stdlib's own name."""
        return self._callables.slots

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Start `fn(*args, **kwargs)` and return its future; RuntimeError after `shutdown`.

        The future's `cancel` keeps the stdlib's rule: False once the call runs, wherever.
        """
        return self._start(*self._callables.call(fn, args, kwargs))[0]

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
        spec, jobs, chunked = self._callables.jobs(fn, calls, chunksize, copied=True)
        outcomes = self._outcomes(spec, jobs, buffersize=buffersize, end=end)
        return _each(outcomes) if chunked else outcomes

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; with `wait`, return when those that were taken are done and their callbacks have run.

        `cancel_futures` cancels those that have not begun. May be called more than once; the client stays open.
        """
        self._pending.close("cannot schedule new futures after shutdown")
        if is_inside():  # a signal handler or finaliser in the midst of our work waits for nothing
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

    # --- how calls start and end ---------------------------------------------------------------------------------

    def _start(self, spec: FunctionSpec, calls: Iterable[Arguments]) -> list[Future[Any]]:
        try:
            return self._callables.start(spec, calls)
        except Closed as error:  # the stdlib's own class, for who looks at a traceback
            raise RuntimeError(str(error)) from None

    def _outcomes(
        self, spec: FunctionSpec, calls: Iterator[Arguments], *, buffersize: int | None, end: float | None
    ) -> Iterator[Any]:
        """Start calls now, and return the iterator of their outcomes."""
        futures: deque[Future[Any]] = deque()
        most = sys.maxsize if buffersize is None else buffersize
        start = self._start
        try:
            while batch := start(spec, itertools.islice(calls, min(DRAWN_CALLS, most - len(futures)))):
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
        if self._begun and self._futures:
            self._engine.later(self._engine.cancel_waiting, list(self._futures))


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
