"""A process of the worker never outlives the one above it: template its parent, child its template.

Also signals, groups and orphans: which process of the worker takes which of them. Orphans of jobs are adopted by the
template; where the worker is the first process of a container, it buries all others.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_GET_CHILD_SUBREAPER = 37
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_outlives = threading.Event()  # this process ends by itself when its parent is gone


def die_with(parent: int) -> None:
    """Be killed the moment that `parent`, our parent process, dies (elsewhere than on Linux: a second later)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent,), name="simpledist-lifeline", daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def outlive_parent() -> None:
    """Live on when our parent dies: the template has something to do then, and the end of its socket tells it."""
    _outlives.set()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, 0, 0, 0, 0)


def be_a_group() -> None:
    """Have a process group of our own, so that what a job starts can be signalled together."""
    with contextlib.suppress(OSError):  # it leads one already
        os.setpgid(0, 0)


def adopt_orphans() -> None:
    """Become the parent of every process below us that loses its own (on Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap(before: Callable[[int], None]) -> Iterator[tuple[int, int]]:
    """Yield (pid, wait status) of every child of ours that has ended.

    `before(pid)` is called while the number is still that of the dead child alone.
    """
    with contextlib.suppress(ChildProcessError):  # there is none left
        while True:
            if hasattr(os, "waitid"):
                dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if dead is None:
                    return
                before(dead.si_pid)
                yield os.waitpid(dead.si_pid, 0)
            else:  # macOS before Python 3.13
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                before(pid)
                yield pid, status


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    if not _outlives.is_set():
        os._exit(1)


def adopts_orphans() -> bool:
    """Return whether processes that lost their parent become ours: we are PID 1, or were started as a subreaper."""
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
    for number in _STOP_SIGNALS:
        signal.signal(number, nothing)


def obey_stop_signals_in_copies() -> None:
    """Have forked copies of this process end by SIGTERM and Ctrl-C, as those of any program do.

    multiprocessing ends the processes of a pool by SIGTERM, and waits for them. The signals wait while a copy is made:
    one that comes before the copy obeys would be lost.
    """
    if not hasattr(os, "register_at_fork"):
        return
    masks = threading.local()

    def before() -> None:
        masks.old = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)

    def after() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.old)

    def in_copy() -> None:
        for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
            if signal.getsignal(number) is nothing:
                signal.signal(number, usual)
        after()

    os.register_at_fork(before=before, after_in_parent=after, after_in_child=in_copy)


def nothing(_number: int, _frame: Any) -> None:
    """Do nothing: a signal handler that only lets system calls go on."""
