"""Release of jobs: attempts that end here without an outcome.

A job is released (to its queue, without blame) or fails (the cluster, not the function, ends this attempt; `fail` in
Redis decides whether another worker tries it). What a child was given and has not begun is recalled from it and then
released. Used by every room that must let go of a job, in the loop's one thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from simpledist import policy
from simpledist.broker.records import Failed, Held
from simpledist.printable import logger
from simpledist.worker.batching import Batching
from simpledist.worker.children import Children
from simpledist.worker.commands import Command, Commands, Trouble
from simpledist.worker.links import Links
from simpledist.worker.refusals import Refusals
from simpledist.worker.slot import Slot
from simpledist.worker.waiting_jobs import WaitingJobs

log = logger("simpledist.worker")


class Release:
    """Lets go of jobs. `held` is the table of all jobs of this worker: a job leaves it when Redis has answered."""

    def __init__(
        self,
        worker: str,
        links: Links,
        commands: Commands,
        held: dict[Held, Slot],
        children: Children,
        batching: Batching,
        waiting_jobs: WaitingJobs,
        refusals: Refusals,
    ) -> None:
        self._worker = worker
        self._links = links
        self._commands = commands
        self._held = held
        self._children = children
        self._batching = batching
        self._waiting_jobs = waiting_jobs
        self._refusals = refusals

    # --- the verbs -----------------------------------------------------------------------------------------------

    def release(self, helds: list[Held]) -> None:
        """Give jobs back to their queues, without blame."""
        if not helds:
            return

        def send(_: bool) -> None:
            self._links.command.release(self._worker, helds[::-1])  # each goes to the front of its queue
            self._hold_no_more(helds)

        self._commands.put(Command("release", send, lambda _: self._hold_no_more(helds)))

    def fail(self, held: Held, why: str, error: str) -> None:
        """End an attempt that the cluster, not the function, brought to an end."""
        refused = policy.is_refusal(why, error)
        if refused and why != "memory":  # a call that needs too much says nothing of this worker
            self._refusals.refused(held, why, error)
        else:
            log.warning("job %s (%s): %s: %s", held.id, held.function, why, error)

        def send(_: bool) -> None:
            words = self._links.command.fail(
                self._worker, [Failed(held, why, error[: policy.DETAIL_CHARACTERS], refused)]
            )
            self._held.pop(held, None)
            if refused and words == ["requeued"]:
                self._refusals.pass_over(held.lane)

        self._commands.put(Command("fail", send, lambda _: self._hold_no_more([held])))

    def undeliverable(self, held: Held, error: Trouble) -> None:
        """End an attempt whose call or outcome never gets through."""
        self.fail(held, "undeliverable", str(error))

    def _hold_no_more(self, helds: Iterable[Held]) -> None:
        for held in helds:
            self._held.pop(held, None)

    # --- what a child has not begun --------------------------------------------------------------------------------

    def level(self) -> None:
        """Release what has waited for long behind another job, as far as slots are free and can begin it at once."""
        waiting = self._batching.waiting_for_long()
        for slot in waiting[: len(self._children.free())] if waiting else ():
            if not slot.channel.unread():  # else the child is further than we know: we were busy, not it
                self.behind(slot)

    def not_begun(self) -> None:
        """Release all that no child has begun."""
        for slot in self._children.slots:
            if len(slot.jobs) > 1:
                self.behind(slot)

    def behind(self, slot: Slot) -> None:
        """Release all jobs of a slot but the one in front, and those that wait for a child with other modules."""
        self.since(slot, next(iter(slot.jobs)) + 1, also=self._waiting_jobs.drop_of(slot.number))

    def since(self, slot: Slot, first: int, also: Sequence[Held] = ()) -> None:
        """Release the jobs of a slot from this index on, and these."""
        slot.recall(first)
        behind = [*slot.take_from(first), *also]
        log.debug("slot %d: %d jobs go back, not begun", slot.number, len(behind))
        self.release(behind)
