"""A program whose collector runs at every second object, and whose signal handler and finalisers use the client.

`python -m tests.faults.programs.unrest URL SECONDS`: calls `work` in every way, while a signal every few milliseconds
submits, calls, asks, cancels and drops maps, and objects in cycles do the same when they are collected. Prints how many
rounds it made, and ends with 1 where an outcome was lost or wrong, 3 where nothing moved for 20 s.
"""

from __future__ import annotations

import concurrent.futures as futures
import faulthandler
import gc
import itertools
import os
import random
import signal
import sys
import threading
import time
from typing import Any

import simpledist
from tests.faults.functions.work import value_of, work

STUCK_SECONDS = 20
SIGNAL_SECONDS = 0.005

numbers = itertools.count(0, 7)  # of these none raises
left: list[tuple[int, Any]] = []  # what handlers and finalisers have submitted
wrong: list[object] = []
rounds = 0


class Cycle:
    """Kept alive by itself, until the collector comes."""

    def __init__(self, function: Any, draw: random.Random) -> None:
        self.me, self.function, self.draw = self, function, draw
        self.map = function.map([0, 7, 14], chunksize=draw.choice([1, 3]))
        next(self.map)

    def __del__(self) -> None:
        act(self.function, self.draw)


def check(what: str, got: object, due: object) -> None:
    if got != due:
        wrong.append((what, got, due))


def act(function: Any, draw: random.Random) -> None:
    """What a handler or a finaliser may come upon."""
    n, kind = next(numbers), draw.randrange(5)
    if kind == 0:
        left.append((n, function.submit(n)))
    elif kind == 1:
        check("a call", function(n), value_of(n))
    elif kind == 2:
        check("a result", function.submit(n).result(), value_of(n))
    elif kind == 3:
        check("a map", list(function.map([n, n + 7])), [value_of(n), value_of(n + 7)])
        next(numbers)
    elif left:
        check("a cancel", not (future := draw.choice(left)[1]).cancel() or future.cancelled(), True)


def round_of(function: Any, draw: random.Random) -> None:
    ns = [next(numbers) for _ in range(8)]
    due = [value_of(n) for n in ns]
    kind = draw.randrange(5)
    if kind == 0:
        check("calls", [function(n) for n in ns[:2]], due[:2])
    elif kind == 1:
        check("submits", [future.result() for future in [function.submit(n) for n in ns]], due)
    elif kind == 2:
        check("a map", list(function.map(ns, chunksize=draw.choice([1, 3, "auto"]))), due)
    elif kind == 3:
        submitted = {function.submit(n): n for n in ns}
        for future in futures.as_completed(submitted):
            check("completed", future.result(), value_of(submitted[future]))
    else:
        submitted = {function.submit(n): n for n in ns}
        futures.wait(submitted)
        check("waited", [future.result() for future in submitted], due)


def settle_left() -> None:
    """Everything that was submitted on the side has an outcome: its own, or it was cancelled."""
    while left:
        n, future = left.pop()
        try:
            check("left", future.result(STUCK_SECONDS), value_of(n))
        except futures.CancelledError:
            continue


def watch() -> None:
    while True:
        before = rounds
        threading.Event().wait(STUCK_SECONDS)
        if rounds == before:
            faulthandler.dump_traceback(all_threads=True)
            os._exit(3)


def main(url: str, seconds: float, seed: int) -> int:
    global rounds
    draw = random.Random(seed)
    threading.Thread(target=watch, daemon=True).start()
    with simpledist.connect(url) as client:
        function = simpledist.worker_function(client, "work", work)
        signal.signal(signal.SIGALRM, lambda number, frame: act(function, draw))
        signal.setitimer(signal.ITIMER_REAL, SIGNAL_SECONDS, SIGNAL_SECONDS)
        gc.set_threshold(2)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            Cycle(function, draw)
            round_of(function, draw)
            rounds += 1
            if len(left) > 100:
                settle_left()
        signal.setitimer(signal.ITIMER_REAL, 0)
        gc.set_threshold(700)
        settle_left()
    print(rounds, "rounds, wrong:", wrong[:5])
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
