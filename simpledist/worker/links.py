"""A worker's three connections: pop (BLPOP), command (the verbs), beat (by which Redis knows that it lives).

Each one is made again when it breaks, with a backoff that they share. Used by the loop's one thread.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simpledist import policy
from simpledist.broker import Broker, Keys, Link, denials, evicts
from simpledist.broker.link import packed
from simpledist.broker.records import Ended, Take
from simpledist.clock import ServerClock
from simpledist.config import Config
from simpledist.errors import RedisDown, RedisRefused
from simpledist.printable import logger
from simpledist.worker.beat_schedule import BeatSchedule

log = logger("simpledist.worker")

# Refused again within so many seconds counts as so many failures: tries are rare enough to do no harm, and often enough
# for a worker that holds jobs.
REFUSED_AGAIN_SECONDS, REFUSED_AGAIN_FAILURES = 5.0, 3

WAKE = b"wake"  # a word of a worker to itself


@dataclass(frozen=True, slots=True)
class Pop:
    """A BLPOP, ready to be sent."""

    command: bytes
    seconds: float
    keys: tuple[str, ...] = ()

    @classmethod
    def of(cls, keys: Sequence[str], seconds: float) -> Pop:
        return cls(packed("BLPOP", *keys, seconds), seconds, tuple(keys))


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
                most_bytes=policy.POP_BYTES_MOST if purpose == "pop" else policy.REPLY_BYTES_MOST,
            )
            for purpose in ("pop", "command", "beat")
        )
        self.command, self.beat = Broker(command, self.keys), Broker(beat, self.keys)
        self._popper = Broker(self.pop, self.keys)
        self.watched = self.pop, self.beat.link  # something may come over them at any time
        self.popping: str | None = None  # "queues", "control" or nothing outstanding
        self._pop_keys: tuple[str, ...] = ()
        self._pop_ends = 0.0
        self._pop_looked_at = True
        self._failures = 0
        self._retry_at = 0.0
        self._away_logged = self._refused_logged = self._refused_at = -1e9
        self._was_up = False
        self._is_new = False  # no one has looked at how this Redis is set up

    @property
    def up(self) -> bool:
        return self.pop.connected and self.command.link.connected and self.beat.link.connected

    @property
    def away(self) -> bool:
        """Return whether Redis is away, or serves us nothing: connections alone say little."""
        return self._failures > 0 or not self.up

    def retry_at(self) -> float:
        return self._retry_at

    def connect(self) -> bool:
        """Make broken connections again, if it is time; return whether the beat connection is a new one.

        Raises RedisRefused: somebody must act.
        """
        if self.beat.link.idle_seconds > policy.IDLE_CONNECTION_SECONDS:
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
        back = self._failures > 1 or not self._was_up
        self._failures, self._was_up = 0, True
        self._away_logged = -1e9
        if back:
            self._is_new = True
            log.info("connected to Redis %s at %s", self.command.link.version or "?", self._where)

    def look_at_redis(self) -> None:
        """Warn of a Redis that throws keys away, once it is there or is there again. Raises RedisDown."""
        if not self._is_new:
            return
        policy = evicts(self.command.link.pipeline([("INFO", "memory")])[0])
        if policy:
            log.warning(
                "Redis at %s throws keys away when it is full (maxmemory-policy %s): jobs and results may go and run "
                "again; redis-cli CONFIG SET maxmemory-policy noeviction ends that",
                self._where,
                policy,
            )
        self._is_new = False

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

    def refusal(self, error: RedisRefused) -> RedisRefused:
        """Return the error with the cause in words, and with what to do about it."""
        return RedisRefused(f"Redis at {self._where} refuses us: {denials.explained(str(error))}")

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
                log.error("%s", self.refusal(error))
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
        self.popping, self._pop_keys = kind, pop.keys
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
        try:
            answer = self.pop.receive()
        except RedisRefused as error:
            if "WRONGTYPE" in str(error):
                self._remove_foreign()
            raise
        self.popping = None
        match answer:
            case None:
                return None
            case [bytes(key), bytes(element)]:
                return key.decode("utf-8", "replace"), element
            case _:
                self.pop.close()
                raise RedisDown("a reply that no pop gives")

    def discard(self, key: str) -> None:
        """Remove a list of words that others write to; the next heartbeats bring what it may have said."""
        self.command.link.call("DEL", key)

    def _remove_foreign(self) -> None:
        """Remove what is no list where ours belong: every pop fails at it, and the ledger knows the jobs."""
        link = self.command.link
        found = link.pipeline([("LINDEX", key, 0) for key in self._pop_keys])
        foreign = [key for key, reply in zip(self._pop_keys, found, strict=True) if "WRONGTYPE" in str(reply)]
        if foreign:
            link.call("DEL", *foreign)
            log.warning("removed what was no list: %s; another program writes under our namespace", " ".join(foreign))

    def end_pop(self, control: str) -> tuple[str, bytes] | None:
        """End the outstanding pop now, and return what it had taken after all.

        By a word to ourselves on our control list, which every pop asks. Not by closing the connection with a pop
        outstanding: what it took would be lost (kombu#1733) until the ledger brings it back. Only a Redis that refuses
        the word, because it is full, leaves no other way.
        """
        if self.popping is None:
            return None
        lifetime_ms = round(policy.TIMINGS.control_ttl_seconds * 1000)
        word, _ = self.command.link.pipeline([("RPUSH", control, WAKE), ("PEXPIRE", control, lifetime_ms)])
        if isinstance(word, RedisRefused):
            self.pop.close()
            self.popping = None
            return None
        popped = self.take_pop()
        return None if popped == (control, WAKE) else popped

    def close(self) -> None:
        for link in (self.pop, self.command.link, self.beat.link):
            link.close()
