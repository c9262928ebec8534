"""Whether this thread is inside simpledist: a signal handler or a finaliser asks before it waits for anything.

A signal handler (in the main thread) and the collector (in any thread) run between two steps of whatever runs there:
perhaps the thread holds a lock of ours in that moment, or is the only one that can settle a call. So every public entry
marks its thread while it works, and the threads of a client are marked for life. Code of the user that we call
(the local function, callbacks, iterables) runs unmarked. Code that enters a marked thread is an interruption: it leaves
what it wants (deferred.py), or runs its function at once, and waits for nothing.

The collector may come even before a thread of ours has run its first line. So a thread counts as marked until its stack
was looked at once.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, ParamSpec, TypeVar

# Where no thread can be started for so long (a limit of the machine), the listener does the work itself: calls that
# no thread waits for in `result()`, but a callback or an `await`, come to an outcome too.
STARVED_SECONDS = 1.0

P = ParamSpec("P")
R = TypeVar("R")


class Thread(threading.local):
    """What each thread does: it works for us; it interrupts itself while it does; it is one of a client's."""

    known = False  # `inside` is said for show as long as it is
    inside = True
    interrupting = False
    ours = False


thread = Thread()


class OurThread(threading.Thread):
    """A daemon thread of a client."""

    def __init__(self, target: Callable[..., None], *args: Any, name: str) -> None:
        super().__init__(target=_run_marked, args=(target, *args), name=name, daemon=True)


def is_inside() -> bool:
    """Return whether this thread works for us already. `thread.inside` is right where it is False; else ask here."""
    if not thread.known:
        if _is_starting(sys._getframe()):  # pyright: ignore[reportPrivateUsage]
            return True
        thread.known, thread.inside = True, False
    return thread.inside


def _is_starting(frame: FrameType | None) -> bool:
    """Return whether a finaliser runs in a thread of ours that has not come to its work yet."""
    last = None
    while frame is not None:
        if frame.f_code.co_name == "_bootstrap" and isinstance(frame.f_locals.get("self"), OurThread):
            return True
        last, frame = frame, frame.f_back
    return last is not None and last.f_code.co_name == "__del__"  # before the first frame


class Entry:
    """One public entry, as a `with` block: it marks its thread, or knows that it interrupts it."""

    __slots__ = ("_inside", "_interrupting")

    def __enter__(self) -> None:
        self._inside, self._interrupting = thread.inside and is_inside(), thread.interrupting
        thread.interrupting = self._interrupting or self._inside
        thread.inside = True

    def __exit__(self, *_: object) -> None:
        thread.interrupting, thread.inside = self._interrupting, self._inside


def run_inside(call: Callable[[], R]) -> R:
    """Call code of ours that takes locks: code that enters this thread meanwhile is an interruption."""
    was = thread.inside and is_inside()
    thread.inside = True
    try:
        return call()
    finally:
        thread.inside = was


def run_outside(call: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call code of the user: what it submits or calls takes the ordinary way."""
    if thread.interrupting:  # what was interrupted is still where it was
        return call(*args, **kwargs)
    was = thread.inside
    thread.inside = False
    try:
        return call(*args, **kwargs)
    finally:
        thread.inside = was


def _run_marked(work: Callable[..., None], *args: Any) -> None:
    thread.inside = thread.ours = thread.known = True
    work(*args)


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
