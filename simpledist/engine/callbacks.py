"""Runs what a user has asked for with `add_done_callback`. Called by the future that is done, in whichever thread."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from simpledist.interruption import by_signal

_log = logging.getLogger("concurrent.futures")  # as the stdlib's futures


def run_all(future: Any) -> None:
    """Call each. What one raises is logged, SystemExit too: this thread may be one that waits for the outcome."""
    for callback in future._done_callbacks:
        run(future, callback, logged=BaseException)


def run(future: Any, callback: Callable[[Any], object], *, logged: type[BaseException] = Exception) -> None:
    """Call one and log what it raises, if it is of this class and not from a signal.

    The default is for one that is added to a future that is done. It runs in the thread that adds it, which is the
    caller's: as in the stdlib its SystemExit is raised there.
    """
    try:
        callback(future)
    except logged as error:
        if by_signal(error):
            raise
        _log.exception("exception calling callback for %r", future)
