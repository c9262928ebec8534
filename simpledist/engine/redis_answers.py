"""Answers of Redis to a `submit` and to a nudge, as events. Pure, but for what lanes.py notes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from simpledist.broker.records import Reply
from simpledist.engine.events import Absent, Answered, Event, Home, Joined
from simpledist.engine.future import Future
from simpledist.engine.lanes import Lanes
from simpledist.reasons import Why

MOST_MOVES = 20  # lanes change now and then; a call that is moved on and on runs here


def to_submit(
    futures: Sequence[Future[Any]], words: Sequence[str | Reply], lanes: Lanes
) -> tuple[list[Event], list[Future[Any]]]:
    """Return what the words of a `submit` mean, and the calls that are to be submitted once more."""
    events: list[Event] = []
    again: list[Future[Any]] = []
    for future, word in zip(futures, words, strict=True):
        future.sent = True
        if word == "queued":
            continue
        key = future.call.spec.code.key
        if isinstance(word, Reply):
            events.append(Answered(word))
        elif word == "full":
            events.append(Home(future, "queue_full"))
        elif word == "again" or lanes.elsewhere(future.call, word):
            future.call.wanted = None
            future.call.moves += 1
            if future.call.moves <= MOST_MOVES:
                again.append(future)
            else:  # what stands in Redis is of no verb
                events.append(Home(future, "no_worker", "Redis names one lane after another for it"))
        elif word.startswith("joined "):
            events.append(Joined(future, word.partition(" ")[2]))
        elif (why := lanes.refused(key, word, future.call)) is not None:
            events += (Absent(key, why), Home(future, why))
    return events, again


@dataclass
class Nudge:
    """What a nudge said: outcomes, calls that Redis does not know, and those to be called off, by the reason."""

    ended: list[Event] = field(default_factory=list[Event])
    missing: list[Future[Any]] = field(default_factory=list[Future[Any]])
    home: defaultdict[Why, list[Future[Any]]] = field(default_factory=lambda: defaultdict(list))


def to_nudge(futures: Sequence[Future[Any]], words: Sequence[str | Reply], lanes: Lanes) -> Nudge:
    """Return what the words of a nudge mean; what is queued or running is only noted in its future.

    A job that has ended and whose result Redis has lost (a memory policy that evicts) is run at its client: nothing
    will come.
    """
    said = Nudge()
    for future, word in zip(futures, words, strict=True):
        future.on_worker = word == "running"
        if isinstance(word, Reply):
            if word.lost:
                said.home["redis_down"].append(future)
            else:
                said.ended.append(Answered(word))
        elif word == "missing":
            said.missing.append(future)
        elif word.startswith("moved "):
            said.home["no_worker"].append(future)  # workers are there, but not on its lane, which no job leaves
        elif (why := lanes.refused(future.call.spec.code.key, word)) is not None:
            said.home[why].append(future)
    return said
