"""The reply connection, and whose turn it is to read it: the listener's, or a caller's that would only wait for it.

A thread that makes plain calls one after the other has nothing to do but to wait: to wake the listener, and to be woken
by it, would cost such a call more than Redis and the function. So the listener lends the connection when the last
call in flight was a plain one. Whoever borrows it submits and pops in one write, and reads what comes, whosesoever it
is. It keeps the connection for LEAD_SECONDS; then the listener, which nudges, has it again.
"""

from __future__ import annotations

import functools
import threading
import time
from typing import Any

from simpledist import policy
from simpledist.broker import Broker
from simpledist.broker.link import packed
from simpledist.broker.records import Submitted
from simpledist.client.future import Future
from simpledist.client.outcomes import Outcomes
from simpledist.client.session import GRACE_SECONDS, SILENT_SECONDS, Session
from simpledist.errors import RedisDown, RedisRefused
from simpledist.faultpoints import point

SLICE_SECONDS = 10  # one BLPOP of an idle client
LEAD_SECONDS = 0.02  # for so long a caller reads itself
LEND_SECONDS = 0.2  # the listener takes back what nobody has borrowed for so long: it watches for the end of Redis
BORROWED_SECONDS = 5.0  # no caller has it for so long: a silent Redis is given up before


class Replies:
    """`lent` is the listener's; the rest belongs to whoever holds `_turn`: the listener, until it lends."""

    def __init__(self, session: Session, outcomes: Outcomes) -> None:
        self.link = session.link("reply")
        self.lent = False
        self.lent_until = 0.0
        self.popping_until: float | None = None  # when an outstanding pop must have been answered
        self._session = session
        self._outcomes = outcomes
        self._broker = Broker(self.link, session.keys)
        self._key = session.keys.reply(session.client)
        self._turn = threading.Lock()
        self._turn.acquire()

    # --- the thread whose turn it is -----------------------------------------------------------------------------

    def connect(self, until: float) -> None:
        """Make the connection anew, within the time that there is."""
        self.popping_until = None
        self.link.bound(until)
        self.link.connect()
        self.link.bound(float("inf"))

    def pop(self) -> None:
        """Have a pop outstanding."""
        if self.popping_until is None:
            self.link.send("BLPOP", self._key, SLICE_SECONDS)
            self.popping_until = time.monotonic() + SLICE_SECONDS + 1.0

    def take_in_all(self) -> None:
        """Read the answer of the outstanding pop and whatever else is there; lend, if that was a plain call alone."""
        popped = self.link.receive()
        self.popping_until = None
        if popped is None:
            return
        plain, in_flight = self._taken(popped[1]), self._outcomes.in_flight
        while in_flight:
            most = min(policy.BATCH_ITEMS, max(self.link.slice_bytes // policy.INLINE_BYTES, 1))
            elements: list[bytes] = self.link.call("LPOP", self._key, most) or []
            for element in elements:
                self._outcomes.take_in(element)
            if len(elements) < most:
                break
        if plain and not in_flight:
            self._lend()

    def close(self) -> None:
        self.link.close()
        self.popping_until = None

    # --- whose turn it is ----------------------------------------------------------------------------------------

    def _lend(self) -> None:
        self.lent_until = time.monotonic() + LEND_SECONDS
        self.lent = True
        self._turn.release()

    def take_back(self, *, wait: bool = False) -> bool:
        """By the listener: whether it is its turn again. With `wait` it is, whatever the borrower does."""
        if self.lent:
            if not self._turn.acquire(timeout=BORROWED_SECONDS if wait else -1, blocking=wait):
                if not wait:
                    return False
                # The borrower was interrupted in a moment in which it could not give back.
                self._turn = threading.Lock()
                self._turn.acquire()
            self.lent = False
        return True

    def wants_listener(self) -> bool:
        """Whether there is something to be read, or mended."""
        return bool(self._outcomes.in_flight) or self.popping_until is not None or not self.link.connected

    # --- by a caller ---------------------------------------------------------------------------------------------

    def lead(self, future: Future[Any]) -> bool | None:
        """In the thread of a plain call: submit it, and read replies until its own is there or LEAD_SECONDS are over.

        False: it did not get through, and is to be submitted as any other; None: so it is, for it is not its turn.
        Raises RedisDown where Redis is silent.
        """
        if not self._turn.acquire(blocking=False):
            return None
        try:
            return self._lead(future)
        finally:
            self.lent_until = time.monotonic() + LEND_SECONDS
            self._turn.release()

    def _lead(self, future: Future[Any]) -> bool:
        in_flight, id = self._outcomes.in_flight, future.call.id
        began = time.monotonic()
        try:
            point("client.submitting")
            submitted = self._submit(future)
            point("client.submitted")
        except RedisRefused:
            self._take_in_within(0.001)  # the pop behind it may have been answered: nothing stays unread
            return False
        except RedisDown:
            if time.monotonic() - began > SILENT_SECONDS:
                raise
            return False
        try:
            if self._outcomes.entered([future], submitted.words):
                return False
            while id in in_flight and self._take_in_within(began + LEAD_SECONDS - time.monotonic()):
                if id in in_flight:
                    self.pop()
        except RedisDown:
            pass  # it has got through: the listener asks after it
        return True

    @functools.cached_property
    def _packed_pop(self) -> bytes:
        return packed("BLPOP", self._key, SLICE_SECONDS)

    def _submit(self, future: Future[Any]) -> Submitted:
        """Submit one call, and have a pop outstanding behind it: both travel in one write."""
        session, call = self._session, future.call
        self.popping_until = time.monotonic() + SLICE_SECONDS + 1.0
        if call.deadline is not None:
            self.link.bound(max(call.deadline, call.began) + GRACE_SECONDS)
        try:
            return self._broker.submit(
                session.lanes.of(call.function),
                session.client,
                session.connection,
                [(call.id, self._outcomes.sealed(future))],
                wish=session.lanes.wished((call.python,)),
                max_queue=call.max_queue,
                crashes=call.crashes,
                then=self._packed_pop,
            )
        finally:
            if call.deadline is not None:
                self.link.bound(float("inf"))

    def _take_in_within(self, seconds: float) -> bool:
        """Whether the outstanding pop was answered so soon; what it gave is taken in."""
        came, popped = self.link.receive_within(max(seconds, 0.001))
        if came:
            self.popping_until = None
        if popped is not None:
            self._taken(popped[1])
        return came

    def _taken(self, element: bytes) -> bool:
        point("client.replied")
        return self._outcomes.take_in(element)
