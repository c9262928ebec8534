"""Threads that a client starts only when it needs them: local runs of futures, and decoding where nobody waits.

Local runs go one at a time (`local_slots`), so that a program that submits a thousand calls to a dead cluster does not
start a thousand computations at once; what waits here goes remote again as soon as a worker returns. An executor that
was promised threads of its own has a backlog of its own. So have calls that a local run makes: it waits for them and
would keep the place that they wait for.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from simpledist.client.call import RunHere, here
from simpledist.client.deferred import Deferred
from simpledist.client.future import Future, Held, wait_for
from simpledist.client.inside import OurThread, thread

log = logging.getLogger("simpledist")

# Reasons that may pass: a future that waits here for one of them goes remote when a worker is back.
PASSING = frozenset({"no_worker", "redis_down", "redis_refused", "queue_full"})


IDLE_SECONDS = 5.0
# Where no thread can be started for so long (a limit of the machine), the listener does the work itself: calls that
# nobody waits for in `result()`, but by a callback or an `await`, come to an outcome too.
STARVED_SECONDS = 1.0


@dataclass(eq=False)
class Backlog:
    """Futures that share a few local slots: the client's, or those of one executor.

    `waiting` and `threads` belong to LocalRuns, under its lock.
    """

    slots: int
    waiting: OrderedDict[Future[Any], RunHere] = field(default_factory=OrderedDict[Any, Any])
    threads: int = 0
    depth: int = 0  # how many local runs its calls are made inside of
    below: Backlog | None = None  # of the calls that its own make


class LocalRuns:
    """The backlog of futures that run here, and the few threads that work it off."""

    def __init__(self, run: Callable[[Future[Any], RunHere], None], slots: int, deferred: Deferred) -> None:
        self._run = run
        self._deferred = deferred
        self._missing = False  # the listener is to start a thread
        self._starved = 0.0  # since when none could be started
        self._lock = threading.Lock()
        self._finished = threading.Condition(self._lock)
        self._backlog = Backlog(slots)  # of all futures that name no other
        self._backlogs = {self._backlog}  # those with anything in them, and the first one

    def put(self, future: Future[Any], ready: RunHere) -> None:
        with self._lock:
            backlog = self._backlog_of(future)
            self._backlogs.add(backlog)
            backlog.waiting[future] = ready
            if backlog.threads >= backlog.slots:
                return
        if not thread.ours and self._deferred.attended() and is_starting_a_thread():
            self._missing = True
            self._deferred.wake()
        elif self._start(backlog):
            return
        elif thread.ours:  # it has other things to do than to run this, and the listener will try again
            self._starved = self._starved or time.monotonic()
            future.anyone_runs()
        else:
            self._here(backlog)

    def relieve(self) -> bool:
        """By the listener: start the threads that are missing; whether it is to be tried again."""
        if not (self._missing or self._starved):
            return False
        self._missing = False
        with self._lock:
            waiting = [backlog for backlog in self._backlogs if backlog.waiting]
        for backlog in waiting:
            if all(self._start(backlog) for _ in range(min(backlog.slots, len(backlog.waiting)))):
                continue
            self._starved = self._starved or time.monotonic()
            for future in list(backlog.waiting):
                future.anyone_runs()
            if time.monotonic() - self._starved > STARVED_SECONDS:
                self._here(backlog)
            return True
        self._starved = 0.0
        return False

    def _start(self, backlog: Backlog) -> bool:
        """Whether the backlog has the threads that it is to have."""
        with self._lock:
            if backlog.threads >= backlog.slots or not backlog.waiting:
                return True
            backlog.threads += 1
        if started(self._work, backlog, name="simpledist-local"):
            return True
        with self._lock:
            backlog.threads -= 1
            return bool(backlog.threads)

    def _here(self, backlog: Backlog) -> None:
        with self._lock:
            backlog.threads += 1
        self._work(backlog)

    def functions_waiting(self) -> set[str]:
        """Functions with futures that would rather run remotely."""
        with self._lock:
            return {
                future.call.function
                for backlog in self._backlogs
                for future, ready in backlog.waiting.items()
                if ready.why in PASSING
            }

    def take_back(self, function: str, most: int) -> list[Future[Any]]:
        """Up to `most` futures of a function whose worker is back; they are no longer in the backlog."""
        taken: list[Future[Any]] = []
        with self._lock:
            for backlog in self._backlogs:
                for future, ready in list(backlog.waiting.items()):
                    if len(taken) < most and future.call.function == function and ready.why in PASSING:
                        del backlog.waiting[future]
                        taken.append(future)
        return taken

    def remove(self, future: Future[Any]) -> bool:
        """Whether the future was still waiting here, and no longer is."""
        with self._lock:
            return self._backlog_of(future).waiting.pop(future, None) is not None

    def busy(self) -> bool:
        """Whether anything waits or runs here."""
        with self._lock:
            return any(backlog.threads or backlog.waiting for backlog in self._backlogs)

    def join(self) -> None:
        """Return once nothing waits or runs here."""
        with self._lock:
            wait_for(self._finished, lambda: not any(backlog.threads for backlog in self._backlogs))

    def _backlog_of(self, future: Future[Any]) -> Backlog:
        backlog = future.call.promises.backlog if future.call.promises else self._backlog
        while backlog.depth < future.call.depth:
            if backlog.below is None:
                backlog.below = Backlog(backlog.slots, depth=backlog.depth + 1)
            backlog = backlog.below
        return backlog

    def _work(self, backlog: Backlog) -> None:
        before, here.depth = here.depth, backlog.depth + 1
        try:
            self._work_off(backlog)
        finally:
            here.depth = before

    def _work_off(self, backlog: Backlog) -> None:
        while True:
            if not self._deferred.attended():  # else there are resolvers, and what blocks there keeps no call waiting
                self._deferred.run()
            with self._lock:
                if not backlog.waiting:
                    backlog.threads -= 1
                    if not backlog.threads and backlog is not self._backlog:
                        self._backlogs.discard(backlog)
                    self._finished.notify_all()
                    return
                future, ready = backlog.waiting.popitem(last=False)
            try:
                self._run(future, ready)
            except Held:
                with self._lock:
                    backlog.waiting[future] = ready
            except BaseException:  # of a callback: no reason to leave the others waiting
                log.exception("a callback of job %s ended badly", future.call.id)
            del future, ready  # a thread that lives on must not keep a result alive


class Resolvers:
    """Threads that decode what nobody waits for.

    One is enough until a callback blocks in it, perhaps for a future that stands behind it: whenever the first in line
    has waited for `STUCK_SECONDS` and none was taken in that time, there is one more.
    """

    STUCK_SECONDS = 0.05

    def __init__(self, resolve: Callable[[Future[Any]], None], deferred: Deferred) -> None:
        self._resolve = resolve
        self._deferred = deferred
        self._condition = threading.Condition()
        self._futures: deque[tuple[float, Future[Any]]] = deque()
        self._threads = 0
        self._idle = 0
        self._taken = 0.0
        self._closed = False

    def close(self) -> None:
        """Let idle threads go; what still comes is resolved all the same."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def put(self, future: Future[Any]) -> None:
        # A thread that goes idle looks once more after it has said so: what it does not see then is seen here.
        self._futures.append((time.monotonic(), future))
        if self._idle or not self._threads:
            with self._condition:
                self._condition.notify()
            if thread.ours or not self._deferred.attended() or not is_starting_a_thread():
                self.relieve()
            else:
                self._deferred.wake()

    def relieve(self) -> bool:
        """Start a thread where one is missing; whether anything waits (then ask again in `STUCK_SECONDS`)."""
        with self._condition:
            if not self._waits():
                return False
            if self._idle:
                self._condition.notify()
            since = max(self._futures[0][0] if self._futures else 0.0, self._taken)
            waited = time.monotonic() - since
            if self._threads and (self._idle or waited <= self.STUCK_SECONDS):
                return True
            self._threads += 1
        if not started(self._work, name="simpledist-resolve"):
            with self._condition:
                self._threads -= 1
                starved = not self._threads and waited > STARVED_SECONDS
            if starved:
                self._do_next(wait=False)
        return True

    def _waits(self) -> bool:
        return bool(self._futures) or bool(self._deferred)

    def _work(self) -> None:
        while self._do_next(wait=True):
            pass

    def _do_next(self, *, wait: bool) -> bool:
        """Whether this thread goes on."""
        with self._condition:
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
            self._resolve(future)
        except BaseException:  # of a callback: no reason to leave the others waiting
            log.exception("a callback of job %s ended badly", future.call.id)
        return True  # and a thread that lives on keeps no result alive


def is_starting_a_thread() -> bool:
    """Return whether this thread has been interrupted while it started another one: it can start none then.

    The stdlib holds a lock meanwhile, which the new thread needs to begin. Such calls leave it to the listener, which
    may be held up by a Redis that hangs; all others start their thread at once.
    """
    owned: Callable[[], bool] | None = getattr(getattr(threading, "_active_limbo_lock", None), "_is_owned", None)
    return owned is None or owned()


def started(target: Callable[..., None], *args: Any, name: str) -> bool:
    """Start a daemon thread of ours; False where there can be none: the interpreter ends, or the machine has none."""
    if sys.is_finalizing():  # Python 3.10 and 3.11 would wait for ever for it to begin
        return False
    try:
        OurThread(target, *args, name=name).start()
    except RuntimeError:
        return False
    return True
