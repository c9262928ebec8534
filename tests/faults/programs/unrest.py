"""A program whose collector runs at every second object, and whose signal handler and finalisers use the client.

`python -m tests.faults.programs.unrest URL SEED FIRST [--seconds N]`: calls `work` in every way, with numbers from
FIRST on, while a signal every few milliseconds submits, calls, asks, cancels and drops maps, and objects in cycles do
the same when they are collected. Without `--seconds` it goes on until its stdin ends.

It tells lines of JSON as the loads of the chaos do, and ends with 1 where an outcome was lost or wrong, or where
nothing moved for `--stuck` seconds; then it shows where each thread stands.
"""

from __future__ import annotations

import argparse
import concurrent.futures as futures
import faulthandler
import gc
import itertools
import json
import random
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import simpledist
from tests.faults.chaos.book import News
from tests.faults.functions.work import value_of, work

STUCK_SECONDS = 30.0  # as long as that may last what chaos does to Redis and to workers, several faults in a row
SIGNAL_SECONDS = (0.005, 0.02, 0.1)  # between two signals: drawn for each round
TELL_SECONDS = 0.25
DEPTH = (
    3  # so many handlers may be at work at a time, each in the midst of the one before: not more than the stack bears
)
LEFT = 100


class Unrest:
    """One run. Its fields are changed by the main thread, by its signal handler, and by finalisers in any thread."""

    def __init__(self, function: Any, seed: int, first: int, stuck_seconds: float) -> None:
        self.wrong = False
        self._function = function
        self._draw = random.Random(seed)
        self._numbers: Iterator[int] = itertools.count(first - first % 7, 7)  # of these none raises
        self._left: list[tuple[int, Any]] = []  # what handlers and finalisers have submitted
        self._stuck_seconds = stuck_seconds
        self._news = News()
        self._rounds = self._depth = 0
        self._told_at = self._moved_at = 0.0

    def round(self) -> None:
        """Make calls of one kind, and drop a map in a cycle."""
        draw, function = self._draw, self._function
        seconds = draw.choice(SIGNAL_SECONDS)
        signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
        Cycle(self)
        ns = [next(self._numbers) for _ in range(8)]
        due = [value_of(n) for n in ns]
        kind = draw.randrange(5)
        if kind == 0:
            self._check("calls", [function(n) for n in ns[:2]], due[:2])
        elif kind == 1:
            self._check("submits", [future.result() for future in [function.submit(n) for n in ns]], due)
        elif kind == 2:
            self._check("a map", list(function.map(ns, chunksize=draw.choice([1, 3, "auto"]))), due)
        elif kind == 3:
            submitted = {function.submit(n): n for n in ns}
            for future in futures.as_completed(submitted):
                self._check("completed", future.result(), value_of(submitted[future]))
        else:
            submitted = {function.submit(n): n for n in ns}
            futures.wait(submitted)
            self._check("waited", [future.result() for future in submitted], due)
        self._rounds += 1
        if len(self._left) > LEFT:
            self.settle_left()

    def handle(self, *_: object) -> None:
        """Act in a signal handler."""
        if self._depth < DEPTH:
            self._depth += 1
            try:
                self.act()
            finally:
                self._depth -= 1

    def act(self) -> None:
        """Do what a handler or a finaliser may come upon."""
        draw, function = self._draw, self._function
        n, kind = next(self._numbers), draw.randrange(5)
        if kind == 0:
            self._left.append((n, function.submit(n)))
        elif kind == 1:
            self._check("a call", function(n), value_of(n))
        elif kind == 2:
            self._check("a result", function.submit(n).result(), value_of(n))
        elif kind == 3:
            other = next(self._numbers)
            self._check("a map", list(function.map([n, other])), [value_of(n), value_of(other)])
        elif self._left:
            future = draw.choice(self._left)[1]
            self._check("a cancel", not future.cancel() or future.cancelled(), True)

    def abandoned(self) -> Any:
        """Return a map of which no one will take the rest."""
        numbers = [next(self._numbers) for _ in range(3)]
        one = self._function.map(numbers, chunksize=self._draw.choice([1, 3]))
        self._check("the first of a map", next(one), value_of(numbers[0]))
        return one

    def settle_left(self) -> None:
        """Everything that was submitted on the side has an outcome: its own, or it was cancelled."""
        while self._left:
            n, future = self._left.pop()
            try:
                self._check("left", future.result(self._stuck_seconds), value_of(n))
            except futures.CancelledError:
                continue
            except futures.TimeoutError:
                self._found("stuck", f"{future!r} of {n}")

    def tell(self, *, now: bool = False) -> None:
        """Print a line, if it is time for it."""
        if now or time.monotonic() > self._told_at + TELL_SECONDS:
            self._told_at = time.monotonic()
            news, rounds = self._news, self._rounds
            self._news, self._rounds = News(), 0
            print(json.dumps({**news.line(), "rounds": rounds, "open": len(self._left)}), flush=True)

    def _check(self, what: str, got: object, due: object) -> None:
        """Count an outcome: it moves, so the time until it counts as stuck begins again."""
        count = len(due) if isinstance(due, list) else 1  # pyright: ignore[reportUnknownArgumentType]
        self._news.ended["unrest"] += count
        self._news.where["unknown"] += count
        if got != due:
            self._found("wrong", f"{what}: {got!r} in place of {due!r}")
        if time.monotonic() > self._moved_at + 1.0:
            self._moved_at = time.monotonic()
            faulthandler.dump_traceback_later(self._stuck_seconds, exit=True)

    def _found(self, what: str, sentence: str) -> None:
        self.wrong = True
        self._news.findings.append((what, sentence))


class Cycle:
    """Kept alive by itself, until the collector comes."""

    def __init__(self, unrest: Unrest) -> None:
        self.me, self.unrest = self, unrest
        self.map = unrest.abandoned()

    def __del__(self) -> None:
        self.unrest.act()


def until(seconds: float | None) -> Callable[[], bool]:
    """Return what says whether to go on: for so long, or until the stdin ends."""
    if seconds is not None:
        end = time.monotonic() + seconds
        return lambda: time.monotonic() < end
    return lambda: not select.select([0], [], [], 0)[0]


def main() -> int:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("url")
    arguments.add_argument("seed", type=int)
    arguments.add_argument("first", type=int)
    arguments.add_argument("--seconds", type=float)
    arguments.add_argument("--stuck", type=float, default=STUCK_SECONDS)
    options = arguments.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    goes_on = until(options.seconds)
    with simpledist.connect(options.url) as client:
        unrest = Unrest(simpledist.worker_function(client, "work", work), options.seed, options.first, options.stuck)
        signal.signal(signal.SIGALRM, unrest.handle)
        gc.set_threshold(2)
        while goes_on():
            unrest.round()
            unrest.tell()
        signal.setitimer(signal.ITIMER_REAL, 0)
        gc.set_threshold(700)
        gc.collect()
        unrest.settle_left()
    faulthandler.cancel_dump_traceback_later()
    unrest.tell(now=True)
    return 1 if unrest.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
