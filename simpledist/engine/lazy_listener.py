"""The listener of one client, started when the first call is to travel and ended with the client.

Owns its start and its end, and which workers live. Any thread may ask.
"""

from __future__ import annotations

import time
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from simpledist import policy
from simpledist.broker.link import library
from simpledist.engine import locks
from simpledist.engine.calls import Calls
from simpledist.engine.inside import Entry, is_inside, thread
from simpledist.engine.routing import Routing
from simpledist.errors import RedisDown, RedisRefused
from simpledist.interruption import signalled

if TYPE_CHECKING:
    from simpledist.engine.listener import Listener

START_SECONDS = 1.0  # a listener that could not be started is tried again so much later


class LazyListener:
    """`listener` is None until a call is to travel, and from the client's end on."""

    def __init__(self, calls: Calls, routing: Routing) -> None:
        self.listener: Listener | None = None
        self._calls = calls
        self._session = calls.session
        self._routing = routing
        self._lock = locks.lock("listener")  # guards its start and its end
        self._start_again = 0.0  # time.monotonic() before which no listener is started

    def connected(self) -> bool:
        """Return whether Redis answers. Starts the listener if need be, and waits up to a second for its first try."""
        with self._lock:
            if self.listener is None and not self._routing.closed and time.monotonic() >= self._start_again:
                self._start()
            if self.listener is None:
                return False
        self._session.first_attempt.wait(policy.TIMINGS.first_connection_seconds)
        return self._session.trouble is None

    def live_workers(self) -> list[dict[str, Any]] | None:
        """Return the rows of the workers that live; None to an interruption, which cannot ask."""
        if is_inside():
            return None
        with Entry(), thread.mark:
            if self._routing.ended() is not None or not (self._session.trouble is None or self.connected()):
                return []
            try:
                return self._session.live_workers()
            except (RedisDown, RedisRefused) as error:
                self._session.note_trouble(error)
                return []

    def close(self) -> None:
        """End the listener, once the lines for the caller are logged."""
        try:
            self._session.local_run_counts.finish()
            self._session.notices.flush()
        finally:  # Ctrl-C
            with self._lock:
                listener, self.listener = self.listener, None
            if listener is not None:
                listener.close()

    def _start(self) -> None:
        """Start the listener; where the machine has no thread or descriptor left, calls run here for the moment."""
        listener: Listener | None = None
        try:
            library()  # loaded before the second begins for which a first call waits
            listener = cast("Listener", import_module("simpledist.engine.listener").Listener(self._calls))
            listener.start()
            self.listener = listener
        except BaseException as error:
            if listener is not None and self.listener is None:
                listener.abandon()  # its thread may run all the same
            if (torn := signalled(error)) is not None:
                raise torn from None
            if not isinstance(error, (RuntimeError, OSError)):
                raise
            self._start_again = time.monotonic() + START_SECONDS
            self._session.note_trouble(RedisDown(f"this client cannot start its thread ({error})"))
