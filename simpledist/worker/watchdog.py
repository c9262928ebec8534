"""A bound on what runs before a child may take jobs: the code of `--setup`, and imports of a caller's modules.

Owns that it ends, also where it hangs with the interpreter's lock held, and that no thread stays of this. Used in
templates, which are asked at once whether they have threads (forking.py), and in children.
"""

from __future__ import annotations

import faulthandler
import time
from collections.abc import Generator
from contextlib import contextmanager

from simpledist.worker.forking import threads_in_kernel

_GONE_SECONDS = 5.0  # so long the thread that kept the time may take to leave
_LOOK_SECONDS = 0.001


@contextmanager
def ends_within(seconds: float) -> Generator[None]:
    """End this process with status 1 where the body takes longer than so many seconds."""
    # By a thread of C, which needs no GIL: it writes down where the code hangs, also in code that is not Python.
    others = threads_in_kernel()
    faulthandler.dump_traceback_later(seconds, exit=True)
    its_thread = threads_in_kernel() - others
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()  # returns when the thread has said that it goes: it is still there
        until = time.monotonic() + _GONE_SECONDS
        while its_thread & threads_in_kernel() and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
