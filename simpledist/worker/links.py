"""A worker's three connections: pop (BLPOP), command (the verbs), beat (by which Redis knows that it lives).

Each one is made again when it breaks, with a backoff that they share. Used by the loop's one thread.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simpledist import policy
from simpledist.broker import Broker, Keys, Link, denials, evicts
from simpledist.broker.link import IDLE_SECONDS, packed
from simpledist.broker.records import Ended, Take
from simpledist.clock import ServerClock
from simpledist.config import Config
from simpledist.errors import RedisDown, RedisRefused
from simpledist.worker.beat_schedule import BeatSchedule

log = logging.getLogger("simpledist.worker")

# Refused again within so many seconds counts as so many failures: tries are rare enough to do no harm, and often enough
# for a worker that holds jobs.
REFUSED_AGAIN_SECONDS, REFUSED_AGAIN_FAILURES = 5.0, 3


@dataclass(frozen=True, slots=True)
class Pop:
    """A BLPOP, ready to be sent."""

    command: bytes
    seconds: float

    @classmethod
    def of(cls, keys: Sequence[str], seconds: float) -> Pop:
        return cls(packed("BLPOP", *keys, seconds), seconds)


class Links:
    """The connections and what is outstanding on the pop one."""

    def __init__(self, config: Config, schedule: BeatSchedule) -> None:
        self.keys = Keys(config.namespace)
        self.clock = ServerClock()  # read with each beat
        self._schedule = schedule
        self._where = config.safe_url
        self.pop, command, beat = (
            Link(
                config.url,
                name=f"simpledist-worker-{purpose}",
                stays_here=config.stays_here,
                renews=purpose == "command",  # Redis knows us by the others: a new one means something
            )
            for purpose in ("pop", "command", "beat")
        )
        self.command, self.beat = Broker(command, self.keys), Broker(beat, self.keys)
        self._popper = Broker(self.pop, self.keys)
        self.popping: str | None = None  # "queues", "control" or nothing outstanding
        self._pop_ends = 0.0
        self._pop_looked_at = True
        self._failures = 0
        self._retry_at = 0.0
        self._away_logged = self._refused_logged = self._refused_at = -1e9
        self.was_up = False

    @property
    def up(self) -> bool:
        return self.pop.connected and self.command.link.connected and self.beat.link.connected

    def retry_at(self) -> float:
        return self._retry_at

    def connect(self) -> bool:
        """Make broken connections again, if it is time; return whether the beat connection is a new one.

        Raises RedisRefused: somebody must act.
        """
        if self.beat.link.idle_seconds > IDLE_SECONDS:
            self.beat.link.close()  # we were frozen, and a router may have forgotten it
        if self.up or time.monotonic() < self._retry_at:
            return False
        fresh_beat = not self.beat.link.connected
        try:
            for link in (self.beat.link, self.command.link, self.pop):
                if not link.connected:
                    if link is self.pop and self.popping is not None:
                        self._schedule.after_loss()
                        self.popping = None
                    link.connect()
            self._same_server()
        except RedisDown as error:
            self.failed(error)
            return False
        return fresh_beat

    def served(self) -> None:
        """Note that a heartbeat went through. That connections are made says less: a replica takes no writes."""
        back = self._failures > 1 or not self.was_up
        self._failures, self.was_up = 0, True  # first: another connection may be broken
        self._away_logged = -1e9
        if back:
            log.info("connected to Redis %s at %s", self.command.link.version or "?", self._where)
            self._warn_of_eviction()

    def _warn_of_eviction(self) -> None:
        policy = evicts(self.command.link.pipeline([("INFO", "memory")])[0])
        if policy:
            log.warning(
                "Redis at %s throws keys away when it is full (maxmemory-policy %s): jobs and results may go and run "
                "again; redis-cli CONFIG SET maxmemory-policy noeviction ends that",
                self._where,
                policy,
            )

    def beats_meanwhile(self, beat: Callable[[], None]) -> None:
        """Call `beat` while a command takes long because its bytes move slowly."""
        self.pop.meanwhile = self.command.link.meanwhile = beat

    def _same_server(self) -> None:
        """Raise RedisDown where a failover has left one connection with the old primary.

        A worker that beats here and pops there serves no client.
        """
        links = (self.beat.link, self.command.link, self.pop)
        if len({link.run_id for link in links} - {""}) > 1:
            self.close()
            raise RedisDown("Redis has moved")

    def failed(self, error: RedisDown | RedisRefused) -> None:
        """Note that a connection broke, or is refused: the first retry is at once, the next ones are not."""
        now = time.monotonic()
        self._failures += 1
        if isinstance(error, RedisRefused):
            if now - self._refused_at < REFUSED_AGAIN_SECONDS:
                # That connections are made says nothing here: it is what comes over them that is refused.
                self._failures = max(self._failures, REFUSED_AGAIN_FAILURES)
            self._refused_at = now
            if now - self._refused_logged > 60.0:
                self._refused_logged = now
                log.error("Redis at %s refuses us: %s", self._where, denials.told(str(error)))
        elif self._failures > 1 and now - self._away_logged > 60.0:
            self._away_logged = now
            log.warning("waiting for Redis at %s: %s", self._where, error)
        again = self._failures > 1
        self._retry_at = now + (policy.backoff_seconds(self._failures, random.random()) if again else 0.0)

    # --- the pop connection --------------------------------------------------------------------------------------

    def start_pop(self, pop: Pop, kind: str) -> None:
        """Send a pop, whose answer is then outstanding."""
        self.pop.send_packed(pop.command)
        self._is_outstanding(pop, kind)

    def _is_outstanding(self, pop: Pop, kind: str) -> None:
        self.popping = kind
        self._pop_ends = time.monotonic() + pop.seconds + 1.0

    def complete_and_pop(self, worker: str, nonce: str, ended: Sequence[Ended], take: Take, pop: Pop) -> None:
        """Send `complete` with a pop over the queues behind it, in one write: the worker is idle from now on.

        Raises RedisRefused where the verb was refused, for whatever reason; the pop is outstanding all the same.
        """
        self._is_outstanding(pop, "queues")
        self._pop_looked_at = False
        self._popper.complete(worker, nonce, ended, take, then=pop.command)

    def answered(self) -> bool:
        """Return whether the answer of the pop came with the reply before it, where no selector sees it."""
        if self._pop_looked_at or not self.pop.connected:
            return False
        self._pop_looked_at = True
        return self.popping is not None and self.pop.readable()

    def pop_answered(self) -> bool:
        """Return whether the answer of the outstanding pop is there."""
        return self.popping is not None and self.pop.connected and self.pop.readable()

    def pop_ends(self) -> float:
        """Return when an outstanding pop must have been answered."""
        return self._pop_ends if self.popping and self.pop.connected else float("inf")

    def take_pop(self) -> tuple[str, bytes] | None:
        """Read the answer of the outstanding pop; return (key, element), or None."""
        answer = self.pop.receive()
        self.popping = None
        return None if answer is None else (answer[0].decode(), answer[1])

    def end_pop(self) -> tuple[str, bytes] | None:
        """End the outstanding pop now, and return what it had taken after all.

        Never by closing the connection with a pop outstanding: what it took would be lost (kombu#1733).
        """
        if self.popping is None:
            return None
        client_id = self.pop.identity.partition(":")[2]
        if not client_id:
            self.pop.close()
            self.popping = None
            return None
        self.command.link.call("CLIENT", "UNBLOCK", client_id)
        return self.take_pop()

    def close(self) -> None:
        for link in (self.pop, self.command.link, self.beat.link):
            link.close()
