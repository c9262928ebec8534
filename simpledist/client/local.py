"""Threads that a client starts only when it needs them: local runs of futures, and decoding where nobody waits.

Local runs go one at a time (`local_slots`), so that a program that submits a thousand calls to a dead cluster does not
start a thousand computations at once; what waits here goes remote again as soon as a worker returns. An executor that
was promised threads of its own has a lane of its own. So have calls that a local run makes: it waits for them and would
keep the place that they wait for.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from simpledist.client.future import Future, RunHere, here, wait_for

log = logging.getLogger("simpledist")

# Reasons that may pass: a future that waits here for one of them goes remote when a worker is back.
PASSING = frozenset({"no_worker", "redis_down", "redis_refused", "queue_full"})


IDLE_SECONDS = 5.0


@dataclass(eq=False)
class Lane:
    """Futures that share a few local slots: the client's, or those of one executor.

    `backlog` and `threads` belong to LocalRuns, under its lock.
    """

    slots: int
    backlog: OrderedDict[Future[Any], RunHere] = field(default_factory=OrderedDict[Any, Any])
    threads: int = 0
    depth: int = 0  # how many local runs its calls are made inside of
    below: Lane | None = None  # of the calls that its own make


class LocalRuns:
    """The backlog of futures that run here, and the few threads that work it off."""

    def __init__(self, run: Callable[[Future[Any], RunHere], None], slots: int) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._finished = threading.Condition(self._lock)
        self._lane = Lane(slots)  # of all futures that name no other
        self._lanes = {self._lane}  # those with anything in them, and the first one

    def put(self, future: Future[Any], ready: RunHere) -> None:
        with self._lock:
            lane = self._lane_of(future)
            self._lanes.add(lane)
            lane.backlog[future] = ready
            if lane.threads >= lane.slots:
                return
            lane.threads += 1
        if not started(self._work, lane, name="simpledist-local"):
            self._work(lane)

    def functions_waiting(self) -> set[str]:
        """Functions with futures that would rather run remotely."""
        with self._lock:
            return {
                future.call.function
                for lane in self._lanes
                for future, ready in lane.backlog.items()
                if ready.why in PASSING
            }

    def take_back(self, function: str, most: int) -> list[Future[Any]]:
        """Up to `most` futures of a function whose worker is back; they are no longer in the backlog."""
        taken: list[Future[Any]] = []
        with self._lock:
            for lane in self._lanes:
                for future, ready in list(lane.backlog.items()):
                    if len(taken) < most and future.call.function == function and ready.why in PASSING:
                        del lane.backlog[future]
                        taken.append(future)
        return taken

    def remove(self, future: Future[Any]) -> bool:
        """Whether the future was still waiting here, and no longer is."""
        with self._lock:
            return self._lane_of(future).backlog.pop(future, None) is not None

    def join(self) -> None:
        """Return once nothing waits or runs here."""
        with self._lock:
            wait_for(self._finished, lambda: not any(lane.threads for lane in self._lanes))

    def _lane_of(self, future: Future[Any]) -> Lane:
        lane = future.call.promises.lane if future.call.promises else self._lane
        while lane.depth < future.call.depth:
            if lane.below is None:
                lane.below = Lane(lane.slots, depth=lane.depth + 1)
            lane = lane.below
        return lane

    def _work(self, lane: Lane) -> None:
        before, here.depth = here.depth, lane.depth + 1
        try:
            self._work_off(lane)
        finally:
            here.depth = before

    def _work_off(self, lane: Lane) -> None:
        while True:
            with self._lock:
                if not lane.backlog:
                    lane.threads -= 1
                    if not lane.threads and lane is not self._lane:
                        self._lanes.discard(lane)
                    self._finished.notify_all()
                    return
                future, ready = lane.backlog.popitem(last=False)
            try:
                self._run(future, ready)
            except BaseException:  # of a callback: no reason to leave the others waiting
                log.exception("a callback of job %s ended badly", future.call.id)
            del future, ready  # a thread that lives on must not keep a result alive


class Resolvers:
    """Threads that decode what nobody waits for.

    One is enough until a callback blocks in it, perhaps for a future that stands behind it: whenever the first in line
    has waited for `STUCK_SECONDS` and none was taken in that time, there is one more.
    """

    STUCK_SECONDS = 0.05

    def __init__(self, resolve: Callable[[Future[Any]], None]) -> None:
        self._resolve = resolve
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
            self.relieve()

    def relieve(self) -> bool:
        """Start a thread where one is missing; whether anything waits (then ask again in `STUCK_SECONDS`)."""
        with self._condition:
            if not self._futures:
                return False
            stuck = time.monotonic() - max(self._futures[0][0], self._taken) > self.STUCK_SECONDS
            if self._threads and not (stuck and not self._idle):
                return True
            self._threads += 1
        if not started(self._work, name="simpledist-resolve"):
            with self._condition:
                self._threads -= 1
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
                self._taken = time.monotonic()
            try:
                self._resolve(future)
            except BaseException:  # of a callback: no reason to leave the others waiting
                log.exception("a callback of job %s ended badly", future.call.id)
            del future  # a thread that lives on must not keep a result alive


def started(target: Callable[..., None], *args: Any, name: str) -> bool:
    """Start a daemon thread; False where the interpreter is ending and starts none any more."""
    try:
        threading.Thread(target=target, args=args, name=name, daemon=True).start()
    except RuntimeError:
        return False
    return True
