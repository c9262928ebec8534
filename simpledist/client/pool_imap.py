"""The iterators of `imap` and `imap_unordered`, and the thread that draws and starts their calls.

An iterable may block until outcomes are taken, so the thread that takes them cannot draw: as with the stdlib's pool, a
thread of its own does. It keeps at most `policy.IN_FLIGHT` calls ahead of what was taken, where the stdlib's has no
bound, so an endless iterable fills neither Redis nor memory. Called by pool.py and by users, from any thread.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import multiprocessing
import os
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, TypeVar

from simpledist import policy
from simpledist.client.callables import Arguments, Callables
from simpledist.client.mapping import DRAWN_CALLS
from simpledist.client.pool_results import is_done
from simpledist.engine import locks
from simpledist.engine.engine import Engine
from simpledist.engine.future import Future
from simpledist.engine.inside import is_inside, is_starting_a_thread
from simpledist.engine.moments import NEVER, after
from simpledist.engine.pending import Closed
from simpledist.engine.spec import FunctionSpec
from simpledist.interruption import by_signal

R = TypeVar("R")


class Drawing:
    """The calls of one `imap`: draws them, and holds the futures of those whose outcomes were not taken.

    `together`: drawing blocks for nothing, so many calls are drawn before they are sent; else each goes by itself. The
    lock of `_changed` guards every field that changes. It is reentrant: a signal handler may ask as well.
    """

    def __init__(
        self,
        engine: Engine,
        callables: Callables,
        spec: FunctionSpec,
        calls: Iterator[Arguments],
        *,
        ordered: bool,
        together: bool,
    ) -> None:
        self._engine = engine
        self._callables = callables
        self._spec = spec
        self._calls = self._until_one_raises(calls)
        self._step = DRAWN_CALLS if together else 1
        self._most = policy.IN_FLIGHT
        self._changed = threading.Condition(threading.RLock())
        self._left: dict[Future[Any], None] = {}  # started, and not taken
        self._done: queue.SimpleQueue[Future[Any] | None] | None = None if ordered else queue.SimpleQueue()
        self._raised: BaseException | None = None  # what comes after the last outcome
        self._ended = False
        self._draws = False  # the thread does, in this moment
        self._pid = os.getpid()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start the thread. Without one (in an interruption, or where there can be none) who takes outcomes draws."""
        if is_inside() or is_starting_a_thread():
            return
        drawer = threading.Thread(target=self._draw_all, name="simpledist-imap", daemon=True)
        try:
            drawer.start()
        except RuntimeError:
            return
        self._thread = drawer

    def next(self, end: float) -> Future[Any] | None:
        """Return the next future, whose outcome belongs to the caller; None at the end.

        Raises multiprocessing.TimeoutError at the time `end`, and what the iterable raised once all was taken.
        """
        while True:
            with self._lock:
                inside, alone = is_inside(), self._thread is None
                if self._left and (self._done is None or inside or alone):
                    return self._take(next(iter(self._left)))
                if self._ended and not self._left:
                    self._wake()
                    return self._at_the_end()
                if alone:
                    self._draw(1)
                    continue
            if inside:  # the thread that draws may wait for what this one has interrupted
                raise multiprocessing.TimeoutError
            if (future := self._waited(end)) is not None:
                return future

    def put_back(self, future: Future[Any]) -> None:
        """Undo `next`: the outcome was not there in time."""
        with self._lock:
            self._left = {future: None, **self._left}
            self._changed.notify_all()
        if self._done is not None:
            self._done.put(future)

    def finish(self) -> None:
        """Draw all that is left, and return when it is started."""
        with self._lock:
            self._most = sys.maxsize
            self._changed.notify_all()
            alone = self._thread is None
            while alone and self._draw(DRAWN_CALLS):
                pass
        if self._thread is not None:
            self._thread.join()

    def stop(self) -> None:
        """Draw no more, and cancel every call whose outcome was not taken."""
        with self._lock:
            if not self._ended or self._left:
                self._raised = self._raised or concurrent.futures.CancelledError()
            self._ended = True
            left, self._left = list(self._left), {}
            self._wake()
        if left:
            self._engine.forget(left)

    def leave(self) -> None:
        """Have it stopped by another thread: a finaliser asks, which may run anywhere."""
        self._engine.later(self.stop)

    def over(self) -> bool:
        """Return whether nothing is left to be drawn or taken."""
        return self._ended and not self._left

    @property
    def _lock(self) -> locks.Reentrant:
        if self._pid != os.getpid():  # the child of a fork: no thread of the parent is there to let go of its lock
            self._changed = threading.Condition(threading.RLock())
            self._thread, self._pid = None, os.getpid()
            if self._draws and not self._ended:  # what that thread had drawn is lost here
                self._raised, self._ended = RuntimeError("the iterable of imap was being drawn at the fork"), True
        return locks.lock_of(self._changed)

    # --- taken ---------------------------------------------------------------------------------------------------

    def _waited(self, end: float) -> Future[Any] | None:
        """Wait for news, not beyond `end`; return the future that is done, where the order is that of the outcomes."""
        seconds = end - time.monotonic()
        if seconds <= 0:
            raise multiprocessing.TimeoutError
        seconds = min(seconds, policy.INTERRUPT_SECONDS)
        if self._done is None:
            with self._lock:
                self._changed.wait_for(lambda: self._left or self._ended, seconds)
            return None
        try:
            future = self._done.get(timeout=seconds)
        except queue.Empty:
            return None
        with self._lock:
            return self._take(future) if future in self._left else None

    def _take(self, future: Future[Any]) -> Future[Any]:
        del self._left[future]
        self._wake()
        return future

    def _wake(self) -> None:
        """Let the thread that draws look again, and, at the end, all that wait for outcomes."""
        self._changed.notify_all()
        if self._done is not None and self._ended and not self._left:
            self._done.put(None)

    def _at_the_end(self) -> None:
        raised, self._raised = self._raised, None
        if raised is not None:
            try:
                raise raised
            finally:
                del raised

    # --- drawn ---------------------------------------------------------------------------------------------------

    def _draw_all(self) -> None:
        self._draws = True
        while self._draw(self._step):
            with self._lock:
                self._draws = False
                self._changed.wait_for(lambda: self._ended or len(self._left) < self._most)
                self._draws = True

    def _draw(self, most: int) -> bool:
        """Start up to `most` calls; return whether there may be more."""
        raised: Exception | None = None
        futures: list[Future[Any]] = []
        if not self._ended:
            try:
                futures = self._callables.start(self._spec, itertools.islice(self._calls, most), made=self._made)
            except Closed:
                raised = concurrent.futures.CancelledError()
            except Exception as error:  # else who waits for outcomes would wait for ever
                if by_signal(error):
                    raise
                raised = error
        with self._lock:
            left_over = futures if self._ended else []
            for future in left_over:
                self._left.pop(future, None)
            if len(futures) < most:
                self._raised = self._raised or raised
                self._ended = True
            self._wake()
        if left_over:
            self._engine.forget(left_over)
        return not self._ended

    def _until_one_raises(self, calls: Iterator[Arguments]) -> Iterator[Arguments]:
        """Yield what can be drawn: outcomes of what came before an exception come before it."""
        try:
            yield from calls
        except BaseException as error:
            if isinstance(error, GeneratorExit) or by_signal(error):
                raise
            self._raised = error

    def _made(self, futures: list[Future[Any]]) -> None:
        with self._lock:
            self._left.update(dict.fromkeys(futures))
            self._changed.notify_all()
        if self._done is not None:
            for future in futures:
                future.add_done_callback(self._done.put)


class IMapIterator(Iterator[R]):
    """The outcomes of `imap` or `imap_unordered`. After an exception of one call it goes on with the next.

    It keeps its pool from being dropped. As with executors, dropping it half way cancels the rest; who never looks at
    it wants the calls to be made.
    """

    def __init__(self, pool: object, drawing: Drawing, *, in_chunks: bool) -> None:
        self._pool = pool
        self._drawing = drawing
        self._in_chunks = in_chunks
        self._values: deque[R] = deque()  # of a chunk that was taken
        self._begun = False

    def __iter__(self) -> IMapIterator[R]:
        return self

    def __next__(self) -> R:
        return self.next()

    def next(self, timeout: float | None = None) -> R:
        """Return the next value, or raise that call's exception; StopIteration at the end.

        Raises multiprocessing.TimeoutError after `timeout` seconds: ask again. Raises what the iterable raised once all
        outcomes were taken, and concurrent.futures.CancelledError for calls that `terminate` has cancelled.
        """
        end = NEVER if timeout is None else after(timeout)
        self._begun = True
        try:
            return self._values.popleft()
        except IndexError:
            pass
        future = self._drawing.next(end)
        if future is None:
            self._pool = None
            raise StopIteration
        try:
            if not is_inside() and not is_done(future, end):
                raise multiprocessing.TimeoutError
        except BaseException:  # Ctrl-C: it is still to be taken
            self._drawing.put_back(future)
            raise
        try:
            outcome = future.result()
        finally:
            del future  # an exception's traceback would keep it, and it the exception
        if not self._in_chunks:
            return outcome
        self._values.extend(outcome[1:])
        return outcome[0]

    def __del__(self) -> None:
        drawing: Drawing | None = getattr(self, "_drawing", None)
        if drawing is not None and self._begun and not drawing.over():
            drawing.leave()
