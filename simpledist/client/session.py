"""Who this client is in Redis, and its command connection: submit, cancel, fetch, ack.

Owns the client id, what is known of Redis (up, down, refused) and the counts of local runs. Any thread may call it; the
command Link is used under `_lock`. The listener tells it when Redis comes and goes. What is told to Redis at leisure
waits in deques, for finalisers and signal handlers leave something there too.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Container, Sequence
from typing import Any

from simpledist import job, policy
from simpledist.broker import Broker, Keys, Link, refusals
from simpledist.broker.records import Cleared, Reply, Wish
from simpledist.client.lanes import Lanes
from simpledist.clock import Reading, ServerClock
from simpledist.config import Config
from simpledist.errors import RedisDown, RedisRefused
from simpledist.faultpoints import point
from simpledist.job import Why
from simpledist.pieces import Data
from simpledist.signing import Keyring

log = logging.getLogger("simpledist")

SILENT_SECONDS = 1.0  # a Redis that says nothing for so long is not asked a second time by the same call


class Session:
    """One client's presence in Redis."""

    def __init__(self, config: Config, keyring: Keyring) -> None:
        self.config = config
        self.lanes = Lanes(keyring)
        self.keys = Keys(config.namespace)
        self.client = job.new_client_id()
        self.connection = "-"  # the listener's blocking connection: whoever sees it closed may suspect us
        self.trouble: Why | None = "redis_down"  # None: Redis is up
        self.last_error: RedisDown | RedisRefused | None = None  # for people: what it was when it last was not up
        self.epoch = ""
        self.clock = ServerClock()  # read by the listener with each nudge
        self.first_attempt = threading.Event()  # the first connection came or failed
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._broker = Broker(self.link("command"), self.keys)
        self._counts: Counter[tuple[str, str]] = Counter()
        self._counts_lock = threading.Lock()  # of `_counts`; nobody waits for it
        self._counted: deque[tuple[str, str, int]] = deque()  # what is not in `_counts` yet
        self._read: deque[str] = deque()
        self._given_up: deque[tuple[str, str]] = deque()
        self.wake: Callable[[], None] = _nobody  # the listener's, once there is one
        self._last_complaint = self._silent_at = -1e9

    def attended(self) -> bool:
        """Whether there is a listener."""
        return self.wake is not _nobody

    def unheard(self) -> None:
        """The listener has gone."""
        self.wake = _nobody

    def link(self, purpose: str) -> Link:
        return Link(self.config.url, name=f"simpledist-client-{purpose}", stays_here=self.config.stays_here)

    def new_id(self) -> str:
        return f"{self.client}-{next(self._numbers):x}"

    # --- Redis comes and goes ------------------------------------------------------------------------------------

    def works(self, clock: Reading) -> None:
        """Note that Redis has done what it was asked for, and what its clock showed."""
        self.clock.read(clock)
        self.trouble = None

    def note_trouble(self, error: RedisDown | RedisRefused) -> Why:
        """What calls that begin now shall know; a refusal is logged once a minute, for somebody must act."""
        self.trouble = "redis_refused" if isinstance(error, RedisRefused) else "redis_down"
        self.last_error = error
        if isinstance(error, RedisRefused) and time.monotonic() - self._last_complaint > 60.0:
            self._last_complaint = time.monotonic()
            log.error("Redis at %s refuses us, calls run here: %s", self.config.safe_url, refusals.told(str(error)))
        return self.trouble

    # --- verbs on the command connection -------------------------------------------------------------------------

    def submit(
        self,
        function: str,
        calls: Sequence[tuple[str, Data]],
        max_queue: int | None,
        crashes: int = 0,
        *,
        wish: Wish,
        until: float | None = None,
    ) -> list[str | Reply]:
        """One word a call; a connection that broke since its last use is made anew once. Silence is not asked twice.

        Nor is it by calls that waited meanwhile: else each had the silence of all before it, and its own.
        Raises RedisDown or RedisRefused: none of these calls is known to be queued; TimeoutError where another call,
        with a big value perhaps, has the connection `until` then (time.monotonic()).
        """
        asked = time.monotonic()
        if not self._lock.acquire(timeout=-1 if until is None else max(until - asked, 0.0)):
            raise TimeoutError
        try:
            if self._silent_at > asked:
                raise RedisDown("Redis did not answer another call of this moment")
            for fresh in (not self._broker.link.connected, True):
                began = time.monotonic()
                try:
                    if fresh:
                        self._broker.link.connect()
                    point("client.submitting")
                    submitted = self._broker.submit(
                        self.lanes.of(function),
                        self.client,
                        self.connection,
                        calls,
                        wish=wish,
                        max_queue=max_queue,
                        crashes=crashes,
                    )
                    point("client.submitted")
                    return submitted.words
                except RedisDown:
                    if fresh or time.monotonic() - began > SILENT_SECONDS:
                        self._silent_at = time.monotonic()
                        raise
        finally:
            self._lock.release()
        raise AssertionError("unreachable")

    def cancel_waiting(self, jobs: Sequence[tuple[str, str]]) -> list[str]:
        """Cancel those of these (function, id) that do not run; a word each, as of Broker.cancel."""
        with self._lock:
            if not self._broker.link.connected:
                self._broker.link.connect()
            return self._broker.cancel(self.client, jobs, spare_running=True)

    def clear(self, function: str) -> Cleared:
        with self._lock:
            if not self._broker.link.connected:
                self._broker.link.connect()
            return self._broker.clear(function)

    def live_workers(self) -> list[dict[str, Any]]:
        """The rows of all workers that live."""
        with self._lock:
            if not self._broker.link.connected:
                self._broker.link.connect()
            return self._broker.live_workers()

    def result_bytes(self, reply: Reply) -> Data | None:
        """The bytes of a result that did not travel in its reply; None if they are gone."""
        if reply.result is not None:
            return reply.result
        if reply.place == "none":
            return None
        with self._lock:
            if not self._broker.link.connected:
                self._broker.link.connect()
            return self._broker.result_bytes(reply)

    # --- what is told to Redis at leisure ------------------------------------------------------------------------

    def has_read(self, id: str) -> None:
        """An outcome is in our hands: its bytes may go."""
        self._read.append(id)

    def count_local(self, function: str, why: str, calls: int) -> None:
        self._counted.append((function, why, calls))
        if len(self._counted) >= policy.BATCH_ITEMS:
            self._add_up()

    def _add_up(self) -> None:
        if not self._counts_lock.acquire(blocking=False):
            return  # somebody does it, or was interrupted while doing it
        try:
            for _ in range(len(self._counted)):
                function, why, calls = self._counted.popleft()
                self._counts[function, why] += calls
        finally:
            self._counts_lock.release()

    def has_given_up(self, jobs: Sequence[tuple[str, str]]) -> None:
        """Nobody waits for these (function, id) any more: Redis hears it at once, from the listener."""
        self._given_up.extend(jobs)
        self.wake()

    def leisure(self) -> int:
        """How much waits to be told."""
        return len(self._read) + len(self._counts) + len(self._counted) + len(self._given_up)

    def tell_given_up(self, broker: Broker, wanted: Container[str]) -> None:
        """Cancel what was given up, unless another call of ours has joined it since; told later if not now."""
        while jobs := _some(self._given_up):
            jobs = [job for job in jobs if job[1] not in wanted]
            try:
                broker.cancel(self.client, jobs)
            except (RedisDown, RedisRefused):
                self._given_up.extendleft(reversed(jobs))
                raise

    def tell(self, broker: Broker) -> None:
        """Acknowledge what was read and bring the counts, in batches; what cannot be told now is told later.

        Counts only where Redis said no: if its answer is lost it may have counted, and twice is worse than not at all.
        """
        while True:
            ids, counts = _some(self._read), self._taken_counts()
            if not ids and not counts:
                return
            try:
                broker.ack(self.client, ids, counts)
            except (RedisDown, RedisRefused) as error:
                self._read.extendleft(reversed(ids))
                if isinstance(error, RedisRefused):
                    self._counted.extend((function, why, calls) for (function, why), calls in counts.items())
                raise

    def _taken_counts(self) -> Counter[tuple[str, str]]:
        self._add_up()
        if not self._counts_lock.acquire(blocking=False):
            return Counter()  # next time
        try:
            counts, self._counts = self._counts, Counter()
            return counts
        finally:
            self._counts_lock.release()

    def close(self) -> None:
        with self._lock:
            self._broker.link.close()


def _some(waiting: deque[Any]) -> list[Any]:
    """As much of it as one script takes, in order; it is no longer there."""
    return [waiting.popleft() for _ in range(min(len(waiting), policy.BATCH_ITEMS))]


def _nobody() -> None:
    """There is no listener yet."""
