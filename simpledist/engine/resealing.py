"""Calls that wait or run for half a day are sealed again: workers refuse a call that was sealed a day ago.

What is in Redis is replaced under the same id, so that a worker that begins it later, or again, accepts it. Called by
the listener for what a nudge found in flight.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from simpledist.broker import Broker
from simpledist.engine.batch import cut
from simpledist.engine.calls import Calls
from simpledist.engine.future import Future
from simpledist.engine.known import Key
from simpledist.errors import RedisRefused


def seal_old_ones_again(broker: Broker, calls: Calls, futures: Sequence[Future[Any]]) -> None:
    """Submit once more those of these calls in flight that were sealed long ago. Raises RedisDown."""
    old: defaultdict[tuple[Key, str | None, int], list[Future[Any]]] = defaultdict(list)
    for future in futures:
        if calls.envelopes.is_old(future.call) and future.call.id in calls.flight:
            old[future.call.spec.code.key, future.call.wanted, future.call.crashes].append(future)
    for group in old.values():
        for futures in cut(group):
            some = [future.call for future in futures]
            # A full Redis takes it next time: there are hours left.
            with contextlib.suppress(RedisRefused):
                calls.session.enter(broker, some, [calls.envelopes.seal(call) for call in some], limited=False)
