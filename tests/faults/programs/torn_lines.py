"""A program that a signal handler tears out of each line of this library that one of its calls runs through.

`python -m tests.faults.programs.torn_lines URL WHAT`: the n-th call is torn away at its n-th line, by an exception such
as Ctrl-C raises, until a call comes to its end before. After each the program calls again, from two threads: both get
their own values, from a worker. WHAT: call, submit, map or cancel.

It ends with 1 and says where, if that is not so, and shows where each thread stands, if nothing moves for 20 s.
"""

from __future__ import annotations

import faulthandler
import linecache
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import simpledist
from tests.faults.functions.work import value_of, work

STUCK_SECONDS = 20
MOST_LINES = 3000
OURS = str(Path(simpledist.__file__).parent)


class Torn(BaseException):
    """What is raised in a line, as Ctrl-C is."""


class Tear:
    """Raises Torn at the n-th line from now on, once, in the thread that made it."""

    def __init__(self, line: int) -> None:
        self.where = ""
        self._left = line
        sys.settrace(self)

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:
        path = frame.f_code.co_filename
        if not path.startswith(OURS):
            return None
        # A `with` of the interpreter's own locks is left in one step, in which no signal is looked for.
        if event == "line" and not linecache.getline(path, frame.f_lineno).lstrip().startswith("with "):
            self._left -= 1
            if self._left == 0:
                sys.settrace(None)
                self.where = f"{Path(path).name}:{frame.f_lineno}"
                raise Torn
        return self


def acting(what: str, function: Any) -> Callable[[], None]:
    """Return the call that is torn away."""

    def call() -> None:
        function(0)

    def submit() -> None:
        function.submit(0).result()

    def many() -> None:
        list(function.map([0, 7, 14]))

    def cancel() -> None:
        function.submit(0).cancel()

    return {"call": call, "submit": submit, "map": many, "cancel": cancel}[what]


def whole(function: Any) -> bool:
    """Return whether this thread and another one get the values of new calls, from a worker."""
    other = list[Any]()
    shared = function.submit(7)
    thread = threading.Thread(target=lambda: other.extend([function(14), shared.result()]))
    thread.start()
    mine = [function(21), shared.result()]
    thread.join()
    remote = shared.info.where == "remote"
    return remote and mine == [value_of(21), value_of(7)] and other == [value_of(14), value_of(7)]


def main(url: str, what: str) -> int:
    with simpledist.connect(url) as client:
        function = simpledist.worker_function(client, "work", work)
        act = acting(what, function)
        for line in range(1, MOST_LINES):
            faulthandler.dump_traceback_later(STUCK_SECONDS, exit=True)
            tear = Tear(line)
            try:
                act()
            except Torn:
                pass
            finally:
                sys.settrace(None)
            if not tear.where:
                print(f"{line - 1} lines")
                return 0
            if not whole(function):
                print(f"torn away at {tear.where}, line {line} of a {what}: later calls are not as they should be")
                return 1
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
