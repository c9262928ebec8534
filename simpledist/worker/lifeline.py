"""A process of the worker never outlives the one above it: template its parent, child its template.

And what user code leaves behind is buried, where the worker is the first process of a container.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from typing import Any

_PR_SET_PDEATHSIG = 1
_PR_GET_CHILD_SUBREAPER = 37


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


def adopts_orphans() -> bool:
    """Whether processes that lost their parent become ours: as PID 1, or told to by whoever started us."""
    flag = ctypes.c_int(0)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(flag), 0, 0, 0)
    return os.getpid() == 1 or flag.value != 0


def bury_orphans(own: int | None) -> None:
    """Reap every dead child but `own`, whose status somebody waits for: else they would stay as zombies."""
    while True:
        try:
            dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if dead is None or dead.si_pid == own:
            return
        os.waitpid(dead.si_pid, 0)


def ignore_stop_signals() -> None:
    """Ctrl-C and a group's SIGTERM are for the parent, which drains.

    Python handlers that do nothing, not SIG_IGN: programs that user code starts get the defaults back at exec.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, nothing)


def nothing(_number: int, _frame: Any) -> None:
    """A signal handler that only lets system calls go on."""
