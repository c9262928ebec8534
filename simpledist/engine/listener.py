"""The client's one thread: it waits for replies, sends what waits to be sent, and nudges once a second.

Owns the nudge connection, and the blocking reply connection (the one that Redis knows this client by) but for the
moments in which a caller reads its own reply (reply_connection.py). It only moves bytes: outcomes are decoded
elsewhere, and what they mean is decided in calls.py. Between two events it sleeps until something can be read.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from simpledist import policy
from simpledist.broker import Broker
from simpledist.engine.calls import Calls
from simpledist.engine.deadlines import Deadlines
from simpledist.engine.events import Overdue
from simpledist.engine.future import Future
from simpledist.engine.inside import OurThread
from simpledist.engine.nudging import Nudges
from simpledist.engine.outage import Outage
from simpledist.engine.readable import readable
from simpledist.engine.reply_connection import LEND_SECONDS, ReplyConnection
from simpledist.engine.sending import Sending
from simpledist.engine.wakeup import Wakeup
from simpledist.errors import RedisDown, RedisRefused
from simpledist.printable import logger

log = logger("simpledist")

IDLE_LOOK_SECONDS = 0.25  # a client that is to end when nothing is under way looks so often whether that is so


class Listener:
    """The thread and its two connections; other threads call `wake`, `watch`, `lead` and `close`."""

    def __init__(self, calls: Calls, timings: policy.Timings = policy.TIMINGS) -> None:
        self._session = session = calls.session
        self._calls = calls
        self._timings = timings
        self._replies = ReplyConnection(calls)
        self._broker = Broker(session.link("nudge"), session.keys)
        self._sending = Sending(self._broker, calls)
        self._nudges = Nudges(self._broker, calls, replies=self._replies, sending=self._sending, timings=timings)
        self._wakeup = Wakeup()
        self.wake = self._wakeup.wake
        self._deadlines = Deadlines()
        self._sleeps_until = 0.0  # written by the thread before it sleeps, read by `watch`
        self._outage = Outage(calls, timings)
        self._closing = False
        self._closing_when_idle = False
        self._thread = OurThread(self._run, name="simpledist-listener")

    def start(self) -> None:
        """Start the thread; raise RuntimeError where none can be started."""
        try:
            self._thread.start()
        except RuntimeError:
            del self._thread  # which holds this, and with it descriptors
            raise
        self._session.wake, self._calls.watch = self.wake, self.watch
        self.wake()  # something may have been left before it was there

    def watch(self, futures: Sequence[Future[Any]]) -> None:
        """Wake the thread in time for the nudge and the deadlines of calls that went out; none: for the nudge."""
        due = time.monotonic() + self._timings.nudge_seconds
        for future in futures:
            if future.call.deadline is not None:
                self._deadlines.put(future)
                due = min(due, future.call.deadline)
        # While a plain call has the connection the listener does not look for replies.
        if self._sleeps_until > due + 0.05 or (self._replies.lent and futures):
            self.wake()

    def lead(self, future: Future[Any]) -> bool:
        """Submit a plain call, in its thread, and wait a moment for its reply, without waking the listener.

        Returns False where another thread has the connection, or the call did not get through: it is to be submitted as
        any other then.
        """
        led = self._replies.lead(future)
        if led and future.call.id in self._calls.flight:
            self.watch([future])
        elif led is not None and self._replies.wants_listener():
            self.wake()
        return bool(led)

    def close(self) -> None:
        """Stop the thread and close its connections; waits for it unless it is the caller."""
        self._closing = True
        self.wake()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(timeout=5.0)

    def abandon(self) -> None:
        """Stop the thread, if there is one: it was torn away while it was started, and no one knows of it."""
        self._closing = True
        self.wake()

    def close_when_idle(self) -> None:
        """Stop the thread, and close everything, as soon as no call is under way. Takes no lock."""
        self._closing_when_idle = True
        self.wake()

    # --- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._closing and not (self._closing_when_idle and self._idle()):
                try:
                    if not self._replies.link.connected or not self._broker.link.connected:
                        self._connect()
                    self._listen()
                    self._broker.link.bound(self._deadlines.bound())
                    self._sending.send()
                    self._duties()
                    self._session.local_run_counts.look_in_time()
                except (RedisDown, RedisRefused) as error:
                    self._lost(error)
                except Exception as error:
                    # A bug of ours must not leave callers waiting: begin again on fresh connections.
                    log.exception("client %s: its listener begins again", self._session.client)
                    self._lost(RedisDown(str(error)))
            if self._is_known():
                self._depart()
        finally:
            self._replies.take_back(wait=True)
            self._replies.close()
            self._broker.link.close()
            if self._is_known():
                self._session.unheard()
                self._calls.unheard()
            if not self._closing:  # no other thread does
                self._calls.resolvers.close()
                self._session.close()

    def _is_known(self) -> bool:
        """Return whether this is the listener of its client: False where another has come in its place."""
        return self._session.wake is self.wake

    def _idle(self) -> bool:
        """Return whether nothing of this client is under way, here or elsewhere."""
        unreported = self._session.trouble is None and self._session.leisure()
        return not (self._session.local_run_counts.finish() or unreported or self._calls.busy())

    def _connect(self) -> None:
        self._replies.take_back(wait=True)
        self._replies.connect(self._deadlines.bound())
        self._broker.link.bound(self._deadlines.bound())
        self._broker.link.connect()
        if self._replies.link.run_id != self._broker.link.run_id:
            raise RedisDown("Redis has moved")  # between these two lines
        session = self._session
        session.connection = self._replies.link.identity or "-"
        self._nudges.connected(again=self._outage.lasts or bool(session.epoch))
        self._outage.ends()
        session.first_attempt.set()

    def _lost(self, error: RedisDown | RedisRefused) -> None:
        """Go on without Redis, until the next try."""
        self._replies.take_back(wait=True)
        self._replies.close()
        self._broker.link.close()
        seconds = self._outage.goes_on(error, asked_at=self._nudges.asked_at)
        self._session.local_run_counts.look_in_time()
        self._sleep(seconds)

    def _depart(self) -> None:
        try:
            if self._broker.link.connected:
                self._session.tell_given_up(self._broker, self._calls.flight)
                self._session.tell(self._broker)
                self._broker.leave(self._session.client, final=True)
        except (RedisDown, RedisRefused):
            return  # our closed connections say the same, a second later

    def _sleep(self, seconds: float) -> None:
        self._sleeps_until = time.monotonic() + seconds
        self._wait_for([], min(seconds, self._relieve()))

    def _relieve(self) -> float:
        """Start the threads that are missing; return for how long this one may sleep then."""
        return min(self._calls.relieve(), IDLE_LOOK_SECONDS if self._closing_when_idle else float("inf"))

    def _wait_for(self, descriptors: list[int], seconds: float) -> set[int]:
        """Return those that can be read, once one can, or a wake-up came, or the time is over."""
        wakeup = self._wakeup.fileno()
        ready = readable([*descriptors, wakeup], seconds)
        if wakeup in ready:
            self._wakeup.clear()
        return ready

    # --- replies -------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Sleep until a reply, a wake-up or the next duty, and take in every reply that is there."""
        now = time.monotonic()
        replies = self._replies
        if self._leaves_it_lent(now) or not replies.link.connected:  # a caller was torn away in the midst of a reply
            return
        replies.pop()
        due = min(replies.popping_until or now, self._next_due(now))
        self._sleeps_until = due = min(due, now + self._relieve())
        # A call that went out before `_sleeps_until` was written did not wake us.
        if self._calls.flight:
            due = min(due, max(self._nudges.due, now))
        reply = replies.link.fileno()
        if reply in self._wait_for([reply], due - now):
            replies.take_in_all()
        elif time.monotonic() >= (replies.popping_until or 0.0):
            raise RedisDown("no answer on the reply connection")

    def _leaves_it_lent(self, now: float) -> bool:
        """Return whether the reply connection stays with threads that make plain calls, for another sleep."""
        replies = self._replies
        if not replies.lent:
            return False
        wanted = replies.wants_listener() or now >= replies.lent_until
        if wanted and replies.take_back():
            return False
        self._sleep(min(self._next_due(now), now + LEND_SECONDS if wanted else replies.lent_until) - now)
        return True

    def _busy(self) -> bool:
        return bool(
            self._calls.flight
            or self._session.leisure()
            or self._session.trouble is not None  # a call met it on its own connection: find out whether it lasts
            or self._calls.demand.any()
            or self._calls.waiting()
        )

    def _next_due(self, now: float) -> float:
        due = float("inf")
        if self._busy():
            due = self._nudges.put_off(now)
        return min(due, self._deadlines.next())

    # --- duties --------------------------------------------------------------------------------------------------

    def _duties(self) -> None:
        now = time.monotonic()
        self._end_budgets(now)
        self._session.tell_given_up(self._broker, self._calls.flight)
        if now >= self._next_due(now) and now >= self._nudges.due and self._busy():
            self._nudges.nudge(now)

    def _end_budgets(self, now: float) -> None:
        for future in self._deadlines.over(now):
            if self._calls.flight.shared(future.call.id):
                self._calls.apply(Overdue(future))
            elif self._calls.flight.stands(future):
                self._nudges.call_off([future], "timeout")
