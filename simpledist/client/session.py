"""Who this client is in Redis, and its command connection: submit, cancel, fetch, ack.

Owns the client id, what is known of Redis (up, down, refused) and the counts of local runs. Any thread may call it; the
command Link is used under `_lock`. The listener tells it when Redis comes and goes.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Container, Sequence
from typing import Any

from simpledist import job, policy
from simpledist.broker import Broker, Keys, Link, refusals
from simpledist.broker.records import Cleared, Reply
from simpledist.clock import Reading, ServerClock
from simpledist.config import Config
from simpledist.errors import RedisDown, RedisRefused
from simpledist.faultpoints import point
from simpledist.job import Why
from simpledist.pieces import Data

log = logging.getLogger("simpledist")

SILENT_SECONDS = 1.0  # a Redis that says nothing for so long is not asked a second time by the same call


class Session:
    """One client's presence in Redis."""

    def __init__(self, config: Config) -> None:
        self.config = config
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
        self._counts_lock = threading.Lock()
        self._read: list[str] = []
        self._given_up: list[tuple[str, str]] = []
        self.wake: Callable[[], None] = _nobody  # the listener's, once there is one
        self._last_complaint = self._silent_at = -1e9

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
                        function, self.client, self.connection, calls, max_queue=max_queue, crashes=crashes
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
        with self._counts_lock:
            self._read.append(id)

    def count_local(self, function: str, why: str, calls: int) -> None:
        with self._counts_lock:
            self._counts[function, why] += calls

    def has_given_up(self, jobs: Sequence[tuple[str, str]]) -> None:
        """Nobody waits for these (function, id) any more: Redis hears it at once, from the listener."""
        with self._counts_lock:
            self._given_up += jobs
        self.wake()

    def leisure(self) -> int:
        """How much waits to be told."""
        return len(self._read) + len(self._counts) + len(self._given_up)

    def tell_given_up(self, broker: Broker, wanted: Container[str]) -> None:
        """Cancel what was given up, unless another call of ours has joined it since; told later if not now."""
        while self._given_up:
            with self._counts_lock:
                jobs, self._given_up = self._given_up[: policy.BATCH_ITEMS], self._given_up[policy.BATCH_ITEMS :]
            jobs = [job for job in jobs if job[1] not in wanted]
            try:
                broker.cancel(self.client, jobs)
            except (RedisDown, RedisRefused):
                with self._counts_lock:
                    self._given_up = jobs + self._given_up
                raise

    def tell(self, broker: Broker) -> None:
        """Acknowledge what was read and bring the counts, in batches; what cannot be told now is told later.

        Counts only where Redis said no: if its answer is lost it may have counted, and twice is worse than not at all.
        """
        while True:
            with self._counts_lock:
                ids, self._read = self._read[: policy.BATCH_ITEMS], self._read[policy.BATCH_ITEMS :]
                counts, self._counts = self._counts, Counter()
            if not ids and not counts:
                return
            try:
                broker.ack(self.client, ids, counts)
            except (RedisDown, RedisRefused) as error:
                with self._counts_lock:
                    self._read = ids + self._read
                    if isinstance(error, RedisRefused):
                        self._counts.update(counts)
                raise

    def close(self) -> None:
        with self._lock:
            self._broker.link.close()


def _nobody() -> None:
    """There is no listener yet."""
