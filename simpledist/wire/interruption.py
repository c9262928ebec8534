"""Tells an interruption by a signal from an exception that code of a value raises by itself.

Values run code of their own while they are encoded and decoded, and that code may raise anything. Only what a signal
brings must reach the user (Ctrl-C, or the TimeoutError of a handler of SIGALRM): the rest means that the value cannot
travel. The serializers and the wire ask.
"""

from __future__ import annotations

import dis
import signal
import threading
from types import CodeType, TracebackType
from typing import Any, cast


def by_signal(error: BaseException) -> bool:
    """Return whether a signal handler raised this exception, as far as its traceback tells.

    Handlers run in the main thread only. A handler in Python leaves a frame of its own. Python's handler of Ctrl-C is C
    code and leaves none: it strikes between two instructions, and no `raise` stands where the traceback ends.
    """
    if threading.current_thread() is not threading.main_thread():
        return False
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    codes = {code for code in map(_code_of, handlers) if code is not None}
    trace, last = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code in codes:
            return True
        trace, last = trace.tb_next, trace
    ctrl_c = type(error) is KeyboardInterrupt and signal.default_int_handler in handlers
    return ctrl_c and (last is None or not _raises(last))


def _code_of(handler: Any) -> CodeType | None:
    """Return the code of a handler: a function, a method, a partial, or an object that can be called."""
    while (inner := getattr(handler, "func", None) or getattr(handler, "__func__", None)) is not None:
        handler = inner
    code = getattr(handler, "__code__", None)
    if code is None and callable(handler):
        code = getattr(getattr(cast(Any, handler).__call__, "__func__", None), "__code__", None)
    return code if isinstance(code, CodeType) else None


def _raises(trace: TracebackType) -> bool:
    """Return whether the instruction at which the traceback ends is a `raise`."""
    return dis.opname[trace.tb_frame.f_code.co_code[trace.tb_lasti]] == "RAISE_VARARGS"
