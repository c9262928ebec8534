"""The cluster behind `multiprocessing.Pool`'s interface: `client.pool()`, for programs that have a pool in hand.

Owns a pool's life, and how its calls are put into jobs. Which way a callable goes is in callables.py, outcomes are in
pool_results.py and pool_imap.py. Imported when the first pool is made: `multiprocessing` takes long to import.
"""

from __future__ import annotations

import itertools
import multiprocessing.pool
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from simpledist.client.callables import Arguments, Callables
from simpledist.client.mapping import DRAWN_CALLS
from simpledist.client.pool_imap import Drawing, IMapIterator
from simpledist.client.pool_results import AsyncResult
from simpledist.engine.engine import Engine
from simpledist.engine.inside import is_inside
from simpledist.engine.pending import Closed
from simpledist.engine.spec import FunctionSpec

R = TypeVar("R")

Callback = Callable[[Any], object]

_RUN, _CLOSE, _TERMINATE = "RUN", "CLOSE", "TERMINATE"  # the stdlib's own words
_NOT_RUNNING = "Pool not running"
_AT_HAND = (list, tuple, range, set, frozenset, dict, str, bytes)  # to draw from these blocks for nothing


class Pool(multiprocessing.pool.Pool):
    """See `Client.pool`. Safe to use from many threads.

    What differs from the stdlib's: no outcome is waited for without end. A call that `terminate` cancels raises
    concurrent.futures.CancelledError where its outcome is asked for; a call whose process dies runs again.
    """

    _ended = _TERMINATE

    def __init__(self, engine: Engine, slots: int) -> None:  # the stdlib's would start processes
        self._engine = engine
        self._pending = engine.pending(slots, awaited=False)
        self._callables = Callables(engine, self._pending)
        self._drawings: weakref.WeakSet[Drawing] = weakref.WeakSet()
        self._state = _RUN
        self._warns = True  # when it is dropped while it runs

    def __reduce__(self) -> Any:
        return _revived, (self._engine, self._pending.slots)

    def __repr__(self) -> str:
        return f"<pool of {self._engine!r}: {self._state}, {len(self._pending.outstanding())} jobs to be done>"

    @property
    def _processes(self) -> int:
        """Return how many calls can run at once: programs ask a pool for it, by the stdlib's own name."""
        return self._callables.slots

    @property
    def _pool(self) -> range:
        """Return what has the length that programs ask for; its processes are the workers', and not to be had."""
        return range(self._processes)

    # --- calls ---------------------------------------------------------------------------------------------------

    def apply(self, func: Callable[..., R], args: Iterable[Any] = (), kwds: Mapping[str, Any] | None = None) -> R:
        """Return the outcome of `func(*args, **kwds)`."""
        return self._outcome(self.apply_async(func, args, kwds))

    def apply_async(
        self,
        func: Callable[..., R],
        args: Iterable[Any] = (),
        kwds: Mapping[str, Any] | None = None,
        callback: Callable[[R], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult[R]:
        """Start `func(*args, **kwds)`; call `callback` with its value, or `error_callback` with its exception."""
        self._check_running()
        result = AsyncResult[R](self, _only, calls=1, callback=callback, error_callback=error_callback)
        spec, calls = self._callables.call(func, tuple(args), dict(kwds or {}))
        return self._begun(result, spec, calls)

    def map(self, func: Callable[[Any], R], iterable: Iterable[Any], chunksize: int | None = None) -> list[R]:
        """Return `[func(item) for item in iterable]`; Ctrl-C, and whatever else is raised meanwhile, cancels the rest.

        A function that travels with its calls travels once for `chunksize` of them; the calls of one that goes by name
        travel in batches whatever it is. All calls end before the exception of one is raised.
        """
        return self._outcome(self.map_async(func, iterable, chunksize))

    def map_async(  # type: ignore[override]
        self,
        func: Callable[[Any], R],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        callback: Callable[[list[R]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult[list[R]]:
        """Start the calls of a `map`; call `callback` with the list, or `error_callback` with the first exception."""
        return self._map_async(func, ((item,) for item in iterable), iterable, chunksize, callback, error_callback)

    def starmap(
        self, func: Callable[..., R], iterable: Iterable[Iterable[Any]], chunksize: int | None = None
    ) -> list[R]:
        """Return `[func(*items) for items in iterable]`, as `map` does."""
        return self._outcome(self.starmap_async(func, iterable, chunksize))

    def starmap_async(
        self,
        func: Callable[..., R],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        callback: Callable[[list[R]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult[list[R]]:
        """Start the calls of a `starmap`, as `map_async` does."""
        return self._map_async(func, map(tuple, iterable), iterable, chunksize, callback, error_callback)

    def imap(  # type: ignore[override]
        self, func: Callable[[Any], R], iterable: Iterable[Any], chunksize: int | None = 1
    ) -> IMapIterator[R]:
        """Return the iterator of the outcomes, in order; `next(timeout)` of it waits so many seconds.

        A thread draws from `iterable`, at most 2,000 jobs ahead of the outcomes that were taken.
        """
        return self._imap(func, iterable, chunksize, ordered=True)

    def imap_unordered(  # type: ignore[override]
        self, func: Callable[[Any], R], iterable: Iterable[Any], chunksize: int | None = 1
    ) -> IMapIterator[R]:
        """Return the iterator of the outcomes, whichever comes first, as `imap` does."""
        return self._imap(func, iterable, chunksize, ordered=False)

    # --- its life ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Take no more calls: ValueError is raised for them. Those that were taken are done."""
        if self._state == _RUN:
            self._state = _CLOSE

    def terminate(self) -> None:
        """Take no more calls and cancel all: what is queued is removed, of what runs on a worker the child is stopped.

        A call that runs in this process goes on to its end, and its outcome is dropped.
        """
        self._state = _TERMINATE
        _drop(self._engine, self._pending, self._drawings)

    def join(self) -> None:
        """Return when all calls are done and their callbacks have run. Raises ValueError before `close`."""
        if self._state == _RUN:
            raise ValueError("Pool is still running")
        if is_inside():  # a signal handler or finaliser in the midst of our work waits for nothing
            return
        for drawing in list(self._drawings):
            drawing.finish()
        self._pending.join()

    def __enter__(self) -> Pool:
        self._check_running()
        return self

    def __exit__(self, *_: object) -> None:
        self.terminate()

    def __del__(self) -> None:
        if getattr(self, "_state", self._ended) == self._ended:
            return
        self._engine.later(_drop, self._engine, self._pending, list(self._drawings))
        if self._state == _RUN and self._warns:  # no more at the very end of a program: `_RUN` is None
            warnings.warn(f"unclosed running multiprocessing pool {self!r}", ResourceWarning, stacklevel=1, source=self)

    def _check_running(self) -> None:
        if self._state != _RUN:
            raise ValueError(_NOT_RUNNING)

    # --- how calls are put into jobs -----------------------------------------------------------------------------

    def _map_async(
        self,
        func: Callable[..., R],
        drawn: Iterable[tuple[Any, ...]],
        iterable: Iterable[Any],
        chunksize: int | None,
        callback: Callback | None,
        error_callback: Callback | None,
    ) -> AsyncResult[list[R]]:
        self._check_running()
        calls = list(drawn if isinstance(iterable, _AT_HAND) else map(self._callables.copied, drawn))
        if chunksize is None:
            chunksize = -(-len(calls) // (4 * self._processes))
        spec, jobs, chunked = self._callables.jobs(func, iter(calls), chunksize)
        count = -(-len(calls) // chunksize) if chunked else len(calls)
        value_of = _flat if chunked else list
        result = AsyncResult[list[R]](self, value_of, calls=count, callback=callback, error_callback=error_callback)
        return self._begun(result, spec, jobs)

    def _imap(
        self, func: Callable[..., R], iterable: Iterable[Any], chunksize: int | None, *, ordered: bool
    ) -> IMapIterator[R]:
        self._check_running()
        if chunksize is None:
            chunksize = 1
        if chunksize < 1:
            raise ValueError(f"Chunksize must be 1+, not {chunksize}")
        at_hand = isinstance(iterable, _AT_HAND)
        calls: Iterator[tuple[Any, ...]] = ((item,) for item in iterable)
        # Each item as it is when it is drawn: the next may be the same buffer, filled again.
        spec, jobs, chunked = self._callables.jobs(
            func, calls if at_hand else map(self._callables.copied, calls), chunksize
        )
        drawing = Drawing(self._engine, self._callables, spec, jobs, ordered=ordered, together=at_hand)
        self._drawings.add(drawing)
        drawing.begin()
        return IMapIterator(self, drawing, in_chunks=chunked)

    def _begun(self, result: AsyncResult[R], spec: FunctionSpec, jobs: Iterable[Arguments]) -> AsyncResult[R]:
        """Start the jobs of a result."""
        jobs = iter(jobs)
        try:
            while self._callables.start(spec, itertools.islice(jobs, DRAWN_CALLS), made=result.take):
                if self._state == _TERMINATE:  # meanwhile, by another thread, which did not find these
                    raise Closed(_NOT_RUNNING)
        except Closed:
            self._engine.forget(result.futures)
            raise ValueError(_NOT_RUNNING) from None
        except BaseException:
            self._engine.forget(result.futures)
            raise
        return result

    def _outcome(self, result: AsyncResult[R]) -> R:
        """Return the outcome to a caller who waits for it, the only one who can."""
        try:
            return result.get()
        finally:
            if left := [future for future in result.futures if not future.done()]:
                self._engine.forget(left)
            del result  # an exception's traceback would keep it, and it the exception


def _revived(engine: Engine, slots: int) -> Pool:
    """Return the pool that came out of a pickle: no one closes that."""
    pool = Pool(engine, slots)
    pool._warns = False  # pyright: ignore[reportPrivateUsage]
    return pool


def _only(outcomes: list[R]) -> R:
    return outcomes[0]


def _flat(chunks: list[list[R]]) -> list[R]:
    return list(itertools.chain.from_iterable(chunks))


def _drop(engine: Engine, pending: Any, drawings: Iterable[Drawing]) -> None:
    """Leave nothing running of a pool that has ended, or that no one holds any more."""
    pending.close(_NOT_RUNNING)
    for drawing in list(drawings):  # as they are once no call is taken any more
        drawing.stop()
    engine.forget(pending.outstanding())
