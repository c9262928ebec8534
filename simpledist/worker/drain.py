"""How a worker stops: it drains at the first signal, leaves when nothing is left or the grace is over, then ends.

A second signal means: leave now. Owns that decision and the exit code. Used by the loop's one thread (worker.py).
"""

from __future__ import annotations

import logging
import time

from simpledist.errors import RedisDown, RedisRefused
from simpledist.faultpoints import point
from simpledist.worker.commands import Commands
from simpledist.worker.completion import Completion
from simpledist.worker.heartbeat import Heartbeat
from simpledist.worker.intake import Intake
from simpledist.worker.jobs import Jobs
from simpledist.worker.links import Links
from simpledist.worker.release import Release
from simpledist.worker.signals import Signals
from simpledist.worker.transfers import Transfers

log = logging.getLogger("simpledist.worker")


class Drain:
    """Has begun once the first signal has come."""

    def __init__(
        self,
        worker: str,
        *,
        signals: Signals,
        links: Links,
        commands: Commands,
        transfers: Transfers,
        heartbeat: Heartbeat,
        intake: Intake,
        jobs: Jobs,
        completion: Completion,
        release: Release,
        grace_seconds: float,
    ) -> None:
        self.ends_at = float("inf")  # when the grace is over, time.monotonic()
        self._worker = worker
        self._signals = signals
        self._links = links
        self._commands = commands
        self._transfers = transfers
        self._heartbeat = heartbeat
        self._intake = intake
        self._jobs = jobs
        self._completion = completion
        self._release = release
        self._grace_seconds = grace_seconds

    @property
    def begun(self) -> bool:
        return self._signals.count > 0

    def begin(self) -> None:
        """Withdraw the offers first, so that callers see it at once; claim no more; finish what runs."""
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
        if not self.begun:
            return None
        over = self._signals.count > 1 or time.monotonic() >= self.ends_at
        if not over and (self._jobs.held or self._commands or self._completion or self._transfers):
            return None
        self._jobs.give_back_expected()
        running = self._jobs.running()
        if running:
            log.warning("worker %s gives %d jobs back", self._worker, len(running))
            self._release.release(running)
        self.leave()
        log.info("worker %s has left", self._worker)
        return 1 if self._signals.count > 1 else 0

    def leave(self) -> None:
        """Say to Redis that this worker goes, if it can be reached."""
        try:
            self._commands.send()
            self._heartbeat.leave(final=True)
        except (RedisDown, RedisRefused) as error:
            log.warning("worker %s could not say that it leaves: %s", self._worker, error)
