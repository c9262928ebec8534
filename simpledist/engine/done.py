"""The end of a future of the stdlib: what it holds then, and whom it wakes.

In place of the stdlib's own `set_result`, `set_exception` and `set_running_or_notify_cancel`, which take the lock in
steps that a signal handler may tear apart. Called by future.py, which holds the lock.
"""

from __future__ import annotations

from typing import Any

from simpledist import wire
from simpledist.engine.tally import MOST_ENDED


def finish(future: Any, outcome: wire.Value | wire.Raised) -> None:
    """Give it its outcome and wake all that wait."""
    raised = isinstance(outcome, wire.Raised)
    call = future.call
    if call.calls == 1:  # those of a batch of a map count themselves
        tally = (call.origin or call).spec.tally
        ended = tally.raised if raised else tally.returned
        ended.append(future.info)
        if len(ended) >= MOST_ENDED:
            tally.add_up()
    if raised:
        future._exception = outcome.exception
    else:
        future._result = outcome.value
    future._state = "FINISHED"
    for waiter in future._waiters:
        (waiter.add_exception if raised else waiter.add_result)(future)
    if future._condition._waiters:  # else `notify_all` makes three calls for nothing
        future._condition.notify_all()


def notify_cancelled(future: Any) -> None:
    """Tell those of a cancelled future that wait for several."""
    if future._state == "CANCELLED":
        future._state = "CANCELLED_AND_NOTIFIED"
        for waiter in future._waiters:
            waiter.add_cancelled(future)
