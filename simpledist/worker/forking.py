"""Forking: where the process of a child begins, as a copy of the template, or as a fresh interpreter.

Owns that choice: a fork is quick and shares what is imported, but copies locked locks where threads run. Used by
template.py; what a child does then is in child.py.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping

from simpledist.worker import lifeline, mark
from simpledist.worker.launch import Launch


def forking_is_safe() -> bool:
    """Return whether children can be forked from this process.

    Not on macOS, and not once the imported modules have started threads: their locks would be copied locked.
    """
    if sys.platform == "darwin" or not hasattr(os, "fork") or threading.active_count() > 1:
        return False
    return len(threads_in_kernel()) <= 1


def threads_in_kernel() -> set[int]:
    """Return the threads of this process that the kernel knows; none where it does not say (elsewhere than on Linux).

    It knows one for some milliseconds after its last act, and for longer on a busy machine.
    """
    try:
        return {int(name) for name in os.listdir("/proc/self/task")}
    except OSError:
        return set()


def fork_child(run: Callable[[], None], *, token: int, serial: int) -> int:
    """Fork a child that dies with this process and does `run`, no more; return its pid. Raises OSError."""
    template = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            lifeline.be_a_group()
            lifeline.die_with(template)
            mark.put_on(token, serial)
            run()
        finally:
            os._exit(1)
    return pid


def spawn_child(launch: Launch, variables: Mapping[str, str]) -> int:
    """Start a child as a fresh interpreter, which imports for itself; return its pid. Raises OSError."""
    os.set_inheritable(launch.socket, True)
    return os.posix_spawn(sys.executable, launch.command(), {**os.environ, **variables})
