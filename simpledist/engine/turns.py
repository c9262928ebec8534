"""Whose turn it is to use the client's command connection: small commands go before the next slice of a big value.

A lock alone would not do: a thread that sends slice after slice takes it again before one that waits has woken up.
"""

from __future__ import annotations

import threading
import time


class Turns:
    """`_held` is held by the thread that uses the connection, `_next` by the one that has it next.

    `_slices` is held by the thread that sends or reads the next slice, so that only one of them contends with what is
    small. They are taken in the order `_slices`, `_next`, `_held`. Whatever is taken must be given back by the same
    thread.
    """

    def __init__(self) -> None:
        self._slices = threading.Lock()
        self._next = threading.Lock()
        self._held = threading.Lock()

    def take(self, until: float | None = None) -> None:
        """Take the connection for one small command; raise TimeoutError at `until` (time.monotonic())."""
        _take(self._next, until)
        try:
            _take(self._held, until)
        finally:
            self._next.release()

    def give(self) -> None:
        """Give it back: the command has been answered."""
        self._held.release()

    def take_for_slice(self, until: float | None = None) -> None:
        """Take it for one slice of a big value."""
        _take(self._slices, until)
        try:
            self.take(until)
        except BaseException:
            self._slices.release()
            raise

    def give_slice(self) -> None:
        """Give it back: the slice has been answered."""
        self.give()
        self._slices.release()


def _take(lock: threading.Lock, until: float | None) -> None:
    if not lock.acquire(timeout=-1 if until is None else max(until - time.monotonic(), 0.0)):
        raise TimeoutError
