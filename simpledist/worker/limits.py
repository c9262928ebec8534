"""Limits of one job: the time that its caller allows (a hard timeout), and the memory that the operator allows a slot.

Looks at the children, and says which job is over a limit; outcomes.py ends it. Owns when memory is looked at. Used by
the loop's one thread.
"""

from __future__ import annotations

import time

from simpledist.worker.children import Children
from simpledist.worker.memory import children_of, group_of, proportional_bytes, resident_bytes
from simpledist.worker.outcomes import Outcomes
from simpledist.worker.slot import NEVER, Slot

LOOK_SECONDS = 0.25  # between two looks at the memory of children that have jobs
SHARE = 20  # one look in detail is followed by none for so many times as long as it took


class Limits:
    """Of one worker; `memory_bytes` None: memory is not limited, and not looked at."""

    def __init__(self, memory_bytes: int | None, children: Children, outcomes: Outcomes) -> None:
        self._memory_bytes = memory_bytes
        self._children = children
        self._outcomes = outcomes
        self._look_at = NEVER if memory_bytes is None else 0.0
        children.limited = children.limited or memory_bytes is not None
        self._in_detail_at: dict[int, float] = {}  # by the serial of a child: not before this

    def due(self) -> float:
        """Return when a limit is to be looked at although nothing happens."""
        slots = [slot for slot in self._children.slots if slot.jobs]
        return min(self._look_at, *(slot.overdue_at() for slot in slots)) if slots else NEVER

    def look(self, now: float) -> None:
        """End the jobs that are over a limit."""
        for slot in self._children.slots[:]:
            # What it has answered is read first.
            if now >= slot.overdue_at() and not slot.channel.unread():
                self._outcomes.timed_out(slot, now)
        if now >= self._look_at and self._memory_bytes is not None:
            self._look_at_memory(now, self._memory_bytes)

    def _look_at_memory(self, now: float, limit_bytes: int) -> None:
        self._look_at = now + LOOK_SECONDS
        slots = [slot for slot in self._children.slots if slot.pid is not None and (slot.jobs or slot.jobs_done)]
        if not slots:
            return
        own = {slot.pid for slot in self._children.slots}
        templates = [self._children.template.pid, *(one.pid for one in self._children.archives)]
        adopted = [pid for template in templates for pid in children_of(template) if pid not in own]
        self._in_detail_at = {slot.serial: self._in_detail_at.get(slot.serial, 0.0) for slot in slots}
        for slot in slots:
            used = self._used_bytes(slot, adopted, limit_bytes)
            self._children.peak_bytes = max(self._children.peak_bytes, used)
            if used > limit_bytes and not slot.channel.unread():
                self._outcomes.over_memory(slot, used, limit_bytes)

    def _used_bytes(self, slot: Slot, adopted: list[int], limit_bytes: int) -> int:
        """Return what the processes of a slot hold; what they share with others counts in part, if it matters."""
        assert slot.pid is not None
        pids = group_of(slot.pid, adopted)
        resident = resident_bytes(pids) or 0
        if resident <= limit_bytes:
            return resident
        began = time.monotonic()
        if began < self._in_detail_at[slot.serial]:
            return 0
        found = proportional_bytes(pids)
        now = time.monotonic()
        self._in_detail_at[slot.serial] = now + SHARE * (now - began)
        return resident if found is None else found
