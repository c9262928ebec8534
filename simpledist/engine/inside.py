"""Mark of threads that are inside simpledist: a signal handler or a finaliser asks before it waits for anything.

A signal handler (in the main thread) and the collector (in any thread) run between two steps of whatever runs there:
perhaps the thread holds a lock of ours in that moment, or is the only one that can settle a call. So every public entry
marks its thread while it works, and the threads of a client are marked for life. Code of the user that we call
(the local function, callbacks, iterables) runs unmarked. Code that enters a marked thread is an interruption: it leaves
what it wants (deferred.py), or runs its function at once, and waits for nothing.

The collector may come even before a thread of ours has run its first line. So a thread counts as marked until its stack
was looked at once.
"""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, ParamSpec, TypeVar

from simpledist.interruption import signalled

# Where no thread can be started for so long (a limit of the machine), the listener does the work itself: calls that
# no thread waits for in `result()`, but a callback or an `await`, come to an outcome too.
STARVED_SECONDS = 1.0

P = ParamSpec("P")
R = TypeVar("R")


class Thread(threading.local):
    """What each thread does: it works for us (it holds `mark`); it interrupts itself while it does; it is a client's.

    `mark` is a lock of the interpreter, so that `with thread.mark:` is entered and left in one step of it each: what a
    signal handler raises comes before or after such a step. A mark that is set and taken back by lines of Python could
    stay for ever.
    """

    known = False  # its stack was looked at
    interrupting = False
    ours = False

    def __init__(self) -> None:
        self.mark = threading.RLock()

    def __getattr__(self, name: str) -> Any:
        """Return the mark of a thread that is interrupted while it makes its mark."""
        if name != "mark":
            raise AttributeError(name)
        return _early.setdefault(threading.get_ident(), threading.RLock())


_early: dict[int, threading.RLock] = {}


thread = Thread()


class OurThread(threading.Thread):
    """A daemon thread of a client, which a signal handler that raises while it is started cannot leave half begun.

    The stdlib's `start` waits on a condition. What a handler raises on the way into it or out of it leaves its lock
    taken, and the new thread waits for that lock for ever, before its first line. Handlers run in the main thread only:
    there another thread runs `start`, and this one waits for a lock of the interpreter's own.
    """

    def __init__(self, target: Callable[..., None], *args: Any, name: str) -> None:
        super().__init__(target=_run_marked, args=(target, *args), name=name, daemon=True)

    def start(self) -> None:
        """Start it; raise RuntimeError where none can be started. What a handler raises leaves it whole, or unborn."""
        if threading.current_thread() is not threading.main_thread():
            super().start()
            return
        errors: list[BaseException] = []
        over = _thread.allocate_lock()
        over.acquire()
        _thread.start_new_thread(_start_unsignalled, (super().start, errors, over))
        over.acquire()
        if errors:
            raise errors.pop()  # no circle of it and its traceback keeps this alive


def _start_unsignalled(start: Callable[[], None], errors: list[BaseException], over: _thread.LockType) -> None:
    """Start a thread for the main thread, which waits for `over`. A finaliser that strikes here is an interruption."""
    try:
        start()
    except BaseException as error:  # noqa: BLE001 - the main thread raises it
        errors.append(error)
    finally:
        over.release()


def is_inside() -> bool:
    """Return whether this thread works for us already."""
    if thread.mark._is_owned():  # type: ignore[attr-defined]
        return True
    if not thread.known:
        if _is_starting(sys._getframe()):  # pyright: ignore[reportPrivateUsage]
            return True
        thread.known = True
    thread.interrupting = False  # it may be left over from an interruption that was torn away itself
    return False


def _is_starting(frame: FrameType | None) -> bool:
    """Return whether a finaliser runs in a thread of ours that has not come to its work yet, or starts another."""
    last = None
    while frame is not None:
        if frame.f_code is _start_unsignalled.__code__:
            return True
        if frame.f_code.co_name == "_bootstrap" and isinstance(frame.f_locals.get("self"), OurThread):
            return True
        last, frame = frame, frame.f_back
    return last is not None and last.f_code.co_name == "__del__"  # before the first frame


class Entry:
    """One public entry, as `with Entry(), thread.mark:`: it knows whether it interrupts its thread, and marks it."""

    __slots__ = ("_interrupting",)

    def __enter__(self) -> None:
        self._interrupting = thread.interrupting
        thread.interrupting = is_inside()

    def __exit__(self, *_: object) -> None:
        thread.interrupting = self._interrupting


def run_inside(call: Callable[[], R]) -> R:
    """Call code of ours that takes locks: code that enters this thread meanwhile is an interruption."""
    with thread.mark:
        return call()


def run_outside(call: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call code of the user: what it submits or calls takes the ordinary way."""
    if thread.interrupting:  # what was interrupted is still where it was
        return call(*args, **kwargs)
    was, thread.mark = thread.mark, threading.RLock()
    try:
        return call(*args, **kwargs)
    finally:
        thread.mark = was


def _run_marked(work: Callable[..., None], *args: Any) -> None:
    with thread.mark:
        thread.ours = thread.known = True
        work(*args)


def is_starting_a_thread() -> bool:
    """Return whether this thread has been interrupted while it started another one: it can start none then.

    The stdlib holds a lock meanwhile, which the new thread needs to begin. Such calls leave it to the listener, which
    may be held up by a Redis that hangs; all others start their thread at once.
    """
    owned: Callable[[], bool] | None = getattr(getattr(threading, "_active_limbo_lock", None), "_is_owned", None)
    return owned is None or owned()


def started(target: Callable[..., None], *args: Any, name: str, undo: Callable[[], object] = bool) -> bool:
    """Start a daemon thread of ours; False where there can be none: the interpreter ends, or the machine has none.

    `undo` is called where no thread has come of it, also where a signal handler has torn this one away meanwhile:
    what that raised is raised then.
    """
    if sys.is_finalizing():  # Python 3.10 and 3.11 would wait for ever for it to begin
        undo()
        return False
    turn = [True]  # taken by the thread when it begins, or by this one: then it ends at once
    try:
        OurThread(_run_in_turn, turn, target, *args, name=name).start()
    except BaseException as error:
        if _taken(turn):
            undo()
        if (torn := signalled(error)) is not None:
            raise torn from None
        if not isinstance(error, RuntimeError):
            raise
        return False
    return True


def _run_in_turn(turn: list[bool], work: Callable[..., None], *args: Any) -> None:
    if _taken(turn):
        work(*args)


def _taken(turn: list[bool]) -> bool:
    """Take it; return whether this thread was the first."""
    try:
        return turn.pop()
    except IndexError:
        return False
