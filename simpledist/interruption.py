"""Tells an interruption by a signal from an exception that comes about by itself.

Python runs a signal handler between two steps of whatever the main thread does, and what the handler raises comes out
there: Ctrl-C, or the TimeoutError of an alarm in the midst of a socket's own TimeoutError. It is the user's, and must
reach the user. What a step raises by itself is that step's: a wire that is silent, a file that is not there, a value
that cannot travel. So code that catches a class of exceptions which a handler may raise too asks here.
"""

from __future__ import annotations

import dis
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType, TracebackType


def by_signal(error: BaseException) -> bool:
    """Return whether a signal handler raised this exception, as far as its traceback tells.

    Handlers run in the main thread only. A handler in Python leaves a frame of its own, which was given the frame that
    it interrupted. Python's handler of Ctrl-C is C code and leaves none: it strikes between two instructions, and no
    `raise` stands where the traceback ends.
    """
    trace = error.__traceback__
    if threading.current_thread() is not threading.main_thread():
        return False
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
        if _was_given_its_caller(trace.tb_frame):
            return True
    if type(error) is not KeyboardInterrupt:
        return False
    handled = any(signal.getsignal(number) is signal.default_int_handler for number in signal.valid_signals())
    return handled and (trace is None or not _raises(trace))


def signalled(error: BaseException) -> BaseException | None:
    """Return what a signal handler raised, where this exception is it or has come in its place; else None.

    A handler that strikes while a condition of the stdlib has let go of its lock is followed by a RuntimeError: the
    block that releases the lock finds it released.
    """
    found: BaseException | None = error
    while found is not None and not by_signal(found):
        found = found.__context__
    return found


@contextmanager
def suppressed(*kinds: type[BaseException]) -> Generator[None]:
    """Suppress exceptions of these classes, as contextlib.suppress does, but for those of a signal handler."""
    try:
        yield
    except kinds as error:
        if by_signal(error):
            raise


def _was_given_its_caller(frame: FrameType) -> bool:
    """Return whether a frame has that of its caller among its arguments.

    The frame says itself who called it: an import takes the frames of importlib out of a traceback.
    """
    code, values = frame.f_code, frame.f_locals
    many = bool(code.co_flags & _VARARGS)
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + many]
    given = [values.get(name) for name in names]
    if many and isinstance(rest := given.pop(), tuple):
        given += rest
    return frame.f_back is not None and any(one is frame.f_back for one in given)


_VARARGS = 0x04  # CO_VARARGS: the function takes `*arguments`


def _raises(trace: TracebackType) -> bool:
    """Return whether the instruction at which the traceback ends is a `raise`."""
    return dis.opname[trace.tb_frame.f_code.co_code[trace.tb_lasti]] == "RAISE_VARARGS"
