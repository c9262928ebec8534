"""Sending by the listener: what waits to be sent, and once more what Redis has forgotten.

Owns no connection: it is given the listener's. Knows nothing of outcomes: what Redis answers becomes events.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from simpledist.broker import Broker
from simpledist.engine import redis_answers
from simpledist.engine.batch import alike, batched, cut
from simpledist.engine.calls import Calls
from simpledist.engine.departing import departing
from simpledist.engine.events import Alone, Home, Sent
from simpledist.engine.future import Future
from simpledist.errors import RedisRefused

Patience = Callable[[Future[Any]], bool]  # of which call "no worker" does not count yet


def impatient(_: Future[Any]) -> bool:
    """Let it count for each call."""
    return False


class Sending:
    """Sends for one client; used by the listener's thread."""

    def __init__(self, broker: Broker, calls: Calls) -> None:
        self._broker = broker
        self._calls = calls

    def send(self) -> None:
        """Submit what waits to be sent."""
        calls = self._calls
        units = [group for taken in calls.unsent.take() for group in departing(calls, self._units(taken))]
        groups = [calls.big_calls.small_of(group) for group in units]
        for group in groups:
            for future in group:
                future.sent = True  # if we fail here, it may be in Redis, or not: it is asked after
            calls.apply(Sent(group))
        for group in groups:
            for futures in cut(group, most_bytes=self._broker.batch_bytes):
                self._send(futures)

    def again(self, futures: Sequence[Future[Any]], patient: Patience) -> None:
        """Submit what Redis forgot once more, under the same ids; a second copy of a job does no harm."""
        calls = self._calls
        whole: list[Future[Any]] = []
        for future in futures:
            if future.call.id not in calls.flight:
                continue
            if future.call.part is not None:  # of a batch that is no more
                calls.apply(Alone(future))
            else:
                whole.append(future)
        for group in alike(whole):
            for some in cut(calls.big_calls.small_of(group), most_bytes=self._broker.batch_bytes):
                self.again(self._submit(some, patient), patient)

    def _units(self, group: list[Future[Any]]) -> list[Future[Any]]:
        """Return what calls of one function are sent as: many short ones in batches."""
        calls = self._calls
        units, batches = batched(
            group, calls.store.of(group[0].call.made.spec.code.key), owner=calls, new_id=calls.session.new_id
        )
        for batch in batches:
            calls.flight.enter_batch(batch)
        return units

    def _send(self, futures: list[Future[Any]]) -> None:
        again = self._submit(futures)
        if again:
            self._send(again)
        # Cancelled when they were not in Redis yet: now they are.
        gone = [future for future in futures if future.cancelled()]
        if gone:
            jobs = [(future.call.spec.function, future.call.id) for future in gone]
            self._broker.cancel(self._calls.session.client, jobs)

    def _submit(self, futures: list[Future[Any]], patient: Patience = impatient) -> list[Future[Any]]:
        """Submit calls in one script; return those to be submitted once more. Those that Redis refuses run here.

        A full Redis takes no new call and still brings the results of those that it has.
        """
        calls, session = self._calls, self._calls.session
        data = [calls.big_calls.bytes_of(future) for future in futures]
        for future in futures:
            future.kept_out = False
        try:
            words = session.enter(self._broker, [future.call for future in futures], data).words
        except RedisRefused as error:
            why = session.note_trouble(error)
            for future in futures:
                calls.apply(Home(future, why))
            return []
        events, again = redis_answers.to_submit(futures, words, session.lanes)
        for event in events:
            if isinstance(event, Home) and event.why == "no_worker" and patient(event.future):
                event.future.kept_out = True
            else:
                calls.apply(event)
        return again
