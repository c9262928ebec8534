"""Jobs that wait for a child with their modules: a child that has those of another archive is replaced by a fresh one.

Owns what waits, by the number of the slot. Used by the loop's one thread: jobs.py puts jobs here, and begins those that
`step` says can begin.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from simpledist import wire
from simpledist.broker.records import Claimed, Held
from simpledist.worker.children import Children
from simpledist.worker.slot import Slot


class WaitingJob(NamedTuple):
    """A job, and its call, which is verified."""

    claimed: Claimed
    call: wire.OpenCall


class WaitingJobs:
    """The jobs that wait: `by_slot`, by the number of the slot."""

    def __init__(self, children: Children, path: Callable[[str], Path | None]) -> None:
        self._children = children
        self._path = path  # returns where an archive is
        self.by_slot: dict[int, deque[WaitingJob]] = {}

    def wait(self, number: int, job: WaitingJob) -> None:
        """Keep a job for the slot of this number, and the slot for it: from now on it is not free."""
        self.by_slot.setdefault(number, deque()).append(job)
        slot = self._children.at(number)
        if slot is not None:
            slot.kept = True

    def step(self) -> Iterator[tuple[Slot, WaitingJob]]:
        """Yield the jobs that can begin now, each with its slot; let children go that have other modules."""
        for number in list(self.by_slot):
            slot = self._children.at(number)
            if slot is None or number not in self.by_slot:  # they went with another slot's
                continue
            if slot.jobs and (other := next(iter(self._children.free()), None)) is not None:
                self.by_slot.setdefault(other.number, deque()).extend(self.by_slot.pop(number))
                slot.kept = False
                number, slot = other.number, other
            slot.kept = True
            if not slot.idle:
                continue
            waiting = self.by_slot[number]
            archive = waiting[0].call.archive
            path = self._path(archive) if archive else None
            ends = self._children.archives.refusal(archive) or (archive and path is None)  # jobs.py asks the same
            if not ends and not self._children.suits(slot, archive):
                self._children.bring(slot, archive, path, waiting[0].call.body, time.monotonic())
                continue
            while waiting and waiting[0].call.archive == archive:
                yield slot, waiting.popleft()
            if not waiting:
                del self.by_slot[number]
                slot.kept = False

    def drop(self, held: Held) -> bool:
        """Forget a job; return whether it waited."""
        for waiting in self.by_slot.values():
            for one in waiting:
                if one.claimed.held == held:
                    waiting.remove(one)
                    self._tidy()
                    return True
        return False

    def drop_of(self, number: int) -> list[Held]:
        """Forget what waits for the slot of this number; return the jobs."""
        waiting = self.by_slot.get(number, deque())
        dropped = [one.claimed.held for one in waiting]
        waiting.clear()
        self._tidy()
        return dropped

    def drop_all(self) -> list[Held]:
        """Forget all; return the jobs."""
        return [held for number in list(self.by_slot) for held in self.drop_of(number)]

    def _tidy(self) -> None:
        for number in [number for number, waiting in self.by_slot.items() if not waiting]:
            del self.by_slot[number]
            slot = self._children.at(number)
            if slot is not None:
                slot.kept = False
