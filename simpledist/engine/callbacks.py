"""Runs what a user has asked for with `add_done_callback`. Called by the future that is done, in whichever thread."""

from __future__ import annotations

import logging
from typing import Any

from simpledist.wire.interruption import by_signal

_log = logging.getLogger("concurrent.futures")  # as the stdlib's futures


def run_all(future: Any) -> None:
    """Call each. What one raises is logged, SystemExit too: this thread may be one that waits for the outcome."""
    for callback in future._done_callbacks:
        try:
            callback(future)
        except BaseException as error:
            if by_signal(error):
                raise
            _log.exception("exception calling callback for %r", future)
