"""Threads that a client starts only when it needs them: local runs of futures, and decoding where nobody waits.

Local runs go one at a time (`local_slots`), so that a program that submits a thousand calls to a dead cluster does not
start a thousand computations at once; what waits here goes remote again as soon as a worker returns.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from simpledist.client.future import Future, RunHere

# Reasons that may pass: a future that waits here for one of them goes remote when a worker is back.
PASSING = frozenset({"no_worker", "redis_down", "redis_refused", "queue_full"})


IDLE_SECONDS = 5.0


class LocalRuns:
    """The backlog of futures that run here, and the few threads that work it off."""

    def __init__(self, run: Callable[[Future[Any], RunHere], None], slots: int) -> None:
        self._run = run
        self._slots = slots
        self._lock = threading.Lock()
        self._finished = threading.Condition(self._lock)
        self._backlog: deque[tuple[Future[Any], RunHere]] = deque()
        self._threads = 0

    def put(self, future: Future[Any], ready: RunHere) -> None:
        with self._lock:
            self._backlog.append((future, ready))
            if self._threads >= self._slots:
                return
            self._threads += 1
        threading.Thread(target=self._work, name="simpledist-local", daemon=True).start()

    def functions_waiting(self) -> set[str]:
        """Functions with futures that would rather run remotely."""
        with self._lock:
            return {future.call.function for future, ready in self._backlog if ready.why in PASSING}

    def take_back(self, function: str, most: int) -> list[Future[Any]]:
        """Up to `most` futures of a function whose worker is back; they are no longer in the backlog."""
        taken: list[Future[Any]] = []
        with self._lock:
            kept: deque[tuple[Future[Any], RunHere]] = deque()
            for future, ready in self._backlog:
                if len(taken) < most and future.call.function == function and ready.why in PASSING:
                    taken.append(future)
                else:
                    kept.append((future, ready))
            self._backlog = kept
        return taken

    def remove(self, future: Future[Any]) -> bool:
        """Whether the future was still waiting here, and no longer is."""
        with self._lock:
            for entry in self._backlog:
                if entry[0] is future:
                    self._backlog.remove(entry)
                    return True
        return False

    def join(self) -> None:
        """Return once nothing waits or runs here."""
        with self._lock:
            self._finished.wait_for(lambda: not self._threads)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._backlog:
                    self._threads -= 1
                    self._finished.notify_all()
                    return
                future, ready = self._backlog.popleft()
            self._run(future, ready)


class Resolvers:
    """Threads that decode what nobody waits for.

    One is enough until a callback blocks in it, perhaps for a future that stands behind it: whenever the first in line
    has waited for `STUCK_SECONDS`, there is one more.
    """

    STUCK_SECONDS = 0.05

    def __init__(self, resolve: Callable[[Future[Any]], None]) -> None:
        self._resolve = resolve
        self._condition = threading.Condition()
        self._futures: deque[tuple[float, Future[Any]]] = deque()
        self._threads = 0
        self._idle = 0
        self._closed = False

    def close(self) -> None:
        """Let idle threads go; what still comes is resolved all the same."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def put(self, future: Future[Any]) -> None:
        with self._condition:
            self._futures.append((time.monotonic(), future))
            if self._idle:
                self._condition.notify()
        self.relieve()

    def relieve(self) -> bool:
        """Start a thread where one is missing; whether anything waits (then ask again in `STUCK_SECONDS`)."""
        with self._condition:
            if not self._futures:
                return False
            stuck = time.monotonic() - self._futures[0][0] > self.STUCK_SECONDS
            if self._threads and not (stuck and not self._idle):
                return True
            self._threads += 1
        threading.Thread(target=self._work, name="simpledist-resolve", daemon=True).start()
        return True

    def _work(self) -> None:
        while True:
            with self._condition:
                if not self._futures:
                    self._idle += 1
                    self._condition.wait_for(lambda: bool(self._futures) or self._closed, timeout=IDLE_SECONDS)
                    self._idle -= 1
                    if not self._futures:
                        self._threads -= 1
                        return
                future = self._futures.popleft()[1]
            self._resolve(future)
