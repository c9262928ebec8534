"""An event that a signal handler cannot spoil: a thread that is torn away while it waits leaves nothing behind.

The stdlib's event has a lock that its waiting threads take by lines of Python. Ctrl-C between two of these leaves it
held for ever, and the thread that is to say that something happened waits for it for ever.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque


class SignalSafeEvent:
    """As threading.Event, without `clear`: `set` waits for no lock. Any thread may use it."""

    def __init__(self) -> None:
        self._happened = False
        self._waiting: deque[threading.Lock] = deque()  # held; one for each wait, and left behind by those torn away

    def is_set(self) -> bool:
        """Return whether it happened."""
        return self._happened

    def set(self) -> None:
        """Let all waits end."""
        self._happened = True
        while self._waiting:
            try:
                waiting = self._waiting.popleft()
            except IndexError:  # another thread was quicker
                return
            waiting.release()

    def wait(self, seconds: float | None = None) -> bool:
        """Return whether it happened, once it did or after so many seconds."""
        if self._happened:
            return True
        waiting = threading.Lock()
        waiting.acquire()
        self._waiting.append(waiting)
        # Looked at again: `set` may have come before the line above.
        if not self._happened and not waiting.acquire(timeout=-1 if seconds is None else max(seconds, 0.0)):
            # A loop of short waits leaves nothing either.
            with contextlib.suppress(ValueError, IndexError):  # `set` has it
                self._waiting.remove(waiting)
        return self._happened
