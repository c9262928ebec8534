"""Outcomes of a pool's calls as `multiprocessing.pool.AsyncResult` shows them, one call's or those of a whole map.

Knows futures only. Called by pool.py and by users, from any thread. `get` and `wait` ask the futures, so that the
thread that waits brings the outcome; what was asked for with `callback=` runs before they return, as in the stdlib.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import multiprocessing.pool
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from simpledist import policy
from simpledist.engine.future import Future
from simpledist.engine.inside import is_inside
from simpledist.engine.moments import NEVER, after
from simpledist.engine.signal_safe_event import SignalSafeEvent

R = TypeVar("R")


class AsyncResult(multiprocessing.pool.AsyncResult[R], Generic[R]):
    """The outcome of `apply_async`, `map_async` or `starmap_async`, now or later; see `Pool`.

    It keeps its pool from being dropped as long as its calls are not done. `value_of` makes its value of what the
    `calls` jobs returned, in order.
    """

    def __init__(
        self,
        pool: object,
        value_of: Callable[[list[Any]], R],
        *,
        calls: int,
        callback: Callable[[R], object] | None,
        error_callback: Callable[[BaseException], object] | None,
    ) -> None:
        self._pool: object = pool
        self._value_of = value_of
        self._callback = callback
        self._error_callback = error_callback
        self.futures: list[Future[Any]] = []
        self._kept: list[R] = []  # the value, once it was made: `get` returns the same object again
        self._calls_back = calls > 0 and (callback is not None or error_callback is not None)
        self._to_come = deque(range(calls))  # one for each call that is not done, where there are callbacks
        self._called = SignalSafeEvent()  # nothing is to be called any more
        if not self._calls_back:
            self._called.set()
        self._caller = 0  # the thread that runs them
        self._pid = os.getpid()

    def take(self, futures: list[Future[Any]]) -> None:
        """Take some of its calls, before they are sent: so what asks for the callback is rarely the caller's thread."""
        self.futures += futures
        if self._calls_back:
            for future in futures:
                future.add_done_callback(self._one_is_done)

    def ready(self) -> bool:
        """Return whether every call is done, and the callback has run."""
        return self._called.is_set() and all(future.done() for future in self.futures)

    def successful(self) -> bool:
        """Return whether no call raised an exception. Raises ValueError while the result is not ready."""
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        return not any(future.cancelled() or future.exception() for future in self.futures)

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the result is ready, or for `timeout` seconds."""
        self._wait(NEVER if timeout is None else after(timeout))

    def get(self, timeout: float | None = None) -> R:
        """Return the value, or raise the exception of the first call, in order, that raised one.

        Raises multiprocessing.TimeoutError after `timeout` seconds, and concurrent.futures.CancelledError where
        `terminate` has cancelled a call.
        """
        if not self._wait(NEVER if timeout is None else after(timeout)):
            raise multiprocessing.TimeoutError
        return self._value()

    def __repr__(self) -> str:
        done = sum(future.done() for future in self.futures)
        return f"<simpledist result of {len(self.futures)} jobs, {done} of them done>"

    def _value(self) -> R:
        if not self._kept:
            self._kept.append(self._value_of([future.result() for future in self.futures]))
        return self._kept[0]

    def _wait(self, end: float) -> bool:
        """Return whether it is ready at that time. An interruption of this library waits for nothing."""
        if is_inside():
            return True
        if not all(is_done(future, end) for future in self.futures):
            return False
        if self._pid == os.getpid() and self._caller != threading.get_ident():
            while not self._called.wait(min(policy.INTERRUPT_SECONDS, max(0.0, end - time.monotonic()))):
                if time.monotonic() >= end:
                    return False
        self._pool = None
        return True

    def _one_is_done(self, _: Future[Any]) -> None:
        """Count the calls that are done. What the callback raises is logged, as with futures."""
        if self._to_come.pop():
            return
        self._caller = threading.get_ident()
        try:
            self._call_back()
        finally:
            self._caller, self._pool = 0, None
            self._called.set()

    def _call_back(self) -> None:
        if any(future.cancelled() for future in self.futures):
            return
        raised = next((error for future in self.futures if (error := future.exception()) is not None), None)
        if raised is not None:
            if self._error_callback is not None:
                self._error_callback(raised)
        elif self._callback is not None:
            self._callback(self._value())


def is_done(future: Future[Any], end: float) -> bool:
    """Return whether it is done at that time."""
    try:
        future.exception(None if end == NEVER else max(0.0, end - time.monotonic()))
    except concurrent.futures.CancelledError:
        return True
    except concurrent.futures.TimeoutError:
        if future.done():
            return True
        if time.monotonic() < end:  # an alarm's, of the caller's own
            raise
        return False
    return True
