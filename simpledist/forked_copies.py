"""Copies that a function makes of its process by forking: each leaves as it would in a plain program.

A copy has everything of its parent: the job, the channel, the result buffer. It must answer for none of it. Used by
the children of a worker and by the throw-away child, which see by their process id that they are a copy.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from typing import NoReturn

_INTERRUPTED = 130  # what a shell makes of a death by SIGINT


class Original:
    """The process that makes this object: `copied` is true in its copies, once Python forked them."""

    def __init__(self) -> None:
        self.copied = False
        self._pid = os.getpid()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._now_a_copy)

    def is_copied(self) -> bool:
        """Return whether this process is a copy, forked by Python or not: asks the system."""
        return self.copied or os.getpid() != self._pid

    def _now_a_copy(self) -> None:
        self.copied = True


def leave(error: BaseException | None, frames_of_ours: int = 0) -> NoReturn:
    """End this process: `error` is what the function raised in it, None if it returned."""
    status = 0
    # Whatever user code does now (a stream of its own, an exception without text): the copy ends here.
    with contextlib.suppress(BaseException):
        status = _report(error, frames_of_ours) if error is not None else 0
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):
            stream.flush()
    os._exit(status & 0xFF)


def _report(error: BaseException, frames_of_ours: int) -> int:
    """Say on stderr what the interpreter would say of an exception that ends a program; its exit status."""
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        sys.stderr.write(f"{error.code}\n")
        return 1
    trace = error.__traceback__
    for _ in range(frames_of_ours):
        trace = trace.tb_next if trace is not None else None
    traceback.print_exception(type(error), error, trace)
    return _INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
