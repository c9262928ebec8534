"""What a nudge said of calls in flight, sorted by what is to be done about each. Pure, but for lines in the log.

Called by the listener, which acts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from simpledist.broker.records import Reply
from simpledist.client.future import Future
from simpledist.client.lanes import Lanes
from simpledist.job import Why


@dataclass
class Sorted:
    """Outcomes to be taken in, calls that Redis does not know, and those to be called off, by the reason."""

    ended: list[Reply] = field(default_factory=list[Reply])
    missing: list[Future[Any]] = field(default_factory=list[Future[Any]])
    home: defaultdict[Why, list[Future[Any]]] = field(default_factory=lambda: defaultdict(list))


def sort_words(futures: Sequence[Future[Any]], words: Sequence[str | Reply], lanes: Lanes) -> Sorted:
    """Sort the words of a nudge; what is queued or running is only noted in its future.

    A job that has ended and whose result Redis has lost (a memory policy that evicts) is run here: nothing will come.
    """
    done = Sorted()
    for future, word in zip(futures, words, strict=True):
        future.on_worker = word == "running"
        if isinstance(word, Reply):
            if word.lost:
                done.home["redis_down"].append(future)
            else:
                done.ended.append(word)
        elif word == "missing":
            done.missing.append(future)
        elif word.startswith("moved "):
            done.home["no_worker"].append(future)  # workers are there, but not on its lane, which no job leaves
        elif (why := lanes.refused(future.call.function, word)) is not None:
            done.home[why].append(future)
    return done
