"""Jobs that wait for a child with their modules: one that has those of another archive ends, and a fresh one comes.

Owns what waits, by the number of the slot. Used by the loop's one thread: jobs.py puts jobs here, and begins those that
`step` says can begin.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from simpledist import wire
from simpledist.broker.records import Claimed, Held
from simpledist.worker.children import Children
from simpledist.worker.slot import Slot


class Waiting(NamedTuple):
    """A job, and its call, which is verified."""

    claimed: Claimed
    call: wire.OpenCall


class Moving:
    """Those that wait: `waiting`, by the number of the slot."""

    def __init__(self, children: Children) -> None:
        self._children = children
        self.waiting: dict[int, deque[Waiting]] = {}

    def wait(self, number: int, job: Waiting) -> None:
        """Keep a job for the slot of this number, and the slot for it: from now on it is not free."""
        self.waiting.setdefault(number, deque()).append(job)
        slot = self._children.at(number)
        if slot is not None:
            slot.kept = True

    def step(self) -> Iterator[tuple[Slot, Waiting]]:
        """Yield the jobs that can begin now, each with its slot; let children go that have other modules."""
        for number in list(self.waiting):
            slot = self._children.at(number)
            if slot is None or number not in self.waiting:  # they went with another slot's
                continue
            if slot.jobs and (other := next(iter(self._children.free()), None)) is not None:
                self.waiting.setdefault(other.number, deque()).extend(self.waiting.pop(number))
                slot.kept = False
                number, slot = other.number, other
            slot.kept = True
            if not slot.idle:
                continue
            waiting = self.waiting[number]
            archive = waiting[0].call.archive
            if not slot.suits(archive):
                self._children.replace(slot, kill=False)
                continue
            while waiting and waiting[0].call.archive == archive:
                yield slot, waiting.popleft()
            if not waiting:
                del self.waiting[number]
                slot.kept = False

    def drop(self, held: Held) -> bool:
        """Forget a job; return whether it waited."""
        for waiting in self.waiting.values():
            for one in waiting:
                if one.claimed.held == held:
                    waiting.remove(one)
                    self._tidy()
                    return True
        return False

    def drop_of(self, number: int) -> list[Held]:
        """Forget what waits for the slot of this number; return the jobs."""
        waiting = self.waiting.get(number, deque())
        dropped = [one.claimed.held for one in waiting]
        waiting.clear()
        self._tidy()
        return dropped

    def drop_all(self) -> list[Held]:
        """Forget all; return the jobs."""
        return [held for number in list(self.waiting) for held in self.drop_of(number)]

    def _tidy(self) -> None:
        for number in [number for number, waiting in self.waiting.items() if not waiting]:
            del self.waiting[number]
            slot = self._children.at(number)
            if slot is not None:
                slot.kept = False
