"""Who this client is in Redis, and its command connection: submit, cancel, fetch, ack.

Owns the client id, what is known of Redis (up, down, refused) and the counts of local runs. Any thread may call it; the
command Link is used in turns (turns.py). The listener tells it when Redis comes and goes. What is told to Redis at
leisure waits in deques, for finalisers and signal handlers leave something there too.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Container, Sequence
from typing import Any, TypeVar

from simpledist import job, policy
from simpledist.broker import Broker, Keys, Link, denials
from simpledist.broker.records import Cleared, Reply, Submitted
from simpledist.broker.slices import Download, Upload
from simpledist.buffers import Data
from simpledist.clock import Reading, ServerClock
from simpledist.config import Config
from simpledist.engine.call import Call
from simpledist.engine.known import Store
from simpledist.engine.lanes import Lanes
from simpledist.engine.turns import Turns
from simpledist.errors import RedisDown, RedisRefused, Undeliverable
from simpledist.faultpoints import point
from simpledist.job import Why
from simpledist.wire.signing import Keyring

log = logging.getLogger("simpledist")

GRACE_SECONDS = 1.0  # what is under way when a budget is spent may still come to its end
OLD_SECONDS = 5.0  # a connection that was idle for so long may have been forgotten by a router on the way
MOST_BROKEN = 2
SILENT_SECONDS = 1.0  # a Redis that says nothing for so long is not asked a second time by the same call


T = TypeVar("T")


class _Broken(Exception):
    """A slice broke the connection."""


class Session:
    """One client's presence in Redis."""

    def __init__(self, config: Config, keyring: Keyring) -> None:
        self.config = config
        self.store = Store()
        self.lanes = Lanes(keyring, self.store)
        self.keys = Keys(config.namespace)
        self.client = job.new_client_id()
        self.connection = "-"  # the listener's blocking connection: a worker that sees it closed may suspect us
        self.trouble: Why | None = "redis_down"  # None: Redis is up
        self.last_error: RedisDown | RedisRefused | None = None  # for people: what it was when it last was not up
        self.epoch = ""
        self.clock = ServerClock()  # read by the listener with each nudge
        self.first_attempt = threading.Event()  # the first connection came or failed
        self._numbers = itertools.count(1)
        self._turns = Turns()
        self._broker = Broker(self.link("command"), self.keys)
        self._counts: Counter[tuple[str, str]] = Counter()
        self._counts_lock = threading.Lock()  # guards `_counts`; only tried: no place in the order
        self._counted: deque[tuple[str, str, int]] = deque()  # what is not in `_counts` yet
        self._read: deque[str] = deque()
        self._given_up: deque[tuple[str, str]] = deque()
        self.wake: Callable[[], None] = _nobody  # the listener's, once there is one
        self._last_complaint = self._silent_at = -1e9

    def attended(self) -> bool:
        """Return whether there is a listener."""
        return self.wake is not _nobody

    def unheard(self) -> None:
        """Note that the listener has gone."""
        self.wake = _nobody

    def link(self, purpose: str) -> Link:
        return Link(
            self.config.url,
            name=f"simpledist-client-{purpose}",
            stays_here=self.config.stays_here,
            renews=purpose != "reply",  # Redis knows us by that one
        )

    def new_id(self) -> str:
        return f"{self.client}-{next(self._numbers):x}"

    # --- Redis comes and goes ------------------------------------------------------------------------------------

    def works(self, clock: Reading) -> None:
        """Note that Redis has done what it was asked for, and what its clock showed."""
        self.clock.read(clock)
        self.trouble = None

    def note_trouble(self, error: RedisDown | RedisRefused) -> Why:
        """Note what calls that begin now go by; a refusal is logged once a minute, for somebody must act."""
        self.trouble = "redis_refused" if isinstance(error, RedisRefused) else "redis_down"
        self.last_error = error
        if isinstance(error, RedisRefused):
            self._complain("refuses us, calls run here", error)
        return self.trouble

    def note_undeliverable(self, function: str, error: Undeliverable) -> None:
        """Log that a value of this function does not get through; everything else does."""
        self._complain(f"does not carry a value of {function}, the call runs here", error)

    def why_unsent(self, function: str, error: TimeoutError | Undeliverable) -> Why:
        """Return why a call of this function runs here that could not be sent, though Redis is there."""
        if isinstance(error, TimeoutError):
            return "timeout"
        self.note_undeliverable(function, error)
        return "undeliverable"

    def _complain(self, what: str, error: Exception) -> None:
        """Log it, once a minute at most."""
        if time.monotonic() - self._last_complaint > 60.0:
            self._last_complaint = time.monotonic()
            log.error("Redis at %s %s: %s", self.config.safe_url, what, denials.told(str(error)))

    # --- verbs on the command connection -------------------------------------------------------------------------

    def enter(
        self,
        broker: Broker,
        calls: Sequence[Call],
        data: Sequence[Data | None],
        *,
        then: bytes = b"",
        limited: bool = True,
    ) -> Submitted:
        """Submit calls of one function in one script, over this connection: every way out ends here.

        `data`: the bytes of each; None where they lie in Redis. `then`: a blocking command that travels
        behind it. `limited`: with `max_queue` jobs queued they are refused. Raises RedisDown or RedisRefused.
        """
        first = calls[0]
        point("client.submitting")
        submitted = broker.submit(
            self.lanes.of(first.spec.function),
            self.client,
            self.connection,
            [(call.label, one) for call, one in zip(calls, data, strict=True)],
            wish=self.lanes.wished([call.python for call in calls]),
            max_queue=first.spec.max_queue if limited else None,
            crashes=first.crashes,
            then=then,
        )
        point("client.submitted")
        return submitted

    def submit(self, calls: Sequence[Call], data: Sequence[Data | None], *, until: float | None) -> list[str | Reply]:
        """Submit calls over the command connection, one word each. A connection that broke is made again once.

        Silence is not asked twice, but for that of a connection that was idle for a while: a router may have forgotten
        it. Nor is it by calls that waited meanwhile: else each had the silence of all before it, and its own.
        Raises RedisDown or RedisRefused: none of these calls is known to be queued; TimeoutError where the connection
        is not to be had `until` then (time.monotonic()).
        """
        asked = time.monotonic()
        self._turns.take(until)
        link = self._broker.link
        try:
            if self._silent_at > asked:
                raise RedisDown("Redis did not answer another call of this moment")
            if until is not None:
                link.bound(until + GRACE_SECONDS)
            old = link.idle_seconds > OLD_SECONDS
            for fresh in (not link.connected, True):
                began = time.monotonic()
                try:
                    if fresh:
                        link.connect()
                    return self.enter(self._broker, calls, data).words
                except RedisDown:
                    now = time.monotonic()
                    silent, over = now - began > SILENT_SECONDS, until is not None and now >= until
                    if fresh or over or (silent and not old):
                        self._silent_at = now
                        raise
        finally:
            if until is not None:
                link.bound(float("inf"))
            self._turns.give()
        raise AssertionError("unreachable")

    def parcel(self, call: Call, data: Data) -> Data | None:
        """Return a call as `submit` is to bring it; None for a big one, whose bytes lie in Redis then.

        Raises as `put_beside`.
        """
        if len(data) <= policy.BESIDE_BYTES:
            return data
        self.put_beside(call.id, data, until=call.deadline)
        return None

    def put_beside(self, id: str, value: Data, *, until: float | None = None) -> None:
        """Put the bytes of a big call into Redis, before it is submitted; small commands go in between.

        Raises TimeoutError at `until` (time.monotonic()); Undeliverable where Redis will not have them; RedisDown or
        RedisRefused where it cannot be used at all.
        """
        self._move(self._broker.upload("call", id, value), until)

    def _move(self, value: Upload | Download, until: float | None) -> None:
        """Move a value slice by slice, each in its turn; what breaks the connection twice running always will."""
        broken = 0
        while True:
            self._turns.take_for_slice(until)
            try:
                if self._step(value, until):
                    return
                broken = 0
            except _Broken as error:
                broken += 1
                if broken >= MOST_BROKEN:
                    raise Undeliverable(str(error)) from error
            finally:
                self._turns.give_slice()

    def _step(self, value: Upload | Download, until: float | None) -> bool:
        link = self._broker.link
        if until is not None:
            link.bound(until)
        try:
            if not link.connected:
                link.connect()
            try:
                return value.step()
            except RedisRefused as error:
                raise Undeliverable(str(error)) from error
            except RedisDown as error:
                raise _Broken(str(error)) from error
        except (RedisDown, _Broken) as error:
            if until is not None and time.monotonic() >= until:
                raise TimeoutError from error
            raise
        finally:
            link.bound(float("inf"))

    def cancel_waiting(self, jobs: Sequence[tuple[str, str]]) -> list[str]:
        """Cancel those of these (function, id) that do not run; a word each, as of Broker.cancel."""
        return self._small(lambda broker: broker.cancel(self.client, jobs, spare_running=True))

    def clear(self, function: str) -> Cleared:
        return self._small(lambda broker: broker.clear(function))

    def live_workers(self) -> list[dict[str, Any]]:
        """Return the rows of all workers that live."""
        return self._small(lambda broker: broker.live_workers())

    def _small(self, ask: Callable[[Broker], T]) -> T:
        """Send one small command on the command connection, and return its answer."""
        self._turns.take()
        try:
            if not self._broker.link.connected:
                self._broker.link.connect()
            return ask(self._broker)
        finally:
            self._turns.give()

    def result_bytes(self, reply: Reply, *, until: float | None = None) -> Data | None:
        """Return the bytes of a result, fetched if they did not travel in the reply; None if they are gone.

        Raises as `put_beside`.
        """
        if reply.result is not None:
            return reply.result
        if reply.place == "none":
            return None
        download = self._broker.download_result(reply.id)
        self._move(download, None if until is None else until + GRACE_SECONDS)
        return download.value

    # --- what is told to Redis at leisure ------------------------------------------------------------------------

    def has_read(self, id: str) -> None:
        """Note that an outcome is in our hands: Redis may delete its bytes."""
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
        """Note that no caller waits for these (function, id) any more; the listener tells Redis at once."""
        self._given_up.extend(jobs)
        self.wake()

    def leisure(self) -> int:
        """Return how much waits to be told."""
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
        self._turns.take()
        try:
            self._broker.link.close()
        finally:
            self._turns.give()


def _some(waiting: deque[Any]) -> list[Any]:
    """Take as much of it as one script takes, in order."""
    return [waiting.popleft() for _ in range(min(len(waiting), policy.BATCH_ITEMS))]


def _nobody() -> None:
    """Do nothing: there is no listener yet."""
