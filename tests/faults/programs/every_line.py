"""A program that is interrupted once at each line of this library that a call runs through.

`python -m tests.faults.programs.every_line URL WHAT`: calls `work` again and again. In the n-th call, the n-th line
that any thread comes to is interrupted, as the collector may interrupt all of them and signal handlers the main one, by
WHAT:

map      the collector finds an abandoned map
result   a call is submitted, and its outcome is waited for
cancel   a call is submitted and cancelled

It ends with 1 where an outcome is not the call's own, or where nothing moves for 20 s: then somebody waits for himself.
"""

from __future__ import annotations

import concurrent.futures
import faulthandler
import gc
import itertools
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import simpledist
from tests.faults.functions.work import value_of, work

STUCK_SECONDS = 20
MOST_LINES = 600  # the threads that wait come to lines without end
# The stdlib holds the locks of futures too, in `wait`.
OURS = tuple(str(Path(str(package.__file__)).parent) for package in (simpledist, concurrent.futures))
numbers = itertools.count(0, 7)  # of these none raises


class Interruption:
    """Acts once, at the n-th line after it was armed, in whichever thread comes to it."""

    def __init__(self) -> None:
        self.left = 0
        self._act: Callable[[], None] = collect

    def arm(self, act: Callable[[], None], line: int) -> None:
        self._act, self.left = act, line

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.startswith(OURS):
            return None
        if event == "line" and self.left > 0:
            self.left -= 1
            if self.left == 0:
                self._act()
        return self


def prepared(what: str, function: Any) -> Callable[[], None]:
    """Return what is to happen at the line."""
    if what == "map":
        holder: list[Any] = [function.map([next(numbers)], chunksize=1)]
        holder.append(holder)  # only the collector finds it
        return collect

    def wait() -> None:
        n = next(numbers)
        assert function.submit(n).result() == value_of(n)

    def cancel() -> None:
        future = function.submit(next(numbers))
        assert not future.cancel() or future.cancelled()

    return wait if what == "result" else cancel


def collect() -> None:
    gc.collect()


def main(url: str, what: str) -> None:
    gc.disable()  # it collects when it is asked to
    interruption = Interruption()
    threading.settrace(interruption)
    sys.settrace(interruption)
    shorter = 0  # calls running that had fewer lines
    with simpledist.connect(url) as client:
        function = simpledist.worker_function(client, "work", work)
        for _ in range(10):  # the first calls take other ways than those after them
            assert function(n := next(numbers)) == value_of(n)
        gc.collect()
        gc.freeze()  # from here on a collection looks at what is new, and takes no time
        line = 0
        while shorter < 5 and line < MOST_LINES:
            faulthandler.dump_traceback_later(STUCK_SECONDS, exit=True)
            n, act, line = next(numbers), prepared(what, function), line + 1
            interruption.arm(act, line)
            future = function.submit(n)
            concurrent.futures.wait([future])
            value = future.result()
            shorter = shorter + 1 if interruption.left > 0 else 0
            interruption.left = 0
            assert value == value_of(n), (value, n)
        faulthandler.cancel_dump_traceback_later()
    print(line, "lines were interrupted")


if __name__ == "__main__":
    main(*sys.argv[1:])
