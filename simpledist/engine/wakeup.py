"""The pipe that wakes the listener: a write that takes no lock, so that signal handlers and finalisers may do it.

Owns the two descriptors and closes them when it is no longer held: a thread that is about to write holds it, so that
the number of a closed descriptor, which may be another file's by now, is never written to. Written by any thread, read
by the listener.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

# The system's own: gevent and eventlet replace those of `os` by ones that may switch to another greenlet in the midst.
# These never block: the pipe is non-blocking.
_system: Any = sys.modules.get("posix", os)


class Wakeup:
    """`wake` from anywhere; `fileno` and `clear` are the listener's."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def wake(self) -> None:
        try:
            _system.write(self._write, b"x")
        except BlockingIOError:
            return  # full: it wakes anyway

    def fileno(self) -> int:
        return self._read

    def clear(self) -> None:
        try:
            _system.read(self._read, 4096)
        except BlockingIOError:
            return

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        for descriptor in (getattr(self, "_read", None), getattr(self, "_write", None)):
            if descriptor is not None:
                close(descriptor)
