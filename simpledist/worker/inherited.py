"""What a worker's processes get from whoever starts them, put right before anything else happens.

Knows only this process: its signals and its import path. The standard streams are every command's affair
(cli/streams.py).
"""

from __future__ import annotations

import signal
import sys


def let_children_be_reaped() -> None:
    """Block no signal in the worker, and hear of every child that ends: its template and children inherit both."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def import_from_current_folder() -> None:
    """Have the current folder on the path also where PYTHONSAFEPATH keeps Python from putting it there."""
    if sys.path[:1] != [""]:
        sys.path.insert(0, "")
