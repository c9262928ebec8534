"""The bytes of an outcome become a value or an exception, or an event that says why not.

Whatever goes wrong on the way of a value ends in a local run, which gives the true value or the true exception. Knows
neither how calls are sent nor how they are run. Called by calls.py, in the thread that waits, or a resolver's.
"""

from __future__ import annotations

import time
from typing import Any

from simpledist import wire
from simpledist.broker.records import Reply
from simpledist.engine.call import Call
from simpledist.engine.envelopes import Envelopes
from simpledist.engine.events import Alone, Event, Lost, Stale, Unread
from simpledist.engine.flight import Flight
from simpledist.engine.future import Future
from simpledist.engine.known import Store
from simpledist.engine.ready import Read
from simpledist.engine.session import Session
from simpledist.errors import (
    BadEnvelope,
    BudgetSpent,
    JobTimeout,
    RedisDown,
    RedisRefused,
    StaleOutcome,
    Undecodable,
    Undeliverable,
    WrongKey,
)
from simpledist.job import remote_info, version_of
from simpledist.reasons import Why

UNREAD = (RedisDown, RedisRefused, BudgetSpent, Undeliverable, BadEnvelope, Undecodable)
_WHYS: tuple[tuple[type[Exception], Why], ...] = (
    (WrongKey, "key"),
    (RedisDown, "redis_down"),
    (RedisRefused, "redis_refused"),
    (BudgetSpent, "timeout"),
    (Undeliverable, "undeliverable"),
)


class Outcomes:
    """Reads for one client; any thread may ask."""

    def __init__(self, session: Session, *, envelopes: Envelopes, store: Store, flight: Flight) -> None:
        self._session = session
        self._envelopes = envelopes
        self._store = store
        self._flight = flight

    def read(self, future: Future[Any], reply: Reply) -> Read | Event:
        """Return the outcome that a reply brings to this future, or what is to become of its call."""
        call, cached = future.call, reply.place == "cached"
        try:
            data = self._session.result_bytes(reply, until=call.deadline)
            if data is None:
                return Lost(future)
            if reply.state != "running" and not cached and self._flight.is_read(call.id):
                self._session.has_read(call.id)
            opened = self._envelopes.open(call, data, cached=cached)
            data = None  # what is decoded lets go of it, piece by piece
            outcome = self._decoded(call, opened, reply, waited=future.caller_runs)
        except StaleOutcome:
            return Stale(future, cached)
        except UNREAD as error:
            return Unread(future, why_unread(error), str(error))
        if isinstance(outcome, str):
            return Alone(future, outcome, reply.worker)
        version, queued_seconds = version_of(call.spec.function), reply.queued_ms / 1000
        run_seconds = outcome.run_seconds if call.part is not None else reply.run_ms / 1000
        return Read(
            outcome,
            remote_info(reply.worker, version, reply.attempts, queued_seconds, run_seconds, future.joined, cached),
        )

    def _decoded(self, call: Call, opened: wire.OpenOutcome, reply: Reply, *, waited: bool) -> wire.Part:
        """Decode an outcome, and remember how long such calls take."""
        # What is not signed is hearsay: it took no longer than we have waited. Less than a millisecond is given as 0.
        run_ms = max(min(reply.run_ms, (time.monotonic() - call.began) * 1000), 0)
        seconds = (run_ms or 0.25) / 1000
        if call.calls > 1:
            parts = wire.decode_parts(opened)
            outcome, calls = wire.Value(parts), sum(not isinstance(part, str) for part in parts.values())
        elif call.part is not None:
            outcome, calls = wire.decode_parts(opened).get(call.part, ""), 1
            if isinstance(outcome, str):
                return outcome
            seconds = outcome.run_seconds
        elif opened.kind == "timed_out":
            outcome, calls = _timed_out(call.made), 1
        else:
            outcome, calls = wire.decode_outcome(opened), 1
        if reply.place != "cached":
            known = self._store.of(call.made.spec.code.key)
            known.on_workers, known.absent = known.on_workers.ran(calls, seconds), None
            if known.costs is not None:
                trip = time.monotonic() - call.began - run_ms / 1000 if waited else None
                known.costs = known.costs.ran_there(seconds / max(calls, 1), trip)
        return outcome


def _timed_out(call: Call) -> wire.Raised:
    """Return the outcome of a call that a worker has ended. Raises Undecodable where its caller asked for no end."""
    if call.spec.hard_timeout is None:
        raise Undecodable("a worker has ended the call in the middle of its run")
    return wire.Raised(JobTimeout(call.spec.function, call.spec.hard_timeout))


def why_unread(error: Exception) -> Why:
    """Return the reason that one of UNREAD means."""
    for kind, why in _WHYS:
        if isinstance(error, kind):
            return why
    return "undecodable"
