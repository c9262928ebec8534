"""Identity of this client in Redis, and its command connection: submit, cancel, fetch, ack.

Owns the client id, and what is known of Redis (up, down, refused). Any thread may call it; one at a time uses the
command Link (connection_lock.py). The listener tells it when Redis comes and goes. What is sent to Redis at leisure
waits in deques, for finalisers and signal handlers leave something there too.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Container, Sequence
from typing import Any, TypeVar

from simpledist import job, policy
from simpledist.broker import Broker, Keys, Link
from simpledist.broker.contents import Contents
from simpledist.broker.records import Cleared, Reply, Submitted
from simpledist.broker.rows import about_worker, live_workers
from simpledist.broker.slices import Download, Upload
from simpledist.buffers import Data
from simpledist.clock import Reading, ServerClock
from simpledist.config import Config
from simpledist.engine.call import Call
from simpledist.engine.connection_lock import ConnectionLock
from simpledist.engine.known import Store
from simpledist.engine.lanes import About, Lanes
from simpledist.engine.lines import Lines
from simpledist.engine.local_run_counts import LocalRunCounts
from simpledist.engine.notices import ONCE, Notices
from simpledist.engine.shared_objects import SharedObjects
from simpledist.engine.signal_safe_event import SignalSafeEvent
from simpledist.engine.uploads import Uploads
from simpledist.errors import BudgetSpent, NoRoom, RedisDown, RedisRefused, Undeliverable, Unkeyable
from simpledist.faultpoints import point
from simpledist.reasons import Why
from simpledist.wire.keyring import Keyring

GRACE_SECONDS = 1.0  # what is under way when a budget is spent may still come to its end
OLD_SECONDS = 5.0  # a connection that was idle for so long may have been forgotten by a router on the way
MOST_BROKEN = 2
SILENT_SECONDS = 1.0  # a Redis that says nothing for so long is not asked a second time by the same call


T = TypeVar("T")


class _Broken(Exception):
    """A slice broke the connection."""


class Session:
    """One client's presence in Redis."""

    def __init__(self, config: Config, keyring: Keyring, shared: SharedObjects) -> None:
        self.config = config
        self.shared = shared
        self.store = Store()
        self.notices = Notices()
        self.lanes = Lanes(keyring, self.store, self.notices, about=self.about)
        self.lines = Lines(self)
        self.local_run_counts = LocalRunCounts(self.notices, self.lines.line)
        self.keys = Keys(config.namespace)
        self.client = job.new_client_id()
        self.connection = "-"  # the listener's blocking connection: a worker that sees it closed may suspect us
        self.trouble: Why | None = "redis_down"  # None: Redis is up
        self.last_error: RedisDown | RedisRefused | None = None  # for people: what it was when it last was not up
        self.outages = 0  # that are over
        self.epoch = ""
        self.clock = ServerClock()  # read by the listener with each nudge
        self.first_attempt = SignalSafeEvent()  # the first connection came or failed
        self._numbers = itertools.count(1)
        self._connection_lock = ConnectionLock()
        self._broker = Broker(self.link("command"), self.keys)
        self.uploads = Uploads(
            Contents(self._broker.link, self.keys, "archive"),
            Contents(self._broker.link, self.keys, "blob"),
            epoch=lambda: self.epoch,
            small=self._small,
            move=self._move,
        )
        self._read: deque[str] = deque()
        self._given_up: deque[tuple[str, str]] = deque()
        self.wake: Callable[[], None] = _nobody  # the listener's, once there is one
        self._silent_at = -1e9

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
            most_bytes=policy.POP_BYTES_MOST if purpose == "reply" else policy.REPLY_BYTES_MOST,
            warn=self._warn,
        )

    def unkeyed(self, function: str, error: Unkeyable) -> None:
        """Tell the caller, once, that calls of a function that is to share its outcomes do not."""
        text = f"function {function}: calls like this one are neither joined nor cached: {error}"
        self.notices.tell((function, "unkeyable"), lambda: text, again_seconds=ONCE)

    def _warn(self, text: str) -> None:
        self.notices.tell((text,), lambda: text, again_seconds=ONCE)

    def new_id(self) -> str:
        return f"{self.client}-{next(self._numbers):x}"

    # --- Redis comes and goes ------------------------------------------------------------------------------------

    def works(self, clock: Reading) -> None:
        """Note that Redis has done what it was asked for, and what its clock showed."""
        self.clock.read(clock)
        if self.trouble is not None:
            self.trouble = None
            self.outages += 1

    def note_trouble(self, error: RedisDown | RedisRefused) -> Why:
        """Note what calls that begin now go by."""
        self.trouble = "redis_refused" if isinstance(error, RedisRefused) else "redis_down"
        self.last_error = error
        return self.trouble

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
        first, wanted = calls[0], calls[0].wanted
        for call in calls:
            if call.wanted != wanted:  # it has changed between two of them
                return Submitted(self.epoch, ["again"] * len(calls))
        point("client.submitting")
        submitted = broker.submit(
            self.lanes.of(first.spec.code.key, first.spec.priority),
            self.client,
            self.connection,
            [(call.label, one) for call, one in zip(calls, data, strict=True)],
            wish=self.lanes.wished(calls),
            terms=first.spec.terms if limited else first.spec.terms._replace(max_queue=None),
            crashes=first.crashes,
            then=then,
        )
        point("client.submitted")
        return submitted

    def submit(self, calls: Sequence[Call], data: Sequence[Data | None], *, until: float | None) -> list[str | Reply]:
        """Submit calls over the command connection, one word each. A connection that broke is made again once.

        Silence is not asked twice, but for that of a connection that was idle for a while: a router may have forgotten
        it. Nor is it by calls that waited meanwhile: else each had the silence of all before it, and its own.
        Raises RedisDown or RedisRefused: none of these calls is known to be queued; BudgetSpent where the connection
        is not to be had `until` then (time.monotonic()).
        """
        asked = time.monotonic()
        return self._connection_lock.use(lambda: self._submit(calls, data, asked, until), until)

    def _submit(
        self, calls: Sequence[Call], data: Sequence[Data | None], asked: float, until: float | None
    ) -> list[str | Reply]:
        if self._silent_at > asked:
            raise RedisDown("Redis did not answer another call of this moment")
        link = self._broker.link
        link.bound(float("inf") if until is None else until + GRACE_SECONDS)
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
        raise AssertionError("unreachable")

    def provide(self, call: Call) -> None:
        """Let Redis have what a call needs; where it has no room for a blob, the call carries its blobs.

        Raises as `put_beside`.
        """
        try:
            self.uploads.put(call, until=call.deadline)
        except NoRoom:
            for blob in call.blobs:
                self.shared.no_room(blob)
            call.carry()

    def parcel(self, call: Call, seal: Callable[[Call], Data]) -> Data | None:
        """Return a call as `submit` is to bring it; None for a big one, whose bytes lie in Redis then.

        Raises as `put_beside`.
        """
        if call.archive is not None or type(call.body) is not bytes:
            self.provide(call)
        data = seal(call)
        if len(data) <= policy.BESIDE_BYTES:
            return data
        self.put_beside(call.id, data, until=call.deadline)
        return None

    def put_beside(self, id: str, value: Data, *, until: float | None = None) -> None:
        """Put the bytes of a big call into Redis, before it is submitted; small commands go in between.

        Raises BudgetSpent at `until` (time.monotonic()); Undeliverable where Redis will not have them; RedisDown or
        RedisRefused where it cannot be used at all.
        """
        self._move(self._broker.upload("call", id, value), until)

    def _move(self, value: Upload | Download, until: float | None) -> None:
        """Move a value slice by slice, each in its turn; what breaks the connection twice running always will."""
        broken = 0
        while True:
            try:
                if self._connection_lock.use_for_slice(lambda: self._step(value, until), until):
                    return
                broken = 0
            except _Broken as error:
                broken += 1
                if broken >= MOST_BROKEN:
                    raise Undeliverable(str(error)) from error

    def _step(self, value: Upload | Download, until: float | None) -> bool:
        link = self._broker.link
        link.bound(float("inf") if until is None else until)
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
                raise BudgetSpent(str(error)) from error
            raise

    def cancel_waiting(self, jobs: Sequence[tuple[str, str]]) -> list[str]:
        """Cancel those of these (function, id) that do not run; a word each, as of Broker.cancel."""
        return self._small(lambda broker: broker.cancel(self.client, jobs, spare_running=True))

    def clear(self, function: str) -> Cleared:
        return self._small(lambda broker: broker.clear(function))

    def live_workers(self) -> list[dict[str, Any]]:
        """Return the rows of all workers that live."""
        return self._small(live_workers)

    def about(self, worker: str) -> About:
        """Return what Redis knows of a worker and its code; nothing where it is not to be had."""
        try:
            return self._small(lambda broker: about_worker(broker, worker))
        except (RedisDown, RedisRefused):
            return {}, {}

    def _small(self, ask: Callable[[Broker], T]) -> T:
        """Send one small command on the command connection, and return its answer."""
        return self._connection_lock.use(lambda: ask(self._connected()))

    def _connected(self) -> Broker:
        link = self._broker.link
        link.bound(float("inf"))
        if not link.connected:
            link.connect()
        return self._broker

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

    # --- what is sent to Redis at leisure ------------------------------------------------------------------------

    def has_read(self, id: str) -> None:
        """Note that an outcome is in our hands: Redis may delete its bytes."""
        self._read.append(id)

    def has_given_up(self, jobs: Sequence[tuple[str, str]]) -> None:
        """Note that no caller waits for these (function, id) any more; the listener tells Redis at once."""
        self._given_up.extend(jobs)
        self.wake()

    def leisure(self) -> int:
        """Return how much waits to be sent."""
        return len(self._read) + len(self.local_run_counts) + len(self._given_up)

    def tell_given_up(self, broker: Broker, wanted: Container[str]) -> None:
        """Cancel what was given up, unless another call of ours has joined it since; sent later if not now."""
        while jobs := _some(self._given_up):
            jobs = [job for job in jobs if job[1] not in wanted]
            try:
                broker.cancel(self.client, jobs)
            except (RedisDown, RedisRefused):
                self._given_up.extendleft(reversed(jobs))
                raise

    def tell(self, broker: Broker) -> None:
        """Acknowledge what was read and bring the counts, in batches; what cannot be sent now is sent later.

        Counts only where Redis said no: if its answer is lost it may have counted, and twice is worse than not at all.
        """
        while True:
            ids, counts = _some(self._read), self.local_run_counts.taken()
            if not ids and not counts:
                return
            try:
                broker.ack(self.client, ids, counts)
            except (RedisDown, RedisRefused) as error:
                self._read.extendleft(reversed(ids))
                if isinstance(error, RedisRefused):
                    self.local_run_counts.put_back(counts)
                raise

    def close(self) -> None:
        self._connection_lock.use(self._broker.link.close)


def _some(waiting: deque[Any]) -> list[Any]:
    """Take as much of it as one script takes, in order."""
    return [waiting.popleft() for _ in range(min(len(waiting), policy.BATCH_ITEMS))]


def _nobody() -> None:
    """Do nothing: there is no listener yet."""
