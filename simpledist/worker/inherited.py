"""What a worker's processes get from whoever starts them, put right before anything else happens.

Knows only this process: its standard streams, its signal mask, its import path. Called at the very start of each.
"""

from __future__ import annotations

import os
import signal
import sys


def put_right() -> None:
    """The worker's parent: open streams, no signal blocked, no child reaped behind our back."""
    open_standard_streams()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def open_standard_streams() -> None:
    """Open what whoever started us has closed (`2>&-`): else the next socket would become descriptor 2."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number: this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, "w", buffering=1, closefd=False, errors="backslashreplace"))


def import_from_current_folder() -> None:
    """Have the current folder on the path also where PYTHONSAFEPATH keeps Python from putting it there."""
    if sys.path[:1] != [""]:
        sys.path.insert(0, "")
