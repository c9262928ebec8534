"""Commands that wait to be sent to Redis: each is kept, in order, until it is answered, or until it never gets through.

Owns that judgement. A command is tried again for as long as Redis is away; but one that fails again and again while
Redis takes the heartbeats of this very worker will always fail: the server's limits, our rights or the wire forbid it.
Then the jobs behind it end in another way, and the rest goes on. The rooms of jobs make the commands and say what else
becomes of each.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from simpledist import policy
from simpledist.broker.records import Ended
from simpledist.errors import RedisDown, RedisRefused
from simpledist.printable import logger
from simpledist.worker.beat_schedule import BeatSchedule
from simpledist.worker.links import Links

log = logger("simpledist.worker")

STUCK_FIRST_SECONDS, STUCK_MOST_SECONDS = 2.0, 60.0
Trouble = RedisDown | RedisRefused


@dataclass
class Tries:
    """How often a command has failed while Redis took our heartbeats."""

    failed: int = 0
    beats: int = -1  # that had been taken when it last failed

    def hopeless(self, beats: int) -> bool:
        """Note one more failure; return whether the command will never get through."""
        if beats != self.beats:
            self.failed, self.beats = self.failed + 1, beats
        return self.failed >= policy.UNDELIVERED_TRIES


@dataclass
class Command:
    """A verb on its way to Redis: sent again, and said to be so, until it is answered.

    `give_up` says what becomes of its jobs if it never gets through.
    """

    verb: str
    send: Callable[[bool], None]
    give_up: Callable[[Trouble], None]
    again: bool = False
    tries: Tries = field(default_factory=Tries)


class Commands:
    """The commands that wait, in order."""

    def __init__(self, links: Links, schedule: BeatSchedule) -> None:
        self._links = links
        self._schedule = schedule
        self._waiting: deque[Command] = deque()
        self._numbers = itertools.count(1)
        self._stuck = ""  # which command never got through, and why
        self._stuck_seconds = 0.0
        self._free_at = float("inf")

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, command: Command) -> None:
        """Put a command behind the others."""
        self._waiting.append(command)

    def nonce(self) -> str:
        """Return a name by which a verb of this worker is known when it is said again."""
        return f"n{next(self._numbers)}"

    def send(self) -> None:
        """Send what waits, in order. Raises RedisDown or RedisRefused: the rest must be sent later."""
        while self._waiting and self._links.command.link.connected:
            command = self._waiting[0]
            again, command.again = command.again, True
            try:
                command.send(again)
            except (RedisDown, RedisRefused) as error:
                if command.tries.hopeless(self._schedule.taken):
                    self._waiting.popleft()
                    self._never_gets_through(command, error)
                self._schedule.at_once()  # whether Redis takes that, says whether this will ever get through
                raise
            self._waiting.popleft()
            if command.verb in ("complete", "fail"):
                self._stuck_seconds = 0.0

    def _never_gets_through(self, command: Command, error: Trouble) -> None:
        log.error("`%s` never gets through to Redis, and its jobs end here: %s", command.verb, error)
        command.give_up(error)
        self._stuck_seconds = min(max(2 * self._stuck_seconds, STUCK_FIRST_SECONDS), STUCK_MOST_SECONDS)
        self._free_at = time.monotonic() + self._stuck_seconds
        self._stuck = f"`{command.verb}` never gets through to Redis: {error}"

    @property
    def calm(self) -> bool:
        """Say whether no command has been given up lately."""
        return not self._stuck

    def stuck(self, now: float) -> str:
        """Return which command never got through, and why, while this worker must be given no jobs; else ""."""
        if self._stuck and now >= self._free_at:
            self._stuck = ""
        return self._stuck

    def free_at(self) -> float:
        """Return when the worker may be given jobs again, infinity while it may."""
        return self._free_at if self._stuck else float("inf")


def nothing(_: Trouble) -> None:
    """Do nothing: what Redis did of the command all the same, our next heartbeat shows, and Redis takes it back."""


def batches(ended: list[Ended], most_bytes: int) -> list[list[Ended]]:
    """Return the outcomes cut to what one script may carry."""
    return policy.batches(
        ended,
        lambda one: len(one.outcome or b""),
        items=policy.BATCH_ITEMS,
        most_bytes=most_bytes,
    )
