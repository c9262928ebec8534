"""Cancelling calls: for good (`forget`), or only where they have not begun (`cancel_waiting`).

Returns what is left to do as events; knows neither how calls are sent nor how they are run. Called by calls.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from simpledist import policy
from simpledist.engine.events import Event
from simpledist.engine.flight import Flight
from simpledist.engine.future import Future
from simpledist.engine.local import LocalRuns
from simpledist.engine.session import Session
from simpledist.errors import RedisDown, RedisRefused


class Cancelling:
    """Cancels calls of one client; any thread may ask."""

    def __init__(self, session: Session, flight: Flight, local_runs: LocalRuns) -> None:
        self._session = session
        self._flight = flight
        self._local_runs = local_runs

    def forget(self, futures: Iterable[Future[Any]]) -> None:
        """Cancel these for good, and return at once: an event loop may ask."""
        jobs: list[tuple[str, str]] = []
        for future in futures:
            if self._local_runs.remove(future):
                future.put_back(None)
                future.give_up()
                continue
            batch = None
            if (carrier := future.batch) is not None:
                batch = self._flight.batch_of(carrier.whole)
                if not future.give_up() or batch is None or not batch.gave_up():
                    continue
                future = batch.whole  # the last of them
            others = self._flight.withdraw(future)
            if (others is not None or future.unnotified) and future.give_up() and others is False:
                jobs.append((future.call.spec.function, future.call.id))
                batch = batch or self._flight.batch_of(future)
                if batch is not None:
                    self._flight.end_batch(batch)
                    batch.give_up()
        if jobs:
            self._session.has_given_up(jobs)

    def cancel_waiting(self, futures: Iterable[Future[Any]]) -> list[Event]:
        """Cancel those that have not begun anywhere; what runs goes on, and is known to run."""
        events: list[Event] = []
        queued: list[Future[Any]] = []
        in_batches: defaultdict[Future[Any], set[Future[Any]]] = defaultdict(set)  # under the whole of each batch
        for future in futures:
            if self._local_runs.remove(future):
                future.put_back(None)
                future.give_up()
            elif self._flight.shared(future.call.id):
                # Others here wait for it as well: this one alone gives it up.
                if not future.on_worker and self._flight.withdraw(future) is not None:
                    future.give_up()
            elif (carrier := future.batch) is not None:
                in_batches[carrier.whole].add(future)
            elif future.call.id in self._flight:
                queued.append(future)
        queued += in_batches
        for first in range(0, len(queued), policy.BATCH_ITEMS):
            some = queued[first : first + policy.BATCH_ITEMS]
            for future, word in zip(some, self._words(some), strict=True):
                if word == "running":
                    future.on_worker = True
                elif word != "ended" and self._flight.leave(future):
                    batch = self._flight.batch_of(future)
                    future.give_up()
                    if batch is not None:
                        self._flight.end_batch(batch)
                        events += batch.withdraw(in_batches[future])
                elif word == "gone" and future.batch is not None:  # it joined a batch in this moment
                    events += self.cancel_waiting([future])
        return events

    def _words(self, futures: list[Future[Any]]) -> list[str]:
        if self._session.trouble is None:
            try:
                return self._session.cancel_waiting([(one.call.spec.function, one.call.id) for one in futures])
            except (RedisDown, RedisRefused) as error:
                self._session.note_trouble(error)
        return ["gone"] * len(futures)  # Redis cannot tell; a result that still comes is only acknowledged
