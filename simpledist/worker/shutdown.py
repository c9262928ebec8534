"""Stopping a worker: it drains when a signal, an operator or its own life's end asks for it, and ends when all is done.

When the grace is over, or a second signal comes (signals.py), it gives back what still runs. Owns that decision and the
exit code. Used by the loop's one thread (worker.py).
"""

from __future__ import annotations

import time

from simpledist.errors import RedisDown, RedisRefused
from simpledist.faultpoints import point
from simpledist.printable import logger
from simpledist.worker.children import Children
from simpledist.worker.commands import Commands
from simpledist.worker.heartbeat import Heartbeat
from simpledist.worker.intake import Intake
from simpledist.worker.jobs import Jobs
from simpledist.worker.life import Life
from simpledist.worker.links import Links
from simpledist.worker.outcome_delivery import OutcomeDelivery
from simpledist.worker.outcomes import Outcomes
from simpledist.worker.release import Release
from simpledist.worker.signals import Signals
from simpledist.worker.transfers import Transfers

log = logger("simpledist.worker")


class Shutdown:
    """Has begun once the first signal, or an operator's word, has come."""

    def __init__(
        self,
        worker: str,
        *,
        signals: Signals,
        children: Children,
        links: Links,
        commands: Commands,
        transfers: Transfers,
        heartbeat: Heartbeat,
        intake: Intake,
        jobs: Jobs,
        delivery: OutcomeDelivery,
        release: Release,
        outcomes: Outcomes,
        life: Life,
        grace_seconds: float,
    ) -> None:
        self.begun = False
        self.ends_at = float("inf")  # when the grace is over, time.monotonic()
        self._why = ""  # that it ends by itself, as its last line says it
        self._worker = worker
        self._signals = signals
        self._children = children
        self._links = links
        self._commands = commands
        self._transfers = transfers
        self._heartbeat = heartbeat
        self._intake = intake
        self._jobs = jobs
        self._delivery = delivery
        self._release = release
        self._outcomes = outcomes
        self._life = life
        self._grace_seconds = grace_seconds

    def begin_if_asked(self) -> None:
        """Begin if a signal or an operator asks for it, or the worker's life is over, and it has not begun."""
        if self.begun:
            return
        if self._signals.ask_to_drain or self._intake.asked_to_drain:
            self._begin()
        elif self._life.is_bounded and (why := self._over()):
            self._why = f": {why}"
            log.info("worker %s ends%s", self._worker, self._why)
            self._begin()

    def _over(self) -> str:
        """Return why this worker's life is over, "": it is not."""
        heartbeat = self._heartbeat
        idle = not self._jobs.held and self._links.up and heartbeat.registered and heartbeat.offering
        at_work = sum(bool(slot.jobs) for slot in self._children.slots)
        away, done = self._links.away, self._outcomes.done
        return self._life.over(time.monotonic(), idle=idle, away=away, at_work=at_work, done=done)

    def _begin(self) -> None:
        """Withdraw the offers first, so that callers see it at once; claim no more; finish what runs."""
        self.begun = True
        self._intake.stop()
        self._jobs.stop_beginning()
        self.ends_at = time.monotonic() + self._grace_seconds
        try:
            self._heartbeat.leave(final=False)
            point("worker.draining")
            self._intake.end_pop()
        except (RedisDown, RedisRefused) as error:
            self._links.failed(error)
        running = len(self._jobs.running())
        log.info("worker %s drains: %d jobs have %g s to finish", self._worker, running, self._grace_seconds)

    def exit_code(self) -> int | None:
        """Leave if nothing is left to do, or the time is over; return 0 when drained, 1 when stopped before that.

        None: the worker goes on.
        """
        self.begin_if_asked()
        if not self.begun:
            return None
        over = self._signals.ask_to_leave_now or time.monotonic() >= self.ends_at
        if not over and (self._jobs.held or self._commands or self._delivery or self._transfers):
            return None
        self._jobs.give_back_expected()
        running = self._jobs.running()
        if running:
            log.warning("worker %s gives %d jobs back", self._worker, len(running))
            self._release.release(running)
        self.leave()
        log.info("worker %s has left%s", self._worker, self._why)
        return 1 if self._signals.ask_to_leave_now else 0

    def leave(self) -> None:
        """Say to Redis that this worker goes, if it can be reached."""
        try:
            self._commands.send()
            self._heartbeat.leave(final=True)
        except (RedisDown, RedisRefused) as error:
            log.warning("worker %s could not say that it leaves: %s", self._worker, error)
