"""Calls of one function that go out now: with their function, where calls like them went so a moment ago.

Asked by what sends them: the thread that makes the calls, or the listener.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simpledist.engine.batch import alike
from simpledist.engine.calls import Calls
from simpledist.engine.events import Cancelled
from simpledist.engine.future import Future


def departing(calls: Calls, futures: Sequence[Future[Any]]) -> list[list[Future[Any]]]:
    """Return the calls in groups that one `submit` may carry but for their size: the moment may end between two."""
    if not futures:
        return []
    if futures[0].call.spec.code.ships_until:
        for future in futures:
            _ship(calls, future)
    spec = futures[0].call.spec
    if len(futures) == 1 or all(future.call.spec is spec for future in futures):
        return [list(futures)]
    return alike(futures)


def _ship(calls: Calls, future: Future[Any]) -> None:
    made = calls.shipping.at_once(future.call)
    if made is None or not calls.flight.change(future, made):
        return
    calls.flight.enter(future)
    if future.cancelled():  # meanwhile, under its other id
        calls.apply(Cancelled(future))
