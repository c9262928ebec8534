"""Big values on their way between this worker and Redis: a slice of one of them at a time, in turns.

Owns what is half there. The loop goes on between two slices, so heartbeats, small outcomes and other jobs wait for none
of them. A value that Redis will not take, or that never gets through, ends its job. jobs.py fetches calls and
outcome_delivery.py brings outcomes; the loop moves the slices.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from simpledist.broker.records import Held
from simpledist.buffers import Data
from simpledist.errors import RedisDown, RedisRefused
from simpledist.worker.beat_schedule import BeatSchedule
from simpledist.worker.commands import Tries, Trouble
from simpledist.worker.links import Links
from simpledist.worker.slot import Slot


class Steps(Protocol):
    """An Upload or a Download."""

    def step(self) -> bool: ...


class Brings(Steps, Protocol):
    """A Download."""

    value: Data | None


@dataclass(eq=False)
class Transfer:
    """One value on its way; `done` is called when it is there, `never` when it never will be.

    A call comes to the slot that is kept for it; an outcome has none.
    """

    held: Held
    steps: Steps
    done: Callable[[], None]
    never: Callable[[Trouble], None]
    slot: Slot | None = None
    tries: Tries = field(default_factory=Tries)


class Transfers:
    """Those under way."""

    def __init__(self, links: Links, schedule: BeatSchedule) -> None:
        self._links = links
        self._schedule = schedule
        self._waiting: deque[Transfer] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def fetch(
        self,
        held: Held,
        slot: Slot,
        download: Brings,
        arrived: Callable[[Data | None], None],
        never: Callable[[Trouble], None],
    ) -> None:
        """Fetch what this job needs; `arrived` gets it, or None if it is gone."""

        def done() -> None:
            call, download.value = download.value, None
            arrived(call)

        slot.expect()
        self._waiting.append(Transfer(held, download, done, never, slot))

    def bring(self, held: Held, outcome: Data, done: Callable[[], None], never: Callable[[Trouble], None]) -> None:
        """Bring this outcome to Redis by itself, before `complete` names it."""
        upload = self._links.command.upload_outcome(held, outcome)
        self._waiting.append(Transfer(held, upload, done, never))

    def drop(self, held: Held) -> bool:
        """Forget what is on its way of this job; return whether anything was."""
        found = next((one for one in self._waiting if one.held == held), None)
        if found is not None:
            self._take(found)
        return found is not None

    def drop_coming(self) -> list[Held]:
        """Forget the calls that are not here yet; return their jobs."""
        coming = [one for one in self._waiting if one.slot is not None]
        for one in coming:
            self._take(one)
        return [one.held for one in coming]

    def _take(self, one: Transfer) -> None:
        self._waiting.remove(one)
        if one.slot is not None:
            one.slot.expect_no_more()

    def step(self) -> None:
        """Move one slice. Raises RedisDown: the same must be done again later."""
        if not self._waiting or not self._links.command.link.connected:
            return
        one = self._waiting[0]
        try:
            done = one.steps.step()
        except RedisRefused as error:  # it says no, and will say so again
            self._take(one)
            one.never(error)
        except RedisDown as error:
            if one.tries.hopeless(self._schedule.taken):
                self._take(one)
                one.never(error)
            self._schedule.at_once()
            raise
        else:
            one.tries = Tries()
            if done:
                self._take(one)
                one.done()
            else:
                self._waiting.rotate(-1)
