"""The client's one thread: it waits for replies, nudges once a second, and mends what a fault broke.

Owns the nudge connection, and the blocking reply connection (the one that Redis knows this client by) but for the
moments in which a caller reads its own reply (replies.py). It only moves bytes: outcomes are decoded elsewhere. Between
two events it sleeps until something can be read: it never looks in vain.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from simpledist import policy
from simpledist.broker import Broker, suspicion
from simpledist.broker.lane import function_of
from simpledist.broker.link import COMMAND_TIMEOUT_SECONDS
from simpledist.broker.records import Nudged, Reply
from simpledist.client.bundle import bundled
from simpledist.client.deadlines import Deadlines
from simpledist.client.future import Future
from simpledist.client.inside import OurThread
from simpledist.client.outbox import batches
from simpledist.client.outcomes import Outcomes, Patience, impatient
from simpledist.client.readable import readable
from simpledist.client.replies import LEND_SECONDS, Replies
from simpledist.client.resealing import seal_old_ones_again
from simpledist.client.session import Session
from simpledist.client.wakeup import Wakeup
from simpledist.client.words import sort_words
from simpledist.errors import RedisDown, RedisRefused
from simpledist.faultpoints import point
from simpledist.job import Why

log = logging.getLogger("simpledist")

SOON_SECONDS = 0.1  # Redis came back or was emptied: so will its workers, and calls that met none go out again
IDLE_LOOK_SECONDS = 0.25  # a client that is to end when nothing is under way looks so often whether that is so
DEAF_SECONDS = 0.1  # the answer of a pop may come so much later than that of a nudge


class Listener:
    """The thread and its two connections; `wake`, `watch`, `lead`, `close` and the outbox's `put` come from others."""

    def __init__(self, session: Session, outcomes: Outcomes, timings: policy.Timings = policy.TIMINGS) -> None:
        self._session = session
        self._outcomes = outcomes
        self._timings = timings
        self._replies = Replies(session, outcomes)
        self._broker = Broker(session.link("nudge"), session.keys)
        self._wakeup = Wakeup()
        self.wake = self._wakeup.wake
        self._deadlines = Deadlines()
        self._sleeps_until = 0.0  # written by the thread before it sleeps, read by `watch`
        self._next_nudge = 0.0
        self._turn, self._ids = 0, policy.NUDGE_IDS  # whose turn it is in nudges, and how many at a time
        self._failures = 0
        self._asked_at = 0.0
        self._down_since: float | None = None
        self._restarted_at = float("-inf")  # when Redis was last seen to come back, or to have been emptied
        self._closing = False
        self._closing_when_idle = False
        self._thread = OurThread(self._run, name="simpledist-listener")

    def start(self) -> None:
        """Raises RuntimeError where no thread can be started."""
        try:
            self._thread.start()
        except RuntimeError:
            del self._thread  # which holds this, and with it descriptors
            raise
        self._session.wake, self._outcomes.watch = self.wake, self.watch
        self.wake()  # something may have been left before it was there

    def watch(self, futures: Sequence[Future[Any]]) -> None:
        """Calls went out: see to it that the thread is up in time for their nudge and their deadlines."""
        due = time.monotonic() + self._timings.nudge_seconds
        for future in futures:
            if future.call.deadline is not None:
                self._deadlines.put(future)
                due = min(due, future.call.deadline)
        # While the connection is lent nobody looks whether a reply has come.
        if self._sleeps_until > due + 0.05 or self._replies.lent:
            self.wake()

    def lead(self, future: Future[Any]) -> bool:
        """In the thread of a plain call: submit it and wait a moment for its reply, and wake nobody.

        False: it is not its turn, or it did not get through; then it is to be submitted as any other.
        """
        led = self._replies.lead(future)
        if led and future.call.id in self._outcomes.in_flight:
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
                    self._send()
                    self._duties()
                except (RedisDown, RedisRefused) as error:
                    self._lost(error)
                except Exception as error:
                    # A bug of ours must not leave callers waiting: begin again on fresh connections.
                    log.exception("client %s: its listener begins again", self._session.client)
                    self._lost(RedisDown(str(error)))
            self._depart()
        finally:
            self._replies.take_back(wait=True)
            self._replies.close()
            self._broker.link.close()
            self._session.unheard()
            self._outcomes.unheard()
            if not self._closing:  # nobody else does
                self._outcomes.resolvers.close()
                self._session.close()

    def _idle(self) -> bool:
        """Whether nothing of this client is under way, here or elsewhere."""
        untold = self._session.trouble is None and self._session.leisure()
        return not (untold or self._outcomes.busy())

    def _connect(self) -> None:
        self._replies.take_back(wait=True)
        self._replies.connect(self._deadlines.bound())
        self._broker.link.bound(self._deadlines.bound())
        self._broker.link.connect()
        if self._replies.link.run_id != self._broker.link.run_id:
            raise RedisDown("Redis has moved")  # between these two lines
        session, now = self._session, time.monotonic()
        session.connection = self._replies.link.identity or "-"
        if self._down_since is not None or session.epoch:
            self._restarted_at = now
        # A Redis that lets us in and then refuses to work (a replica, one that hangs) is as good as away.
        self._ask_all()
        if self._restarted_at == now:
            self._nudge_within(SOON_SECONDS)
        self._down_since, self._failures = None, 0
        session.first_attempt.set()

    def _lost(self, error: RedisDown | RedisRefused) -> None:
        """Redis is away: calls in flight wait for `redis_grace`, then run here; new ones run here at once."""
        self._replies.take_back(wait=True)
        self._replies.close()
        self._broker.link.close()
        now = time.monotonic()
        if self._down_since is None:
            # What we noticed by silence began when we asked.
            self._down_since = max(self._asked_at, now - COMMAND_TIMEOUT_SECONDS)
            log.info("Redis at %s is away: %s", self._session.config.safe_url, error)
        trouble = self._session.note_trouble(error)
        self._session.first_attempt.set()
        for group in self._outcomes.outbox.take():
            for future in group:
                future.sent = True  # they began while Redis was there: like those in flight, they wait for its return
        over = now - self._down_since >= self._timings.redis_grace_seconds
        for future in self._outcomes.under_way():
            if over or trouble == "redis_refused":
                self._outcomes.fall_back(future, trouble)
            elif future.call.deadline is not None and now >= future.call.deadline:
                self._outcomes.fall_back(future, "timeout")
        self._failures += 1
        self._sleep(policy.backoff_seconds(self._failures, random.random()))

    def _depart(self) -> None:
        try:
            if self._broker.link.connected:
                self._session.tell_given_up(self._broker, self._outcomes.in_flight)
                self._session.tell(self._broker)
                self._broker.leave(self._session.client, final=True)
        except (RedisDown, RedisRefused):
            return  # our closed connections say the same, a second later

    def _sleep(self, seconds: float) -> None:
        self._sleeps_until = time.monotonic() + seconds
        self._wait_for([], min(seconds, self._relieve()))

    def _relieve(self) -> float:
        """Start the threads that are missing; for how long this one may sleep then."""
        return min(self._outcomes.relieve(), IDLE_LOOK_SECONDS if self._closing_when_idle else float("inf"))

    def _wait_for(self, descriptors: list[int], seconds: float) -> set[int]:
        """Those that can be read, once one can, or a wake-up came, or the time is over."""
        wakeup = self._wakeup.fileno()
        ready = readable([*descriptors, wakeup], seconds)
        if wakeup in ready:
            self._wakeup.clear()
        return ready

    # --- calls ---------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        """Submit what waits in the outbox."""
        outcomes = self._outcomes
        groups = [outcomes.big_calls.small_of(bundled(outcomes, group)) for group in outcomes.outbox.take()]
        for group in groups:
            for future in group:
                future.sent = True  # if we fail here, it may be in Redis, or not: it is asked after
            self.watch(group)
        for group in groups:
            for batch in batches(group, most_bytes=self._broker.batch_bytes):
                self._send_batch(batch)

    def _send_batch(self, batch: list[Future[Any]]) -> None:
        again = self._submit(batch)
        if again:
            self._send_batch(again)
        # Cancelled when they were not in Redis yet: now they are.
        gone = [future for future in batch if future.cancelled()]
        if gone:
            self._broker.cancel(self._session.client, [(future.call.function, future.call.id) for future in gone])

    def _submit(self, batch: list[Future[Any]], patient: Patience = impatient) -> list[Future[Any]]:
        """One `submit`; gives those to be submitted once more. A batch that Redis refuses runs here, and it alone.

        A full Redis takes no new call and still brings the results of those that it has.
        """
        session, call = self._session, batch[0].call
        try:
            point("client.submitting")
            submitted = self._broker.submit(
                session.lanes.of(call.function),
                session.client,
                session.connection,
                [(future.call.label, self._outcomes.big_calls.bytes_of(future)) for future in batch],
                wish=session.lanes.wished(future.call.python for future in batch),
                max_queue=call.max_queue,
                crashes=call.crashes,
            )
            point("client.submitted")
        except RedisRefused as error:
            why = session.note_trouble(error)
            for future in batch:
                self._outcomes.fall_back(future, why)
            return []
        return self._outcomes.entered(batch, submitted.words, patient)

    # --- replies -------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Sleep until a reply, a wake-up or the next duty, and take in every reply that is there."""
        now = time.monotonic()
        replies = self._replies
        if self._leaves_it_lent(now):
            return
        replies.pop()
        due = min(replies.popping_until or now, self._next_due(now))
        self._sleeps_until = due = min(due, now + self._relieve())
        # A call that went out before `_sleeps_until` was written did not wake us.
        if self._outcomes.in_flight:
            due = min(due, max(self._next_nudge, now))
        reply = replies.link.fileno()
        if reply in self._wait_for([reply], due - now):
            replies.take_in_all()
        elif time.monotonic() >= (replies.popping_until or 0.0):
            raise RedisDown("no answer on the reply connection")

    def _leaves_it_lent(self, now: float) -> bool:
        """Whether the reply connection stays with those who make plain calls, for another sleep."""
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
            self._outcomes.in_flight
            or self._session.leisure()
            or self._session.trouble is not None  # a call met it on its own connection: find out whether it lasts
            or self._outcomes.waiting()
        )

    def _next_due(self, now: float) -> float:
        due = float("inf")
        if self._busy():
            if self._next_nudge < now - self._timings.nudge_seconds:
                self._next_nudge = now + self._timings.nudge_seconds
            due = self._next_nudge
        return min(due, self._deadlines.next())

    # --- duties --------------------------------------------------------------------------------------------------

    def _duties(self) -> None:
        now = time.monotonic()
        self._end_budgets(now)
        self._session.tell_given_up(self._broker, self._outcomes.in_flight)
        if now >= self._next_due(now) and now >= self._next_nudge and self._busy():
            self._next_nudge = now + self._timings.nudge_seconds
            self._session.tell(self._broker)
            self._nudge(self._some_futures())

    def _end_budgets(self, now: float) -> None:
        for future in self._deadlines.over(now):
            if self._outcomes.together.shared(future.call.id):
                self._outcomes.fall_back(future, "timeout")
            elif self._outcomes.in_flight.get(future.call.id) is future:
                self._call_off([future], "timeout")

    def _some_futures(self) -> list[Future[Any]]:
        """Some of the calls in flight, in rotation."""
        sent = self._sent()
        self._turn = self._turn % max(len(sent), 1)
        some = sent[self._turn : self._turn + self._ids]
        self._turn += self._ids
        return some

    def _sent(self) -> list[Future[Any]]:
        return [future for future in list(self._outcomes.in_flight.values()) if future.sent]

    def _ask_all(self) -> None:
        futures = self._sent()
        for first in range(0, max(len(futures), 1), policy.NUDGE_IDS):
            self._nudge(futures[first : first + policy.NUDGE_IDS])

    def _nudge(self, futures: list[Future[Any]]) -> None:
        session, broker = self._session, self._broker
        point("client.nudging")
        self._asked_at = time.monotonic()
        nudged = broker.nudge(
            session.client,
            session.connection,
            [(future.call.function, future.call.id) for future in futures],
            session.lanes.asked(self._outcomes.waiting()),
            wish=session.lanes.wish,
        )
        session.works(nudged.clock)
        restarted = bool(session.epoch) and nudged.epoch != session.epoch
        session.epoch = nudged.epoch
        self._ids = policy.nudge_ids(nudged.clients)
        if restarted:
            self._restarted_at = time.monotonic()
        self._take_words(futures, nudged)
        for lane, answer in nudged.live.items():
            function = function_of(lane)
            why = session.lanes.refused(function, answer)
            self._outcomes.absence.heard(function, why)
            if why is None:
                self._send_backlog(function)
        self._look_at_connections(nudged)
        if restarted:
            self._ask_all()
            self._nudge_within(SOON_SECONDS)
        self._check_hearing(nudged)

    def _nudge_within(self, seconds: float) -> None:
        self._next_nudge = min(self._next_nudge, time.monotonic() + seconds)

    def _check_hearing(self, nudged: Nudged) -> None:
        """An outcome that a nudge brought stands on our reply list: a pop that stays silent lost its answer."""
        replies = self._replies
        brought = any(isinstance(word, Reply) and not word.lost for word in nudged.words)
        if replies.lent or replies.popping_until is None or not brought:
            return
        if not readable([replies.link.fileno()], DEAF_SECONDS):
            raise RedisDown("the reply connection is deaf")

    def _take_words(self, futures: list[Future[Any]], nudged: Nudged) -> None:
        done = sort_words(futures, nudged.words, self._session.lanes)
        for reply in done.ended:
            self._outcomes.arrived(reply)
        missing = done.missing
        now = time.monotonic()
        for future in missing:
            # One emptied Redis is asked several times, until its workers are back.
            if now - future.forgotten_at > self._timings.nudge_seconds:
                future.forgotten, future.forgotten_at = future.forgotten + 1, now
        self._submit_again([future for future in missing if future.forgotten <= policy.FORGOTTEN_CAP])
        if hopeless := [future for future in missing if future.forgotten > policy.FORGOTTEN_CAP]:
            self._call_off(hopeless, "redis_down")
        for why, some in done.home.items():
            self._call_off([one for one in some if why != "no_worker" or not self._crosses_restart(one)], why)
        seal_old_ones_again(self._broker, self._outcomes, futures)

    def _crosses_restart(self, future: Future[Any]) -> bool:
        """Whether it was in flight when Redis came back a moment ago: workers come back on connections of their own."""
        over = time.monotonic() >= self._restarted_at + self._timings.redis_grace_seconds
        return future.call.began < self._restarted_at and not over

    def _submit_again(self, futures: list[Future[Any]]) -> None:
        """What Redis forgot, it gets again, under the same ids; a second copy of a job is no harm."""
        by_function: dict[tuple[str, int], list[Future[Any]]] = defaultdict(list)
        for future in futures:
            if future.call.id not in self._outcomes.in_flight:
                continue
            if future.call.part is not None:  # of a chunk that is no more
                self._outcomes.start_alone(future)
            else:
                by_function[future.call.function, future.call.crashes].append(future)
        for group in by_function.values():
            for batch in batches(self._outcomes.big_calls.small_of(group), most_bytes=self._broker.batch_bytes):
                self._submit_again(self._submit(batch, self._crosses_restart))

    def _send_backlog(self, function: str) -> None:
        """A worker is back: what waits for a local slot goes remote after all."""
        futures = self._outcomes.local_runs.take_back(function, policy.NUDGE_IDS)
        for future in futures:  # all of them are in flight before the first submission may fail
            future.put_back(None)
            future.sent = True
            self._outcomes.together.enter(self._outcomes.in_flight, future)
        self._submit_again(futures)

    def _call_off(self, futures: list[Future[Any]], why: Why) -> None:
        """Cancel there, run here; what has ended meanwhile keeps its remote outcome."""
        if not futures:
            return
        words = self._broker.cancel(
            self._session.client, [(future.call.function, future.call.id) for future in futures]
        )
        for future, word in zip(futures, words, strict=True):
            if word != "ended":
                self._outcomes.fall_back(future, why)

    def _look_at_connections(self, nudged: Nudged) -> None:
        closing = nudged.closing
        link = self._broker.link
        dead = suspicion.closed(link, nudged.suspects)
        if dead:
            reaped = self._broker.reap(run_id=link.run_id, workers=[(one.id, one.connection) for one in dead])
            closing = closing or reaped.closing
        if closing:
            self._nudge_within(self._timings.closed_grace_seconds + 0.02)
