"""The three ways out of this process: a plain call, calls that are sent together, and calls left to the listener.

All of them end in `Session.enter`. Knows nothing of outcomes: what Redis answers becomes events. Called by the engine,
in the thread that makes the calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simpledist.engine import redis_answers
from simpledist.engine.batch import cut
from simpledist.engine.big_calls import fits_beside
from simpledist.engine.calls import Calls
from simpledist.engine.departing import departing
from simpledist.engine.events import Home, Sent
from simpledist.engine.future import Future
from simpledist.engine.inside import thread
from simpledist.engine.outcomes import why_unread
from simpledist.engine.protocols import Listener
from simpledist.errors import BudgetSpent, RedisDown, RedisRefused, Undeliverable


def send(calls: Calls, listener: Listener | None, futures: Sequence[Future[Any]]) -> None:
    """Send calls of one function; those that Redis refuses run at their client."""
    first = futures[0]
    for future in futures:
        calls.flight.enter(future)
    alone = thread.interrupting or (not first.caller_runs and (len(futures) == 1 or first.call.pending is not None))
    # No thread waits for it yet: it goes with whatever else is submitted in this moment. The outcome of a job that a
    # call joins may be there before we know that it has joined: the thread that reads replies has to submit it.
    if listener is not None and (alone or first.call.sharing is not None):
        for future in futures:
            calls.unsent.put(future, listener.wake)
        return
    for group in departing(calls, futures):
        for some in [group] if len(group) == 1 else cut(group):
            _send_together(calls, listener, some)


def _send_together(calls: Calls, listener: Listener | None, futures: list[Future[Any]]) -> None:
    session, first = calls.session, futures[0]
    try:
        if first.caller_runs and listener is not None and _is_small(calls, first) and listener.lead(first):
            return  # a plain call went out, and has perhaps its reply, without the listener
        some = [future.call for future in futures]
        data = [session.parcel(call, calls.envelopes.seal) for call in some]
        words = session.submit(some, data, until=first.call.deadline)
    except (BudgetSpent, Undeliverable) as error:  # of the remote budget; of this value alone
        for future in futures:
            calls.apply(Home(future, why_unread(error), str(error)))
        return
    except (RedisDown, RedisRefused) as error:
        why = session.note_trouble(error)
        for future in futures:
            future.sent = True  # its reply may be all that was lost
            calls.apply(Home(future, why))
        if listener is not None:
            listener.wake()
        return
    except BaseException:
        # Ctrl-C: no caller will have these futures.
        calls.flight.leave_all(futures)
        session.has_given_up([(future.call.spec.function, future.call.id) for future in futures])
        raise
    events, again = redis_answers.to_submit(futures, words, session.lanes)
    for event in events:
        calls.apply(event)
    calls.apply(Sent(futures))
    if again:
        send(calls, listener, again)


def _is_small(calls: Calls, future: Future[Any]) -> bool:
    return fits_beside(future.call) and calls.session.uploads.has(future.call)
