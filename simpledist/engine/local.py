"""Local runs of futures, in threads that a client starts only when it needs them.

Local runs go one at a time (`local_slots`), so that a program that submits a thousand calls to a dead cluster does not
start a thousand computations at once; what waits here goes remote again as soon as a worker returns. An executor that
was promised threads of its own has a backlog of its own. So have calls that a local run makes: it waits for them and
would keep the place that they wait for.
"""

from __future__ import annotations

import functools
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from simpledist import policy
from simpledist.engine import locks
from simpledist.engine.call import here
from simpledist.engine.deferred import Deferred
from simpledist.engine.future import Future
from simpledist.engine.inside import STARVED_SECONDS, is_starting_a_thread, started, thread
from simpledist.engine.known import Key
from simpledist.engine.pending import Backlog
from simpledist.engine.ready import RunHere
from simpledist.engine.spec import FunctionSpec
from simpledist.printable import logger
from simpledist.reasons import TRANSIENT

log = logger("simpledist")


def _may_travel(future: Future[Any], ready: RunHere) -> bool:
    """Return whether a call that waits here may be sent once a worker is back."""
    return ready.why in TRANSIENT and future.forgotten <= policy.FORGOTTEN_CAP


class LocalRuns:
    """The backlog of futures that run here, and the few threads that work it off."""

    def __init__(self, run: Callable[[Future[Any], RunHere], None], slots: int, deferred: Deferred) -> None:
        self._run = run
        self._deferred = deferred
        self._missing = False  # the listener is to start a thread
        self._starved = 0.0  # since when none could be started
        self._lock = locks.lock("local runs")  # guards the backlogs
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
        """Start the threads that are missing; return whether the listener is to try again."""
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
        """Start a thread for the backlog; return whether it has the threads that it is to have."""
        with self._lock:
            if backlog.threads >= backlog.slots or not backlog.waiting:
                return True
            backlog.threads += 1
        undo = functools.partial(self._one_less, backlog)
        return started(self._work, backlog, name="simpledist-local", undo=undo) or bool(backlog.threads)

    def _one_less(self, backlog: Backlog) -> None:
        with self._lock:
            backlog.threads -= 1

    def _here(self, backlog: Backlog) -> None:
        with self._lock:
            backlog.threads += 1
        self._work(backlog)

    def waiting(self) -> Counter[Key]:
        """Return how many futures of each function here may travel once a worker is back."""
        with self._lock:
            return Counter(
                future.call.spec.code.key
                for backlog in self._backlogs
                for future, ready in backlog.waiting.items()
                if _may_travel(future, ready)
            )

    def take_back(self, key: Key, most: int) -> tuple[list[Future[Any]], set[FunctionSpec]]:
        """Take up to `most` futures of a function whose worker is back out of the backlog, and return them.

        Those stay whose code is not known yet: their specs are returned as well.
        """
        taken: list[Future[Any]] = []
        unknown: set[FunctionSpec] = set()
        with self._lock:
            for backlog in self._backlogs:
                for future, ready in list(backlog.waiting.items()):
                    code = future.call.spec.code
                    if code.key != key or not _may_travel(future, ready) or (code.known and not code.travels):
                        continue
                    if not code.known:
                        unknown.add(future.call.spec)
                    elif len(taken) < most:
                        del backlog.waiting[future]
                        taken.append(future)
        return taken, unknown

    def remove(self, future: Future[Any]) -> bool:
        """Take the future out of the backlog; return whether it was still waiting there."""
        with self._lock:
            return self._backlog_of(future).waiting.pop(future, None) is not None

    def busy(self) -> bool:
        """Return whether anything waits or runs here."""
        with self._lock:
            return any(backlog.threads or backlog.waiting for backlog in self._backlogs)

    def join(self) -> None:
        """Return once nothing waits or runs here."""
        with self._lock:
            locks.wait_for(self._finished, lambda: not any(backlog.threads for backlog in self._backlogs))

    def _backlog_of(self, future: Future[Any]) -> Backlog:
        backlog = future.call.pending.backlog if future.call.pending else self._backlog
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
            except locks.Held:
                with self._lock:
                    backlog.waiting[future] = ready
            except BaseException:  # of a callback: no reason to leave the others waiting
                log.exception("a callback of job %s ended badly", future.call.id)
            del future, ready  # a thread that lives on must not keep a result alive
