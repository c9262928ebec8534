"""Delivery of outcomes to Redis: those of one turn of the loop together, the last of them with the order of next jobs.

Owns the outcomes that `complete` has not brought yet. A big one goes to Redis before, by itself, and nothing waits for
it. Used by outcomes.py, which adds outcomes, and by the loop's one thread, which says when they go.
"""

from __future__ import annotations

from simpledist import policy
from simpledist.broker.records import Claimed, Ended, Held, Take
from simpledist.buffers import Data
from simpledist.errors import RedisRefused
from simpledist.faultpoints import point
from simpledist.worker.children import Children
from simpledist.worker.commands import Command, Commands, Trouble, batches, nothing
from simpledist.worker.handoff import Handoff
from simpledist.worker.jobs import Jobs
from simpledist.worker.links import Links, Pop
from simpledist.worker.refusals import Refusals
from simpledist.worker.release import Release
from simpledist.worker.slot import Slot
from simpledist.worker.transfers import Transfers


class OutcomeDelivery:
    """The outcomes that wait, and the commands that bring them."""

    def __init__(
        self,
        worker: str,
        *,
        links: Links,
        children: Children,
        commands: Commands,
        transfers: Transfers,
        handoff: Handoff,
        refusals: Refusals,
        release: Release,
        jobs: Jobs,
    ) -> None:
        self._ended: list[Ended] = []
        self._worker = worker
        self._links = links
        self._children = children
        self._commands = commands
        self._transfers = transfers
        self._handoff = handoff
        self._refusals = refusals
        self._release = release
        self._jobs = jobs

    def __bool__(self) -> bool:
        return bool(self._ended)

    def add(self, ended: Ended, outcome: Data) -> None:
        """Have this outcome brought to Redis with the others of this turn; a big one goes there before."""
        if len(outcome) <= policy.BESIDE_BYTES:
            self._ended.append(ended)
            return
        lies_beside = ended._replace(outcome=None)
        self._transfers.bring(
            ended.held,
            outcome,
            lambda: self._ended.append(lies_beside),
            lambda error: self._release.undeliverable(ended.held, error),
        )

    def lane(self) -> str | None:
        """Return the lane of the last outcome that waits."""
        return self._ended[-1].held.lane if self._ended else None

    def is_lone(self) -> bool:
        """Return whether all that waits is the one job that was handed to us while we were idle."""
        return len(self._ended) == 1 and self._handoff.was(self._ended[0].held) and not self._commands

    def bring(self, take: Take | None) -> None:
        """Bring every outcome that waits, and take next jobs in the same step as the last of them."""
        ended, self._ended = self._ended, []
        cut = batches(ended, self._links.command.batch_bytes)
        for batch in cut[:-1]:
            self._complete(batch, None)
        self._complete(cut[-1], take)

    def bring_lone(self, slot: Slot, pop: Pop | None) -> None:
        """Bring the outcome of a lone job, and be idle again; `pop`: what is sent behind it, if none is outstanding."""
        ended, self._ended = self._ended, []
        take = Take(ended[0].held.lane, (slot.number,), deep=0, idle_for=self._handoff.lane)
        self._complete(ended, take, pop)

    def bring_partial(self, held: Held, outcome: Data, run_ms: int) -> None:
        """Bring what is finished of a batch that goes on."""
        ended = Ended(held, "partial", outcome, run_ms)
        nonce = self._commands.nonce()

        def send(again: bool) -> None:
            self._links.command.complete(self._worker, nonce, [ended], again=again)

        self._commands.put(Command("complete", send, nothing))

    def _complete(self, ended: list[Ended], take: Take | None, pop: Pop | None = None) -> None:
        nonce = self._commands.nonce()

        def send(again: bool) -> None:
            point("worker.ended")
            claimed: list[Claimed] = []
            if pop is None or again or take is None or not self._pop_behind(nonce, ended, take, pop):
                _, claimed = self._links.command.complete(self._worker, nonce, ended, take, again=again)
            point("worker.completed")
            for one in ended:
                self._jobs.held.pop(one.held, None)
                self._refusals.served(one.held)
            if take is not None:
                self._handoff.completed(take, len(claimed))
            self._jobs.begin(claimed, take)
            self._release.level()

        def give_up(error: Trouble) -> None:
            if len(ended) > 1:  # one of them may be to blame
                for one in ended:
                    self._complete([one], None)
                return
            for one in ended:
                self._release.undeliverable(one.held, error)

        self._commands.put(Command("complete", send, give_up))

    def _pop_behind(self, nonce: str, ended: list[Ended], take: Take, pop: Pop) -> bool:
        """Complete and pop in one write; return False where Redis may not have had the script: it is said again."""
        if self._links.popping is not None or not self._links.pop.connected:
            return False
        try:
            self._links.complete_and_pop(self._worker, nonce, ended, take, pop)
        except RedisRefused:
            return False
        return True
