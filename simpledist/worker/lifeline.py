"""A process of the worker never outlives the one above it: template its parent, child its template."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from typing import Any

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Be killed the moment that `parent`, our parent process, dies (elsewhere than on Linux: a second later)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent,), name="simpledist-lifeline", daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def ignore_stop_signals() -> None:
    """Ctrl-C and a group's SIGTERM are for the parent, which drains.

    Python handlers that do nothing, not SIG_IGN: programs that user code starts get the defaults back at exec.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, nothing)


def nothing(_number: int, _frame: Any) -> None:
    """A signal handler that only lets system calls go on."""
