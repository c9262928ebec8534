"""The worker's parent: one thread, one loop over Redis, children, signals and time.

Reads top to bottom: what wakes it (`run`), what it does then (`_pops`, `_children`, `_beats`), how a job enters (`_begin`) and
leaves (`_ended`, `_failed`), how it stops (`_drain`, `_stop`). Decisions live in policy.py; it never decodes a call or runs user
code. Every verb that could not be sent is kept and sent again, with its nonce, until Redis has answered it.
"""

from __future__ import annotations

import logging
import os
import platform
import secrets
import selectors
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from simpledist import job, policy, wire
from simpledist.broker.records import Claimed, Ended, Failed, Held, Take
from simpledist.config import Config
from simpledist.errors import BadEnvelope, RedisDown, RedisRefused, WrongKey
from simpledist.signing import Keyring
from simpledist.worker.children import Children, Slot, told
from simpledist.worker.links import Links

log = logging.getLogger("simpledist.worker")

CONTROL_AFTER_SECONDS = 0.1  # a job must run so long before the control list is watched for it
STATUS_SECONDS = 0.1  # a child's wait status follows the end of its channel within this
TEMPLATE_DEATHS, TEMPLATE_SECONDS = 3, 60.0


@dataclass
class Errand:
    """A verb on its way to Redis: sent again, and said to be so, until it is answered."""

    send: Callable[[bool], None]
    again: bool = False


@dataclass
class Turn:
    """Fairness: since the last BLPOP over all queues."""

    popped_at: float = 0.0
    taken: int = 0
    first: int = 0  # the function whose queue is asked first


@dataclass
class Stopping:
    """What the signals have asked for."""

    signals: int = 0
    deadline: float = field(default=float("inf"))


class Worker:
    """One worker process: `start` resolves the targets, `run` serves until a signal and gives the exit code."""

    def __init__(
        self,
        config: Config,
        keyring: Keyring,
        targets: list[str],
        *,
        slots: int,
        label: str,
        grace_seconds: float,
        recycle: int | None,
        timings: policy.Timings = policy.TIMINGS,
    ) -> None:
        self.id = job.new_worker_id()
        self._config = config
        self._keyring = keyring
        self._label = label
        self._grace_seconds = grace_seconds
        self._recycle = recycle
        self._timings = timings
        self._children = Children(targets, slots)
        self._links = Links(config)
        self._held: dict[Held, Slot] = {}
        self._errands: deque[Errand] = deque()
        self._ended_now: list[Ended] = []
        self._missing: dict[Held, int] = {}
        self._warned: set[str] = set()
        self._turn = Turn()
        self._stopping = Stopping()
        self._next_beat = 0.0
        self._registered = False
        self._busy_since: float | None = None
        self._template_deaths: deque[float] = deque()
        self._started_ms = round(time.time() * 1000)
        self._wakeup, self._wake = socket.socketpair()

    # --- start ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Import the targets (in the template). Raises TargetError; nothing is registered before."""
        self._children.start()

    @property
    def functions(self) -> list[str]:
        return sorted(self._children.functions)

    def run(self) -> int:
        """Serve until told to stop; 0 when drained, 1 when stopped before that. Raises RedisRefused at the start."""
        self._catch_signals()
        log.info(
            "worker %s (%s) offers %s on %d slots, Redis at %s",
            self.id,
            self._label,
            " ".join(self.functions),
            len(self._children.slots),
            self._config.safe_url,
        )
        try:
            while True:
                code = self._step()
                if code is not None:
                    return code
        finally:
            self._children.stop()
            self._links.close()
            signal.set_wakeup_fd(-1)
            self._wakeup.close()
            self._wake.close()

    def _catch_signals(self) -> None:
        self._wakeup.setblocking(False)
        self._wake.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)

    # --- the loop ------------------------------------------------------------------------------------------------

    def _step(self) -> int | None:
        """One turn: sleep until something happens, and do what it asks for."""
        try:
            if self._links.connect():
                self._registered = False
                self._next_beat = 0.0
            self._beats()
            self._work_off()
            self._pops()
        except RedisDown as error:
            self._links.failed(error)
        except RedisRefused as error:
            if not self._registered and not self._held:
                raise
            self._refused(error)
        ready = self._sleep()
        if self._wakeup in ready:
            self._signalled()
        self._read_children(ready)
        try:
            self._read_pop(ready)
            if self._beat_ended(ready):
                self._links.beat.link.close()
            self._complete()
            self._work_off()
        except RedisDown as error:
            self._links.failed(error)
        except RedisRefused as error:
            self._refused(error)
        if self._children_gone(ready):
            return 1
        return self._stop_code()

    def _sleep(self) -> set[Any]:
        now = time.monotonic()
        due = self._next_beat if self._links.up else self._links.retry_at()
        due = min(due, self._links.pop_ends(), self._stopping.deadline)
        if self._busy_since is not None:
            due = min(due, self._busy_since + CONTROL_AFTER_SECONDS)
        for slot in self._children.slots:
            if slot.ends_at is not None:
                due = min(due, slot.ends_at)
        with selectors.DefaultSelector() as selector:
            selector.register(self._wakeup, selectors.EVENT_READ, self._wakeup)
            selector.register(self._children.template_fileno(), selectors.EVENT_READ, "template")
            for slot in self._children.channels():
                events = selectors.EVENT_READ | (selectors.EVENT_WRITE if slot.channel.wants_to_write else 0)
                selector.register(slot.channel, events, slot)
            if self._links.pop.connected and self._links.popping:
                selector.register(self._links.pop, selectors.EVENT_READ, "pop")
            if self._links.beat.link.connected:
                selector.register(self._links.beat.link, selectors.EVENT_READ, "beat")
            return {key.data for key, _ in selector.select(max(due - now, 0.0))}

    def _work_off(self) -> None:
        """Send what waits for Redis, in order."""
        while self._errands and self._links.command.link.connected:
            errand = self._errands[0]
            again, errand.again = errand.again, True
            errand.send(again)
            self._errands.popleft()

    def _refused(self, error: RedisRefused) -> None:
        """Redis answers and will not: full, or its rights were changed. What waits is tried again after a pause."""
        log.error("worker %s: Redis refuses us: %s", self.id, error)
        self._links.close()
        self._links.failed(error)

    # --- beats ---------------------------------------------------------------------------------------------------

    def _beats(self) -> None:
        """Beat when due. Only this loop beats: a worker whose loop stands still is dead, and is seen to be."""
        if not self._links.beat.link.connected or time.monotonic() < self._next_beat:
            return
        beaten = self._links.beat.beat(self.id, self._connection(), list(self._held), *self._introduction())
        if not beaten.known:
            self._registered = False
            beaten = self._links.beat.beat(self.id, self._connection(), list(self._held), *self._introduction())
        if not self._registered:
            self._registered = True
            log.info("worker %s is ready", self.id)
        self._next_beat = time.monotonic() + self._timings.beat_seconds
        for held in beaten.stop:
            self._call_off(held, "nobody waits for it, or it runs elsewhere")
        self._missing = {held: self._missing.get(held, 0) + 1 for held in beaten.missing}
        for held, times in list(self._missing.items()):
            if times >= 3:  # its client would have submitted it again by now
                self._call_off(held, "Redis does not know it, and no client asks for it")

    def _connection(self) -> str:
        return self._links.beat.link.identity or "-"

    def _introduction(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The row, while Redis does not have it; a worker that drains offers nothing."""
        if self._registered:
            return None, []
        offers = [] if self._stopping.signals else self.functions
        row = {
            "host": platform.node(),
            "pid": os.getpid(),
            "label": self._label,
            "functions": offers,
            "slots": len(self._children.slots),
            "started": self._started_ms,
            "python": platform.python_version(),
            "connection": self._connection(),
        }
        return row, offers

    def _beat_ended(self, ready: set[Any]) -> bool:
        """Nothing is outstanding on the beat connection between two beats: readable means closed."""
        return "beat" in ready and self._links.beat.link.connected

    # --- pops ----------------------------------------------------------------------------------------------------

    def _pops(self) -> None:
        """Have a pop outstanding: over the queues while a slot is free, else over the control list alone."""
        links = self._links
        if not links.up or not self._registered:
            return
        if time.monotonic() >= links.pop_ends():
            links.pop.close()
            raise RedisDown("no answer to BLPOP")
        wants_queues = not self._stopping.signals and bool(self._children.free()) and not self._errands
        if links.popping == "control" and wants_queues:
            self._popped(links.end_pop())
        if links.popping is None and wants_queues:
            # The function served last comes last: whoever has work waits for at most one turn of each other.
            queues = [links.keys.queue(function) for function in self.functions]
            first = self._turn.first
            keys = [links.keys.control(self.id), *queues[first:], *queues[:first]]
            links.start_pop(keys, "queues", self._timings.block_seconds)
            self._busy_since = None
        elif links.popping is None and self._held:
            now = time.monotonic()
            self._busy_since = self._busy_since or now
            if now >= self._busy_since + CONTROL_AFTER_SECONDS:
                links.start_pop([links.keys.control(self.id)], "control", self._timings.block_seconds)
                self._busy_since = None

    def _read_pop(self, ready: set[Any]) -> None:
        if "pop" in ready and self._links.pop.connected:
            self._popped(self._links.take_pop())

    def _popped(self, popped: tuple[str, bytes] | None) -> None:
        if popped is None:
            return
        key, element = popped
        if key == self._links.keys.control(self.id):
            self._control(element.decode("utf-8", "replace"))
            return
        function = next(name for name in self._children.functions if self._links.keys.queue(name) == key)
        self._turn.popped_at, self._turn.taken = time.monotonic(), 0
        self._turn.first = (self.functions.index(function) + 1) % len(self.functions)
        self._claim(function, element)

    def _control(self, word: str) -> None:
        verb, _, name = word.partition(" ")
        id, _, fence = name.rpartition(":")
        for held in list(self._held):
            if verb == "cancel" and held.id == id and held.fence == fence:
                self._call_off(held, "cancelled")

    def _claim(self, function: str, element: bytes) -> None:
        # While it drains, what was popped in the last moment is claimed only to be given back at once.
        slots = [slot.number for slot in self._children.free()] or [0]
        nonce = secrets.token_hex(8)

        def send(again: bool) -> None:
            claimed = self._links.command.claim(
                self.id, nonce, function, [element], slots[:1] if self._stopping.signals else slots, again=again
            )
            self._turn.taken += len(claimed)
            for one in claimed:
                self._begin(one)

        self._errands.append(Errand(send))
        self._work_off()

    # --- a job's life --------------------------------------------------------------------------------------------

    def _begin(self, claimed: Claimed) -> None:
        """A claimed job goes to a free slot; what cannot be begun is given back or failed at once."""
        held = claimed.held
        free = self._children.free()
        if not free or self._stopping.signals:
            self._release([held])
            return
        slot = next((one for one in free if one.number == claimed.slot), free[0])
        data = claimed.call if claimed.call is not None else self._links.command.call_bytes(held.id)
        if data is None:
            self._release([held])
            return
        try:
            call = wire.open_call(held.function, data, self._keyring)
        except WrongKey as error:
            self._failed(held, "key", str(error))
            return
        except BadEnvelope as error:
            self._failed(held, "undecodable", str(error))
            return
        self._compare(held.function, call.fingerprint)
        slot.job, slot.digest = claimed, call.digest
        self._held[held] = slot
        log.debug("job %s (%s, attempt %d) begins", held.id, held.function, claimed.attempt)
        slot.channel.send({"job": held.id, "function": held.function, "codec": call.codec}, call.body)

    def _compare(self, function: str, theirs: str) -> None:
        """Stale code on a worker is the likeliest wrong value in practice: say so, once a function."""
        if function not in self._warned and wire.differs(self._children.functions.get(function, ""), theirs):
            self._warned.add(function)
            log.warning(
                "function %s: a client holds other code than this worker; restart the one that is stale, "
                "or give it a version (%s@2)",
                function,
                function,
            )

    def _read_children(self, ready: set[Any]) -> None:
        for slot in [slot for slot in ready if isinstance(slot, Slot)]:
            slot.channel.flush()
            self._read_slot(slot)
        now = time.monotonic()
        for slot in list(self._children.slots):
            if slot.ends_at is not None and now >= slot.ends_at:
                self._child_died(slot, "it closed its channel")

    def _read_slot(self, slot: Slot) -> None:
        if slot.channel.closed:
            return
        for fields, body in slot.channel.receive():
            if "ready" in fields:
                slot.ready = True
            elif slot.job is not None:
                self._ended(slot, fields, body)
        if slot.channel.closed:
            slot.ends_at = time.monotonic() + STATUS_SECONDS

    def _ended(self, slot: Slot, fields: dict[str, Any], body: bytes) -> None:
        """A child brought its job to an end."""
        assert slot.job is not None
        held, slot.job = slot.job.held, None
        slot.jobs_done += 1
        kind, codec, error = fields["kind"], fields["codec"], fields["error"]
        if kind in ("value", "error"):
            outcome = wire.seal_outcome(held.function, codec, kind, body, slot.digest, self._keyring)
            self._ended_now.append(Ended(held, kind, outcome, fields["run_ms"], error))
        else:
            self._failed(held, kind, error)
        log.debug("job %s (%s): %s in %d ms", held.id, held.function, kind, fields["run_ms"])
        if self._recycle and slot.jobs_done >= self._recycle:
            self._children.replace(slot, kill=False)

    def _complete(self) -> None:
        """Bring every outcome of this turn to Redis, and take next jobs in the same step."""
        if not self._ended_now:
            return
        ended, self._ended_now = self._ended_now, []
        nonce = secrets.token_hex(8)
        take = self._next_take(ended[-1].held.function)

        def send(again: bool) -> None:
            _, claimed = self._links.command.complete(self.id, nonce, ended, take, again=again)
            for one in ended:
                self._held.pop(one.held, None)
            self._turn.taken += len(claimed)
            for one in claimed:
                self._begin(one)

        self._errands.append(Errand(send))

    def _next_take(self, function: str) -> Take | None:
        free = [slot.number for slot in self._children.free()]
        if self._links.popping == "queues":
            free = free[1:]  # one is promised to the pop
        since = time.monotonic() - self._turn.popped_at
        fair = policy.may_take_next(
            others=len(self._children.functions) > 1,
            since_pop_seconds=since,
            taken=self._turn.taken,
            slots=len(self._children.slots),
            timings=self._timings,
        )
        if not free or not fair or self._stopping.signals:
            return None
        return Take(function, tuple(free))

    def _failed(self, held: Held, why: str, error: str) -> None:
        log.warning("job %s (%s): %s: %s", held.id, held.function, why, error)

        def send(_: bool) -> None:
            self._links.command.fail(self.id, [Failed(held, why, error[:300])])
            self._held.pop(held, None)

        self._errands.append(Errand(send))

    def _release(self, helds: list[Held]) -> None:
        def send(_: bool) -> None:
            self._links.command.release(self.id, helds)
            for held in helds:
                self._held.pop(held, None)

        self._errands.append(Errand(send))

    def _call_off(self, held: Held, reason: str) -> None:
        """Stop a running job at once: its child is killed, the slot gets a fresh one."""
        self._missing.pop(held, None)
        slot = self._held.get(held)
        if slot is None or slot.job is None or slot.job.held != held:
            return
        log.info("job %s (%s) is stopped: %s", held.id, held.function, reason)
        del self._held[held]
        slot.job = None
        self._children.replace(slot, kill=True)

    # --- deaths --------------------------------------------------------------------------------------------------

    def _children_gone(self, ready: set[Any]) -> bool:
        """Read what the template says of children; whether the template died once too often."""
        if "template" not in ready:
            return False
        deaths = self._children.read_template()
        if deaths is None:
            return self._template_died()
        for death in deaths:
            slot = self._children.of_pid(death["ended"])
            if slot is not None:
                self._read_slot(slot)  # what it said before it died counts
                self._child_died(slot, told(death["status"]))
        self._complete()
        return False

    def _child_died(self, slot: Slot, how: str) -> None:
        if slot.job is not None:
            held = slot.job.held
            self._failed(held, "crashed", f"the child died: {how}")
        else:
            log.info("an idle child of worker %s died: %s", self.id, how)
        slot.job = None
        self._children.replace(slot, kill=True)

    def _template_died(self) -> bool:
        """It blames no job: give them back, start another; the third death in a minute ends the worker."""
        now = time.monotonic()
        how = self._children.template_end()
        self._template_deaths.append(now)
        while now - self._template_deaths[0] > TEMPLATE_SECONDS:
            self._template_deaths.popleft()
        running = [slot.job.held for slot in self._children.busy() if slot.job is not None]
        log.error("worker %s: its template died (%s); %d jobs go back", self.id, how, len(running))
        self._release(running)
        if len(self._template_deaths) >= TEMPLATE_DEATHS:
            log.error("worker %s: three templates died within a minute; it ends", self.id)
            self._leave()
            return True
        self._children.start_template()
        return False

    # --- stop ----------------------------------------------------------------------------------------------------

    def _signalled(self) -> None:
        numbers = [n for n in self._wakeup.recv(4096) if n in (signal.SIGTERM, signal.SIGINT)]
        for _ in numbers:
            self._stopping.signals += 1
            if self._stopping.signals == 1:
                self._drain()

    def _drain(self) -> None:
        """Withdraw the offers first, so that callers see it at once; claim no more; finish what runs."""
        self._stopping.deadline = time.monotonic() + self._grace_seconds
        running = len(self._children.busy())
        try:
            if self._links.command.link.connected:
                self._links.command.leave(self.id, final=False)
                if self._links.popping == "queues":
                    self._popped(self._links.end_pop())
        except (RedisDown, RedisRefused) as error:
            self._links.failed(error)
        log.info("worker %s drains: %d jobs have %g s to finish", self.id, running, self._grace_seconds)

    def _stop_code(self) -> int | None:
        if not self._stopping.signals:
            return None
        over = time.monotonic() >= self._stopping.deadline
        if self._stopping.signals == 1 and not over and (self._held or self._errands or self._ended_now):
            return None
        running = [slot.job.held for slot in self._children.busy() if slot.job is not None]
        if running:
            log.warning("worker %s gives %d jobs back", self.id, len(running))
            self._release(running)
        self._leave()
        log.info("worker %s has left", self.id)
        return 1 if self._stopping.signals > 1 else 0

    def _leave(self) -> None:
        try:
            self._work_off()
            if self._links.command.link.connected:
                self._links.command.leave(self.id, final=True)
        except (RedisDown, RedisRefused) as error:
            log.warning("worker %s could not say that it leaves: %s", self.id, error)
