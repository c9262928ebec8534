"""Whether calls of a client travel at all just now, and the listener, which is started when the first one is to.

The one place that says so for lone calls, maps and chunks alike: a client that is closed, or in a worker's child, sends
nothing; else it is Redis that is there or not. Any thread may ask.
"""

from __future__ import annotations

import logging
import threading
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from simpledist import config, policy
from simpledist.broker.link import library
from simpledist.client.inside import Entry, is_inside, thread
from simpledist.client.outcomes import Outcomes
from simpledist.client.session import Session
from simpledist.errors import RedisDown, RedisRefused
from simpledist.job import Why

if TYPE_CHECKING:
    from simpledist.client.listener import Listener

log = logging.getLogger("simpledist")

START_SECONDS = 1.0  # a listener that could not be started is tried again so much later


class Reach:
    """`listener` is None until a call is to travel, and from the client's end on; `_lock` guards its start."""

    def __init__(self, session: Session, outcomes: Outcomes, *, closed: bool) -> None:
        self.closed = closed
        self.listener: Listener | None = None
        self.nested = config.nested()
        self._session = session
        self._outcomes = outcomes
        self._lock = threading.Lock()
        self._start_again = 0.0  # time.monotonic() before which no listener is started

    def ended(self) -> Why | None:
        """Why no call of this client will ever travel, if so."""
        return "closed" if self.closed else "nested" if self.nested else None

    def away(self) -> Why | None:
        """Why no call travels just now, if so; the first one waits up to a second for the first connection."""
        return self.ended() or (None if self._session.trouble is None else self._trouble())

    def live_workers(self) -> list[dict[str, Any]] | None:
        """The rows of the workers that live; None to an interruption, which cannot ask."""
        if thread.inside and is_inside():
            return None
        with Entry():
            if self.away() is not None:
                return []
            try:
                return self._session.live_workers()
            except (RedisDown, RedisRefused) as error:
                self._session.note_trouble(error)
                return []

    def let_go(self) -> Listener | None:
        """The listener, for the client that closes."""
        with self._lock:
            listener, self.listener = self.listener, None
            return listener

    def _trouble(self) -> Why | None:
        if thread.interrupting:
            # What is left to the listener comes to its outcome, whether Redis is there or not.
            return None if self.listener is not None else "redis_down"
        with self._lock:
            if self.listener is None and not self.closed and time.monotonic() >= self._start_again:
                self._start()
            if self.listener is None:
                return self._session.trouble
        self._session.first_attempt.wait(policy.TIMINGS.first_connection_seconds)
        return self._session.trouble

    def _start(self) -> None:
        """Start the listener; where the machine has no thread or descriptor left, calls run here for the moment."""
        try:
            library()  # loaded before the second begins for which a first call waits
            listener: Listener = import_module("simpledist.client.listener").Listener(self._session, self._outcomes)
            listener.start()
        except (RuntimeError, OSError) as error:
            self._start_again = time.monotonic() + START_SECONDS
            log.warning("client %s cannot start its thread, calls run here: %s", self._session.client, error)
            return
        self.listener = listener
