"""Jobs that a child was given and has not begun: they are taken from it, and blamed for nothing. Used by jobs.py."""

from __future__ import annotations

import logging
from collections.abc import Callable

from simpledist.broker.records import Held
from simpledist.worker.channel import RECALL, Frame
from simpledist.worker.children import Children, Slot
from simpledist.worker.paces import Paces

log = logging.getLogger("simpledist.worker")


class Recalls:
    """What waits behind others, and how it goes back; `release` gives jobs back to Redis."""

    def __init__(self, children: Children, paces: Paces, release: Callable[[list[Held]], None]) -> None:
        self._children = children
        self._paces = paces
        self._release = release

    def level(self, free: int) -> None:
        """So many slots are free and get nothing from the queue: what waits for long goes back, to be begun at once."""
        for slot in self._paces.waiting_for_long()[:free]:
            if not slot.channel.unread():  # else the child is further than we know: we were busy, not it
                self.behind(slot)

    def all(self) -> None:
        """What no child has begun goes back."""
        for slot in self._children.slots:
            if len(slot.jobs) > 1:
                self.behind(slot)

    def behind(self, slot: Slot) -> None:
        """All but the job in front go back."""
        self.since(slot, next(iter(slot.jobs)) + 1)

    def since(self, slot: Slot, first: int) -> None:
        """The jobs of a slot from this one on go back."""
        slot.channel.send([Frame(RECALL, job=first)])
        behind = slot.take_from(first)
        log.debug("slot %d: %d jobs go back, not begun", slot.number, len(behind))
        if behind:
            self._release(behind)
