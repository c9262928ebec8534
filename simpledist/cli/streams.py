"""Puts the standard streams and signals of a command in order before it writes or waits.

A shell may start a command with any of the three streams closed, on an old terminal, or with signals blocked or
ignored. Knows nothing of commands. Called by `run` in options.py.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from typing import TextIO

STANDARD = ("stdin", "stdout", "stderr")


def put_in_order() -> None:
    """Open what is closed, make every character printable, and take signals as a process usually does."""
    _open_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal of another encoding shows \\xe9 for what it has no character for.
            stream.reconfigure(errors="backslashreplace")
    if hasattr(signal, "pthread_sigmask"):
        # A worker's template and children inherit both: no signal is blocked, and they hear of each child that ends.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def give_up_output() -> None:
    """Lead stdout to /dev/null: it is full or closed, and the interpreter would complain about it at its exit."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _open_closed() -> None:
    """Open each closed stream as /dev/null: otherwise the next socket gets its number, and what a child prints."""
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor > 2:
            os.close(descriptor)
            break
        os.set_inheritable(descriptor, True)
    for number, name in enumerate(STANDARD):
        if getattr(sys, name) is None:
            stream: TextIO = open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
