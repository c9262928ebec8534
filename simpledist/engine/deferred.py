"""Work that signal handlers and finalisers ask for and cannot do themselves: cancel, close, run. Done by other threads.

Leaving something is a deque append and a write to the wake pipe. The listener has a resolver do it (so that what blocks
there holds up no reply); without a listener, the next thread that comes does. What is left is code of ours: it takes
our locks, so code that enters its thread meanwhile is an interruption again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from simpledist.engine.inside import is_inside, run_inside, run_outside
from simpledist.printable import logger

log = logger("simpledist")


class Deferred:
    """`put` is called from anywhere, `run` by threads of the client."""

    def __init__(self, wake: Callable[[], None], attended: Callable[[], bool]) -> None:
        self.wake = wake  # the listener
        self.attended = attended  # whether there is one
        self._acts: deque[Callable[[], object]] = deque()

    def __bool__(self) -> bool:
        return bool(self._acts)

    def put(self, act: Callable[[], object]) -> None:
        self._acts.append(act)
        self.wake()

    def later(self, act: Callable[..., object], *args: object) -> None:
        """Have a public entry called by another thread; at the very end of a program, by none."""
        if not partial:  # what is collected last finds the globals of its modules set to None
            return
        self.put(partial(run_outside, act, *args))
        if not self.attended() and not is_inside():  # there is no other thread
            self.run()

    def run(self) -> None:
        """Do everything that waits."""
        while self._acts:
            try:
                act = self._acts.popleft()
            except IndexError:  # another thread was quicker
                return
            try:
                run_inside(act)
            except BaseException:  # of a callback: no reason to leave the others waiting
                log.exception("what a signal handler or a finaliser asked for ended badly")
            del act  # it may hold a map or a result
