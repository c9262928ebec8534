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
    cut: list[list[Ended]] = [[]]
    size = 0
    for one in ended:
        if cut[-1] and (size + len(one.outcome) > policy.BATCH_BYTES or len(cut[-1]) >= policy.BATCH_ITEMS):
            cut.append([])
            size = 0
        cut[-1].append(one)
        size += len(one.outcome)
    return cut
