"""The reply connection, and whose turn it is to read it: the listener's, or that of a thread that makes plain calls.

Such a thread only waits between two calls. To wake the listener, and to be woken by it, would cost a call more than
Redis and the function do. So the listener passes the connection on when the last call in flight was a plain one. The
borrower submits and pops in one write, and reads every reply, including other callers'. It keeps the connection for
LEAD_SECONDS; then the listener, which nudges, has it again.
"""

from __future__ import annotations

import functools
import time
from typing import Any

from simpledist import policy
from simpledist.broker import Broker
from simpledist.broker.link import packed
from simpledist.broker.records import Submitted
from simpledist.engine import locks, redis_answers
from simpledist.engine.calls import Calls
from simpledist.engine.future import Future
from simpledist.engine.session import GRACE_SECONDS, SILENT_SECONDS
from simpledist.errors import RedisDown, RedisRefused
from simpledist.faultpoints import point
from simpledist.printable import logger

log = logger("simpledist")

SLICE_SECONDS = 10  # one BLPOP of an idle client
LEAD_SECONDS = 0.02  # for so long a caller reads itself
LEND_SECONDS = 0.2  # the listener takes back what was not borrowed for so long: it watches for the end of Redis
BORROWED_SECONDS = 5.0  # no caller has it for so long: a silent Redis is given up before


class ReplyConnection:
    """Only the listener writes `lent`. While it is False all the rest is the listener's, else of the thread that holds
    `_turn`."""

    def __init__(self, calls: Calls) -> None:
        session = calls.session
        self.link = session.link("reply")
        self.lent = False
        self.lent_until = 0.0
        self.popping_until: float | None = None  # when an outstanding pop must have been answered
        self._session = session
        self._calls = calls
        self._broker = Broker(self.link, session.keys)
        self._key = session.keys.reply(session.client)
        self._most = policy.REPLIES_FIRST  # replies that are read at once
        self._turn = locks.only_tried()  # reentrant, for such a lock knows whose it is

    # --- the thread whose turn it is -----------------------------------------------------------------------------

    def connect(self, until: float) -> None:
        """Make the connection again, within the time that there is."""
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
        """Read the answer of the outstanding pop and all other replies; pass on, if that was a plain call alone."""
        try:
            popped = self.link.receive()
        except RedisRefused as error:
            self._remove_foreign(error)
            return
        self.popping_until = None
        if popped is None:
            return
        plain, flight = self._taken(popped), self._calls.flight
        while flight:
            most = self._most
            elements: list[bytes] = self.link.call("LPOP", self._key, most) or []
            self._most = policy.next_replies(most, len(elements), sum(map(len, elements)))
            for element in elements:
                self._calls.replies.take_in(element)
            if len(elements) < most:
                break
        if plain and not flight:
            self._lend()

    def _remove_foreign(self, error: RedisRefused) -> None:
        """Remove what is no list where replies to us belong: every pop fails at it. Raises what else is refused."""
        if "WRONGTYPE" not in str(error):
            raise error
        self.popping_until = None
        self.link.call("DEL", self._key)
        log.warning("removed what was no list: %s; another program writes under our namespace", self._key)

    def close(self) -> None:
        self.link.close()
        self.popping_until = None

    # --- whose turn it is ----------------------------------------------------------------------------------------

    def _lend(self) -> None:
        self.lent_until = time.monotonic() + LEND_SECONDS
        self.lent = True

    def take_back(self, *, wait: bool = False) -> bool:
        """Take the connection back; return whether the listener has it. With `wait` it always has."""
        if self.lent:
            if not self._turn.acquire(timeout=BORROWED_SECONDS if wait else -1, blocking=wait):
                if not wait:
                    return False
                self._turn = locks.only_tried()  # a borrower that never comes back: the connection is made again
                self._turn.acquire()
            self.lent = False
            self._turn.release()
        return True

    def wants_listener(self) -> bool:
        """Return whether there is something to be read, or repaired."""
        return bool(self._calls.flight) or self.popping_until is not None or not self.link.connected

    # --- by a caller ---------------------------------------------------------------------------------------------

    def lead(self, future: Future[Any]) -> bool | None:
        """Submit a plain call, in its thread, and read replies until its own is there or LEAD_SECONDS are over.

        Returns False where it did not get through, None where another thread has the connection: it is to be submitted
        as any other then.
        Raises RedisDown where Redis is silent.
        """
        turn = self._turn
        try:
            try:
                if not self.lent or not turn.acquire(blocking=False):
                    return None
                if not self.lent:  # the listener was quicker
                    return None
                try:
                    return self._lead(future)
                except BaseException as error:
                    if not isinstance(error, RedisDown):
                        self.close()  # torn away: the next reply on it may be that of any command
                    raise
                finally:
                    self.lent_until = time.monotonic() + LEND_SECONDS
            finally:
                locks.let_go(turn)
        except BaseException:
            locks.let_go(turn)  # Ctrl-C may come before the line above
            raise

    def _lead(self, future: Future[Any]) -> bool:
        flight, id = self._calls.flight, future.call.id
        began = time.monotonic()
        try:
            submitted = self._submit(future)
        except RedisRefused:
            self._take_in_within(0.001)  # the pop behind it may have been answered: nothing stays unread
            return False
        except RedisDown:
            if time.monotonic() - began > SILENT_SECONDS:
                raise
            return False
        try:
            if submitted.words[0] == "queued":
                future.sent = True
            else:
                events, again = redis_answers.to_submit([future], submitted.words, self._session.lanes)
                for event in events:
                    self._calls.apply(event)
                if again:
                    return False
            while id in flight and self._take_in_within(began + LEAD_SECONDS - time.monotonic()):
                if id not in flight:
                    break
                self.pop()
        except RedisDown:
            pass  # it has got through: the listener asks about it
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
            return session.enter(self._broker, [call], [self._calls.envelopes.seal(call)], then=self._packed_pop)
        finally:
            if call.deadline is not None:
                self.link.bound(float("inf"))

    def _take_in_within(self, seconds: float) -> bool:
        """Take in what the outstanding pop gave; return whether it was answered so soon."""
        try:
            came, popped = self.link.receive_within(max(seconds, 0.001))
        except RedisRefused as error:
            self._remove_foreign(error)
            return True
        if came:
            self.popping_until = None
        if popped is not None:
            self._taken(popped)
        return came

    def _taken(self, popped: Any) -> bool:
        """Take in what a pop gave. Raises RedisDown where this is the reply of another command."""
        match popped:
            case [_, bytes(element)]:
                point("client.replied")
                return self._calls.replies.take_in(element)
            case _:
                self.close()
                raise RedisDown("a reply that no pop gives")
