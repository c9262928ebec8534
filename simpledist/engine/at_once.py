"""The outcome of a call for code that must not wait: a signal handler or finaliser that interrupts this library.

Perhaps the thread that it interrupts is the one that would bring the outcome. So the function runs here once more: its
future is left as it is, and comes to its own outcome later. Takes no lock.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from simpledist import wire
from simpledist.engine.future import Future
from simpledist.engine.ready import Read, RunHere
from simpledist.reasons import SUSPECT


def run(future: Future[Any]) -> Any:
    """Return the value of the call, or raise its exception."""
    call, ready = future.call, future.ready
    # Read before `done` is asked: a call that ends lets go of its arguments. What is suspect is not loaded here.
    hard_seconds, why = call.spec.hard_timeout, "crashed" if call.crashes else "local"
    if isinstance(ready, RunHere) and ready.why in SUSPECT:
        why = "memory" if ready.why == "memory" else "crashed"
    suspect = why != "local" or hard_seconds is not None
    sent = call.sent() if suspect else None
    args, kwargs = (call.args, call.kwargs) if suspect else call.given()
    if future.done():  # what was read of the call is nothing then
        return future.finished_result()
    if isinstance(ready, Read):
        if isinstance(ready.outcome, wire.Raised):
            raise ready.outcome.exception
        return ready.outcome.value
    if suspect:  # not in this process
        throwaway = import_module("simpledist.engine.throwaway")
        spec = call.spec
        return throwaway.run(spec.function, spec.local, args, kwargs, sent=sent, why=why, hard_seconds=hard_seconds)
    return call.spec.local(*args, **kwargs)
