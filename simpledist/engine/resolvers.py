"""Threads that decode outcomes that no thread waits for, and do what was left by interruptions. Started when needed."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from simpledist.engine import locks
from simpledist.engine.deferred import Deferred
from simpledist.engine.future import Future
from simpledist.engine.inside import STARVED_SECONDS, is_starting_a_thread, started, thread
from simpledist.printable import logger

log = logger("simpledist")

IDLE_SECONDS = 5.0


class Resolvers:
    """The threads of one client.

    One is enough until a callback blocks in it, perhaps for a future that stands behind it: whenever the first in line
    has waited for `STUCK_SECONDS` and none was taken in that time, there is one more.
    """

    STUCK_SECONDS = 0.05

    def __init__(self, deferred: Deferred) -> None:
        self._deferred = deferred
        self._condition = locks.condition("resolvers")  # guards the counts of threads
        self._futures: deque[tuple[float, Future[Any]]] = deque()
        self._threads = 0
        self._idle = 0
        self._taken = 0.0
        self._closed = False

    def close(self) -> None:
        """Let idle threads go; what still comes is resolved all the same."""
        with locks.lock_of(self._condition):
            self._closed = True
            self._condition.notify_all()

    def put(self, future: Future[Any]) -> None:
        # A thread that goes idle looks once more after it has said so: what it does not see then is seen here.
        self._futures.append((time.monotonic(), future))
        if self._idle or not self._threads:
            with locks.lock_of(self._condition):
                self._condition.notify()
            if thread.ours or not self._deferred.attended() or not is_starting_a_thread():
                self.relieve()
            else:
                self._deferred.wake()

    def relieve(self) -> bool:
        """Start a thread where one is missing; return whether anything waits (then ask again in `STUCK_SECONDS`)."""
        with locks.lock_of(self._condition):
            if not self._waits():
                return False
            if self._idle:
                self._condition.notify()
            since = max(self._futures[0][0] if self._futures else 0.0, self._taken)
            waited = time.monotonic() - since
            if self._threads and (self._idle or waited <= self.STUCK_SECONDS):
                return True
            self._threads += 1
        began = started(self._work, name="simpledist-resolve", undo=self._one_less)
        if not (began or self._threads) and waited > STARVED_SECONDS:
            self._do_next(wait=False)
        return True

    def _one_less(self) -> None:
        with locks.lock_of(self._condition):
            self._threads -= 1

    def _waits(self) -> bool:
        return bool(self._futures) or bool(self._deferred)

    def _work(self) -> None:
        while self._do_next(wait=True):
            pass

    def _do_next(self, *, wait: bool) -> bool:
        """Do what is first in line; return whether this thread goes on."""
        with locks.lock_of(self._condition):
            if wait and not self._waits():
                self._idle += 1
                self._condition.wait_for(lambda: self._waits() or self._closed, timeout=IDLE_SECONDS)
                self._idle -= 1
                if not self._waits():
                    self._threads -= 1
                    return False
            self._taken = time.monotonic()
            future = self._futures.popleft()[1] if self._futures and not self._deferred else None
        if future is None:
            self._deferred.run()
            return True
        try:
            future.resolve()
        except BaseException:  # of a callback: no reason to leave the others waiting
            log.exception("a callback of job %s ended badly", future.call.id)
        return True  # and a thread that lives on keeps no result alive
