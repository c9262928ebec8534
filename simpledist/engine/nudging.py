"""The nudge: once a second the listener asks Redis what became of its calls, and does what the answer asks for.

Owns when the next nudge is due and whose turn it is. Sends again what Redis has forgotten, calls off what no worker may
have, and expels workers whose connections are closed. Used by the listener's thread, on its connection.
"""

from __future__ import annotations

import time
from typing import Any

from simpledist import policy
from simpledist.broker import Broker, closed_connections
from simpledist.broker.records import Nudged, Reply
from simpledist.engine import redis_answers
from simpledist.engine.calls import Calls
from simpledist.engine.events import Absent, Home
from simpledist.engine.future import Future
from simpledist.engine.known import Key
from simpledist.engine.readable import readable
from simpledist.engine.reply_connection import ReplyConnection
from simpledist.engine.resealing import seal_old_ones_again
from simpledist.engine.sending import Sending
from simpledist.errors import RedisDown
from simpledist.faultpoints import point
from simpledist.reasons import Why

SOON_SECONDS = 0.1  # Redis came back or was emptied: so will its workers, and calls that met none go out again
DEAF_SECONDS = 0.1  # the answer of a pop may come so much later than that of a nudge


class Nudges:
    """The nudges of one client. Times are time.monotonic()."""

    def __init__(
        self, broker: Broker, calls: Calls, *, replies: ReplyConnection, sending: Sending, timings: policy.Timings
    ) -> None:
        self.due = 0.0
        self.asked_at = 0.0
        self._broker = broker
        self._calls = calls
        self._session = calls.session
        self._replies = replies
        self._sending = sending
        self._timings = timings
        self._turn, self._ids = 0, policy.NUDGE_IDS  # whose turn it is, and how many calls at a time
        self._restarted_at = float("-inf")  # when Redis last came back, or was found emptied

    def put_off(self, now: float) -> float:
        """Return when the next one is due, a second from now if that is long past."""
        if self.due < now - self._timings.nudge_seconds:
            self.due = now + self._timings.nudge_seconds
        return self.due

    def connected(self, *, again: bool) -> None:
        """Ask after every call, on a connection that is new. `again`: Redis was away."""
        if again:
            self._restarted_at = time.monotonic()
        # A Redis that lets us in and then refuses to work (a replica, one that hangs) is as good as away.
        self._ask_all()
        if again:
            self._within(SOON_SECONDS)

    def nudge(self, now: float) -> None:
        """Ask after some of the calls, in rotation."""
        self.due = now + self._timings.nudge_seconds
        self._session.tell(self._broker)
        sent = self._calls.flight.sent()
        if self._session.uploads.blobs_put:
            self._session.uploads.renew(self._broker, [future.call for future in sent])
        first = self._turn if self._turn < len(sent) else 0
        end = first + self._ids
        self._turn = end if end < len(sent) else 0
        self._ask(sent[first:end], self._calls.demand.text(now, self._calls.local_runs.waiting()))

    def call_off(self, futures: list[Future[Any]], why: Why) -> None:
        """Cancel calls in Redis and run them here; what has ended meanwhile keeps its remote outcome."""
        if not futures:
            return
        jobs = [(future.call.spec.function, future.call.id) for future in futures]
        for future, word in zip(futures, self._broker.cancel(self._session.client, jobs), strict=True):
            if word != "ended":
                self._calls.apply(Home(future, why))

    def _ask_all(self) -> None:
        futures = self._calls.flight.sent()
        for first in range(0, max(len(futures), 1), policy.NUDGE_IDS):
            self._ask(futures[first : first + policy.NUDGE_IDS])

    def _ask(self, futures: list[Future[Any]], demand: str = "") -> None:
        session, broker = self._session, self._broker
        point("client.nudging")
        self.asked_at = time.monotonic()
        asked = session.lanes.asked(self._calls.waiting())
        nudged = broker.nudge(
            session.client,
            session.connection,
            [(future.call.spec.function, future.call.id) for future in futures],
            [(lane, wish) for _, lane, wish in asked],
            wish=session.lanes.wish,
            demand=demand,
        )
        session.works(nudged.clock)
        restarted = bool(session.epoch) and nudged.epoch != session.epoch
        session.epoch = nudged.epoch
        self._ids = policy.nudge_ids(nudged.clients)
        if restarted:
            self._restarted_at = time.monotonic()
        self._go_by_words(futures, nudged)
        for (key, _, _), answer in zip(asked, nudged.live, strict=True):
            why = session.lanes.refused(key, answer)
            self._calls.apply(Absent(key, why))
            if why is None:
                self._send_backlog(key)
        self._look_at_connections(nudged)
        if restarted:
            self._ask_all()
            self._within(SOON_SECONDS)
        self._check_hearing(nudged)

    def _within(self, seconds: float) -> None:
        self.due = min(self.due, time.monotonic() + seconds)

    def _check_hearing(self, nudged: Nudged) -> None:
        """Raise RedisDown where an outcome that a nudge brought stands on our reply list, and the pop stays silent."""
        replies = self._replies
        brought = any(isinstance(word, Reply) and not word.lost for word in nudged.words)
        if replies.lent or replies.popping_until is None or not brought:
            return
        if not readable([replies.link.fileno()], DEAF_SECONDS):
            raise RedisDown("the reply connection is deaf")

    def _go_by_words(self, futures: list[Future[Any]], nudged: Nudged) -> None:
        said = redis_answers.to_nudge(futures, nudged.words, self._session.lanes)
        for event in said.ended:
            self._calls.apply(event)
        now = time.monotonic()
        for future in said.missing:
            # What had entered may have run: each time counts. What had not is submitted again and again, until its
            # workers are back: that counts once a second.
            if not future.kept_out or now - future.forgotten_at > self._timings.nudge_seconds:
                future.forgotten, future.forgotten_at = future.forgotten + 1, now
        lost = [future for future in said.missing if future.forgotten <= policy.FORGOTTEN_CAP]
        self._sending.again(lost, self._crosses_restart)
        self.call_off([future for future in said.missing if future.forgotten > policy.FORGOTTEN_CAP], "redis_down")
        for why, some in said.home.items():
            self.call_off([one for one in some if why != "no_worker" or not self._crosses_restart(one)], why)
        seal_old_ones_again(self._broker, self._calls, futures)

    def _crosses_restart(self, future: Future[Any]) -> bool:
        """Return whether a call was in flight when Redis came back a moment ago: its workers come back later."""
        over = time.monotonic() >= self._restarted_at + self._timings.redis_grace_seconds
        return future.call.began < self._restarted_at and not over

    def _send_backlog(self, key: Key) -> None:
        """Send calls that wait for a local slot: a worker is back."""
        futures = self._calls.take_back(key, policy.NUDGE_IDS)
        if futures:
            self._within(SOON_SECONDS)  # what this nudge said of them is not true any more
        for future in futures:  # all of them are in flight before the first submission may fail
            future.put_back(None)
            future.sent, future.call.wanted = True, None
            self._calls.flight.enter_again(future)
        self._sending.again(futures, self._crosses_restart)

    def _look_at_connections(self, nudged: Nudged) -> None:
        closing = nudged.closing
        link = self._broker.link
        dead = closed_connections.among(link, nudged.suspects)
        if dead:
            reaped = self._broker.reap(run_id=link.run_id, workers=[(one.id, one.connection) for one in dead])
            closing = closing or reaped.closing
        if closing:
            self._within(self._timings.closed_grace_seconds + 0.02)
