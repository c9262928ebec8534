"""Calls that wait or run for half a day are sealed anew: workers refuse a call that was sealed a day ago.

What lies in Redis is replaced under the same id, so that a worker that begins it later, or again, accepts it. Called by
the listener for what a nudge found in flight.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from simpledist.broker import Broker
from simpledist.client.future import Future
from simpledist.client.outbox import batches
from simpledist.client.outcomes import Outcomes
from simpledist.errors import RedisRefused


def seal_old_ones_again(broker: Broker, outcomes: Outcomes, futures: Sequence[Future[Any]]) -> None:
    """Submit once more those of these calls in flight that were sealed long ago. Raises RedisDown."""
    old: defaultdict[str, list[Future[Any]]] = defaultdict(list)
    for future in futures:
        if outcomes.envelopes.is_old(future.call) and future.call.id in outcomes.in_flight:
            old[future.call.function].append(future)
    session = outcomes.session
    for function, group in old.items():
        for batch in batches(group):
            calls = [(future.call.label, outcomes.sealed(future)) for future in batch]
            # A full Redis takes it next time: there are hours left.
            with contextlib.suppress(RedisRefused):
                broker.submit(
                    session.lanes.of(function), session.client, session.connection, calls, wish=session.lanes.wish
                )
