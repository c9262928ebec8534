"""Intake of work: what the worker's BLPOP waits for, and what is done with an element that it brings.

A pop goes over the control list, the handoff list, the roll call and, while a slot is free, the queues of the lanes.
Used by the loop's one thread (worker.py); jobs.py knows what becomes of a job, lane_turns.py which lane is next.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from simpledist import policy
from simpledist.broker.records import Take
from simpledist.errors import RedisDown
from simpledist.faultpoints import point
from simpledist.worker.children import Children
from simpledist.worker.commands import Commands
from simpledist.worker.heartbeat import Heartbeat
from simpledist.worker.jobs import Jobs
from simpledist.worker.lane_turns import Turns
from simpledist.worker.links import WAKE, Links, Pop
from simpledist.worker.other_code import OtherProtocols
from simpledist.worker.outcome_delivery import OutcomeDelivery
from simpledist.worker.refusals import Refusals
from simpledist.worker.transfers import Transfers

CONTROL_AFTER_SECONDS = 0.1  # a job must run so long before the control list is watched for it


class Intake:
    """The outstanding pop, and the orders for next jobs."""

    def __init__(
        self,
        worker: str,
        *,
        links: Links,
        turns: Turns,
        children: Children,
        commands: Commands,
        transfers: Transfers,
        refusals: Refusals,
        heartbeat: Heartbeat,
        jobs: Jobs,
        delivery: OutcomeDelivery,
        timings: policy.Timings,
    ) -> None:
        self._links = links
        self._turns = turns
        self._children = children
        self._commands = commands
        self._transfers = transfers
        self._refusals = refusals
        self._heartbeat = heartbeat
        self._jobs = jobs
        self._delivery = delivery
        self._other_protocols = OtherProtocols()
        self.asked_to_drain = False  # by an operator
        self._takes = True
        self._busy_since: float | None = None
        keys = links.keys
        self._control, self._handoff, self._roll_call = keys.control(worker), keys.given(worker), keys.rollcall
        self._control_pop = Pop.of(turns.first_keys, timings.block_seconds)

    def stop(self) -> None:
        """Take no job from now on."""
        self._takes = False

    def end_pop(self) -> None:
        """End a pop over the queues; what it had taken after all is claimed, and then given back."""
        if self._links.popping == "queues":
            self.popped(self._links.end_pop(self._control))

    def due(self) -> float:
        """Return when a pop over the control list must be sent."""
        return float("inf") if self._busy_since is None else self._busy_since + CONTROL_AFTER_SECONDS

    def pop(self) -> None:
        """Have a pop outstanding: over the queues while a slot is free, else over the control list alone."""
        links = self._links
        if not links.up or not self._heartbeat.registered:
            return
        if links.popping == "queues" and not (self._heartbeat.offering and self._children.any_free()):
            self.popped(links.end_pop(self._control))  # it would take a job that no child here can begin
        now = time.monotonic()
        if now >= links.pop_ends():
            links.pop.close()
            raise RedisDown("no answer to BLPOP")
        if links.popping == "queues":
            return
        wants_queues = self._takes and self._heartbeat.offering and self._children.any_free() and not self._is_late()
        if links.popping == "control" and wants_queues:
            self.popped(links.end_pop(self._control))
        if links.popping is not None:
            return
        if wants_queues:
            links.start_pop(self._pop_queues(), "queues")
            self._busy_since = None
        elif self._jobs.held or not self._heartbeat.offering:
            self._busy_since = self._busy_since or now
            if now >= self._busy_since + CONTROL_AFTER_SECONDS:
                links.start_pop(self._control_pop, "control")
                self._busy_since = None

    def _is_late(self) -> bool:
        """Return whether anything must still be sent to Redis, or more big values travel than there are slots."""
        return self.has_unsent or len(self._transfers) > len(self._children.slots)

    @property
    def has_unsent(self) -> bool:
        """Return whether something waits to be sent: the last slice of a big value leaves an outcome, or a command."""
        return bool(self._commands or self._delivery)

    def _pop_queues(self) -> Pop:
        """Return what is asked while a slot is free."""
        return self._turns.pop(self._lanes(), self._refusals.next_change())

    def _lanes(self) -> Sequence[str]:
        """Return the lanes from which this worker takes jobs at present."""
        return self._refusals.taken(self._heartbeat.lanes)

    # --- what a pop brings ---------------------------------------------------------------------------------------

    def popped(self, popped: tuple[str, bytes] | None) -> None:
        """Do what an element asks for; None: the pop brought none."""
        if popped is None:
            return
        key, element = popped
        if key == self._handoff:
            if not self._jobs.handed(element):
                self._links.discard(key)
            self._commands.send()
        elif key == self._control:
            if not self._controlled(element.decode("utf-8", "replace")):
                self._links.discard(key)
        elif key == self._roll_call:
            self._heartbeat.answer(element)
        elif not self._turns.asks(key):
            self._links.pop.close()
            raise RedisDown("a pop brought what it was not asked for")
        else:
            lane = self._turns.served(key)
            point("worker.popped")
            self._jobs.claim(lane, element)
            self._commands.send()

    def _controlled(self, word: str) -> bool:
        """Do what a word of the control list says; return whether it is one of ours."""
        verb, _, rest = word.partition(" ")
        if verb == "cancel":
            self._jobs.cancel(rest)
        elif word == WAKE.decode():
            pass  # the pop that it was to end had ended by itself
        elif word == "drain":
            self.asked_to_drain = True
        elif verb == "look":
            self._heartbeat.register_anew()
        elif verb == "protocol":
            self._other_protocols.seen(rest)
        elif verb == "other_code":
            self._jobs.other_code.met(rest)
        elif verb == "pass":
            self._refusals.pass_over(rest)
        elif verb == "strike":
            self._refusals.strike(rest)
        else:
            return False
        return True

    # --- next jobs -----------------------------------------------------------------------------------------------

    def bring_outcomes(self) -> None:
        """Have the outcomes of this turn brought to Redis, and order next jobs in the same step."""
        lane = self._delivery.lane()
        if lane is None:
            return
        free = self._children.free()
        if free and self._takes and self._links.popping != "control" and self._delivery.is_lone():
            pop = None if self._links.popping else self._pop_queues()
            self._busy_since = None
            self._delivery.bring_lone(free[0], pop)
        else:
            self._delivery.bring(self._next_take(lane))

    def _next_take(self, lane: str) -> Take | None:
        """Return the order for next jobs of the lane that was served; None where another one comes first."""
        if not self._takes or not self._heartbeat.offering:
            return None
        lanes = self._lanes()
        if lanes is not self._heartbeat.lanes and lane not in lanes:
            return None  # it is passed over
        if not self._turns.may_stay(lane, lanes, self._children.count, self._any_queued):
            return None
        free = self._children.free()
        # One slot is promised to the pop.
        return self._jobs.wanted(lane, free[1:] if self._links.popping == "queues" else free)

    def _any_queued(self, lanes: list[str]) -> bool:
        """Return whether jobs wait in these lanes; True where that is not known now."""
        return not self._links.up or self._links.command.any_queued(lanes)
