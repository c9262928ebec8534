"""What is on its way to Redis: a verb that is kept until it is answered, and outcomes cut to what one verb may carry.

Used by jobs.py, which makes errands, keeps their order and sends them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simpledist import policy
from simpledist.broker.records import Ended


@dataclass
class Errand:
    """A verb on its way to Redis: sent again, and said to be so, until it is answered."""

    send: Callable[[bool], None]
    again: bool = False


def batches(ended: list[Ended]) -> list[list[Ended]]:
    """Outcomes cut to what one script may carry."""
    return policy.batches(ended, lambda one: len(one.outcome), items=policy.BATCH_ITEMS, most_bytes=policy.BATCH_BYTES)
