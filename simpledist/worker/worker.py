"""The worker's parent: one thread, one loop over Redis, children, signals and time.

Reads top to bottom: what it does in a turn (`_step`), where it sleeps (`_sleep`), how work comes in (`_pops`), what
children and template say, how it stops. It only decides *when*: jobs.py knows what becomes of a job, presence.py
how Redis knows the worker, policy.py what is fair. It never decodes a call or runs user code.
"""

from __future__ import annotations

import logging
import math
import select
import time
from collections.abc import Iterator, Sequence
from typing import Any

from simpledist import job, policy
from simpledist.broker.link import library
from simpledist.broker.records import Take
from simpledist.config import Config
from simpledist.errors import OperatorError, RedisDown, RedisRefused
from simpledist.faultpoints import point
from simpledist.wire.signing import Keyring
from simpledist.worker import lifeline
from simpledist.worker.channel import READY, UNABLE
from simpledist.worker.children import Children, Slot
from simpledist.worker.jobs import Jobs
from simpledist.worker.links import Links, Pop
from simpledist.worker.mailbox import Mailbox
from simpledist.worker.presence import Presence
from simpledist.worker.printer import Printer
from simpledist.worker.signals import Signals
from simpledist.worker.turns import Turns

log = logging.getLogger("simpledist.worker")

CONTROL_AFTER_SECONDS = 0.1  # a job must run so long before the control list is watched for it
STATUS_SECONDS = 0.1  # a child's wait status follows the end of its channel within this


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
        printer: Printer,
        timings: policy.Timings = policy.TIMINGS,
    ) -> None:
        self.id = job.new_worker_id()
        self._config = config
        self._label = label
        self._grace_seconds = grace_seconds
        self._timings = timings
        self._children = Children(targets, slots, printer)
        self._links = Links(config)
        self._jobs = Jobs(self.id, self._links, self._children, keyring, recycle)
        self._presence = Presence(self.id, label, self._links, self._children, self._jobs, timings, keys=keyring.ids)
        keys = self._links.keys
        self._for_us = [keys.control(self.id), keys.given(self.id), keys.rollcall]  # what every pop waits for
        self._turns = Turns(keys, self._for_us, timings)
        self._signals = Signals()
        self._grace_ends = float("inf")
        self._busy_since: float | None = None
        self._poll, self._polled = select.poll(), dict[int, int]()
        self._buries = lifeline.adopts_orphans()

    # --- start ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Import the targets (in the template). Raises TargetError; nothing is registered before.

        OperatorError where this machine has no room for another process. A signal meanwhile ends the process with 0:
        there is nothing to drain.
        """
        try:
            self._children.start_template()
            library()  # side by side with the template's imports: it takes as long
            self._children.await_introduction()
        except BaseException as error:
            self._children.end_template()
            self._close()
            if isinstance(error, OSError):
                raise OperatorError(f"the worker cannot start its template: {error}") from error
            raise

    @property
    def functions(self) -> list[str]:
        return sorted(self._children.functions)

    def run(self) -> int:
        """Serve until told to stop; 0 when drained, 1 when stopped before that. Raises RedisRefused at the start."""
        self._signals.listen()
        log.info(
            "worker %s (%s) offers %s on %d slots, Redis at %s",
            self.id,
            self._label,
            " ".join(self.functions),
            self._children.count,
            self._config.safe_url,
        )
        try:
            while True:
                code = self._step()
                if code is not None:
                    return code
        finally:
            self._close()

    def _close(self) -> None:
        self._children.stop()
        self._links.close()
        self._signals.close()

    # --- the loop ------------------------------------------------------------------------------------------------

    def _step(self) -> int | None:
        """One turn: see to Redis, sleep until something happens, and do what it asks for."""
        if not (self._children.settled and self._jobs.errands.calm) and not self._tend_children():
            return 1
        try:
            if self._links.connect():
                self._presence.again()
            if self._links.pop_lost:
                self._links.pop_lost = False
                self._presence.beat_soon()
            if self._may_register():
                if self._presence.due() and self._links.pop_answered():  # what was given to us is named by the beat
                    self._popped(self._links.take_pop())
                self._presence.beat()
            self._jobs.errands.work_off()
            self._pops()
            self._jobs.transfers.step()
        except RedisDown as error:
            self._links.failed(error)
        except RedisRefused as error:
            if not self._presence.ever_registered:
                raise
            self._refused(error)
        ready = self._sleep()
        if self._signals in ready and self._signals.read():
            self._drain()
        self._read_children(ready)
        try:
            if "pop" in ready and self._links.pop.connected:
                self._popped(self._links.take_pop())
            if "beat" in ready:
                # Nothing is outstanding on it between two beats: readable means closed.
                self._links.beat.link.close()
            self._complete()
            self._jobs.errands.work_off()
            if self._links.answered():
                self._popped(self._links.take_pop())
        except RedisDown as error:
            self._links.failed(error)
        except RedisRefused as error:
            self._refused(error)
        if self._children.mailbox() in ready and self._read_template():
            return 1
        if self._buries:
            lifeline.bury_orphans(self._children.template_pid)
        return self._stop_code()

    def _sleep(self) -> set[Any]:
        now = time.monotonic()
        due = self._links.retry_at()
        if self._links.up:
            due = self._presence.next_beat if self._may_register() else float("inf")
        due = min(due, self._links.pop_ends(), self._grace_ends, self._children.due())
        due = min(due, self._jobs.refusals.next_change(), self._jobs.errands.free_at())
        due = now if self._jobs.transfers and self._links.up else due
        if self._busy_since is not None:
            due = min(due, self._busy_since + CONTROL_AFTER_SECONDS)
        for slot in self._children.slots:
            if slot.ends_at is not None:
                due = min(due, slot.ends_at)
            due = min(due, slot.slow_at())
            if slot.rests_until > now:
                due = min(due, slot.rests_until)
        sources, events = dict[int, Any](), dict[int, int]()
        for fileno, source in self._sources(now):
            sources[fileno] = source
            writes = source.wants_to_write if isinstance(source, (Slot, Mailbox)) else False
            events[fileno] = select.POLLIN | (select.POLLOUT if writes else 0)
        if events != self._polled:
            # A poll object has no descriptor of its own to be kept in step: it is made anew.
            self._poll, self._polled = select.poll(), events
            for fileno, mask in events.items():
                self._poll.register(fileno, mask)
        seconds = max(due - now, 0.0)
        return {sources[fileno] for fileno, _ in self._poll.poll(math.ceil(seconds * 1000) if seconds < 1e6 else None)}

    def _sources(self, now: float) -> Iterator[tuple[int, Any]]:
        yield self._signals.fileno(), self._signals
        if (mailbox := self._children.mailbox()) is not None:
            yield mailbox.fileno(), mailbox
        for slot in self._children.channels():
            if slot.rests_until <= now:
                yield slot.channel.fileno(), slot
        if self._links.pop.connected and self._links.popping:
            yield self._links.pop.fileno(), "pop"
        if self._links.beat.link.connected:
            yield self._links.beat.link.fileno(), "beat"

    def _refused(self, error: RedisRefused) -> None:
        """Redis answers and will not: full, or its rights were changed. What waits is tried again after a pause."""
        self._links.close()
        self._links.failed(error)

    # --- how work comes in ---------------------------------------------------------------------------------------

    def _pops(self) -> None:
        """Have a pop outstanding: over the queues while a slot is free, else over the control list alone."""
        links = self._links
        if not links.up or not self._presence.registered:
            return
        if links.popping == "queues" and not self._presence.offering:
            self._popped(links.end_pop())
        if time.monotonic() >= links.pop_ends():
            links.pop.close()
            raise RedisDown("no answer to BLPOP")
        takes = not self._signals.count and self._presence.offering
        wants_queues = takes and bool(self._children.free()) and not self._jobs.waiting()
        if links.popping == "control" and wants_queues:
            self._popped(links.end_pop())
        if links.popping is None and wants_queues:
            links.start_pop(self._pop_queues(), "queues")
            self._busy_since = None
        elif links.popping is None and self._jobs.held:
            now = time.monotonic()
            self._busy_since = self._busy_since or now
            if now >= self._busy_since + CONTROL_AFTER_SECONDS:
                links.start_pop(Pop.of(self._for_us, self._timings.block_seconds), "control")
                self._busy_since = None

    def _pop_queues(self) -> Pop:
        """What is asked while a slot is free."""
        refusals = self._jobs.refusals
        return self._turns.pop(self._lanes(), refusals.next_change())

    def _popped(self, popped: tuple[str, bytes] | None) -> None:
        if popped is None:
            return
        key, element = popped
        control, given, roll_call = self._for_us
        if key == given:
            self._jobs.given(element)
            self._jobs.errands.work_off()
            return
        if key == control:
            self._controlled(element.decode("utf-8", "replace"))
            return
        if key == roll_call:
            self._presence.called(element)
            return
        lane = self._turns.served(key)
        self._jobs.taken = 0
        point("worker.popped")
        self._jobs.claim(lane, element)
        self._jobs.errands.work_off()

    def _controlled(self, word: str) -> None:
        """A word from the control list."""
        verb, _, rest = word.partition(" ")
        if verb == "look":
            self._presence.again()
        elif verb == "protocol":
            self._presence.other_protocol(rest)
        elif verb == "pass":
            self._jobs.refusals.pass_over(rest)
        elif verb == "strike":
            self._jobs.refusals.strike(rest)
        else:
            self._jobs.control(word)

    def _complete(self) -> None:
        lane = self._jobs.ended()
        if lane is None:
            return
        free = self._children.free()
        if free and not self._signals.count and self._links.popping != "control" and self._jobs.lone_ended():
            pop = None if self._links.popping else self._pop_queues()
            self._busy_since = None
            self._jobs.complete_lone(free[0], pop)
        else:
            self._jobs.complete(self._next_take(lane))

    def _next_take(self, lane: str) -> Take | None:
        free = self._children.free()
        if self._links.popping == "queues":
            free = free[1:]  # one is promised to the pop
        lanes = self._lanes()
        is_passed_over = lanes is not self._presence.lanes and lane not in lanes
        if self._signals.count or not self._presence.offering or is_passed_over or not self._fair(lane, lanes):
            return None
        return self._jobs.wanted(lane, free)

    def _lanes(self) -> Sequence[str]:
        """The lanes from which this worker takes jobs at present."""
        return self._jobs.refusals.taken(self._presence.lanes)

    def _fair(self, lane: str, lanes: Sequence[str]) -> bool:
        now = time.monotonic()
        if policy.may_take_next(
            others=len(lanes) > 1,
            since_pop_seconds=now - self._turns.popped_at,
            taken=self._jobs.taken,
            slots=self._children.count,
            timings=self._timings,
        ):
            return True
        if not self._links.up or self._links.command.any_queued([other for other in lanes if other != lane]):
            return False
        self._turns.popped_at, self._jobs.taken = now, 0  # a BLPOP would have found no more than this look
        return True

    # --- children and template -----------------------------------------------------------------------------------

    def _tend_children(self) -> bool:
        """Replace children, and offer nothing while none can start or no outcome gets through.

        False: there never was one, and will be none.
        """
        now = time.monotonic()
        self._children.tend(now)
        ready = self._children.ready()
        trouble = self._children.starts.trouble(ready, now)
        if not self._signals.count:
            stuck = self._jobs.errands.stuck(now)
            self._presence.tell(trouble or stuck, offering=(bool(ready) or not trouble) and not stuck)
        if self._children.starts.hopeless(now):
            log.error("worker %s: no child could start: %s; it ends", self.id, self._children.starts.why())
            self._leave()
            return False
        return True

    def _may_register(self) -> bool:
        """Not before it is known whether children start: who offers a function must be able to run it."""
        return self._presence.ever_registered or self._presence.trouble != "" or bool(self._children.ready())

    def _read_children(self, ready: set[Any]) -> None:
        for slot in [slot for slot in ready if isinstance(slot, Slot)]:
            slot.channel.flush()
            self._read_slot(slot)
        now = time.monotonic()
        for slot in list(self._children.slots):
            if slot.ends_at is not None and now >= slot.ends_at:
                self._child_died(slot, "it closed its channel")
        self._jobs.recall_slow(now)

    def _read_slot(self, slot: Slot) -> None:
        if slot.channel.closed:
            return
        for frame in slot.channel.receive():
            if frame.kind == READY:
                self._children.begun(slot, time.monotonic())
            elif frame.kind == UNABLE:
                slot.unable = frame.first
            else:
                self._jobs.end(slot, frame)
        if slot.channel.closed:
            slot.ends_at = time.monotonic() + STATUS_SECONDS

    def _child_died(self, slot: Slot, how: str) -> None:
        with_job = bool(slot.jobs)
        if with_job:
            self._jobs.child_died(slot, how)
        else:
            level = logging.DEBUG if self._children.starts.places[slot.number].stuck else logging.INFO  # it was said
            log.log(level, "an idle child of worker %s died: %s", self.id, slot.unable or how)
        self._children.lost(slot, how, with_job=with_job)

    def _read_template(self) -> bool:
        """What the template says of children; whether it died once too often."""
        lost = self._children.read_template()
        if lost is None:
            return self._template_died()
        for slot, how in lost:
            if slot in self._children.slots:
                self._read_slot(slot)  # what it said before it died counts
            if slot in self._children.slots:
                self._child_died(slot, how)
        return False

    def _template_died(self) -> bool:
        """Its children died with it: what they ran is to blame for it, as for a child's own death; start another.

        The third death in a minute for which nothing can be blamed ends the worker: the template itself is at fault.
        """
        slots = list(self._children.slots)
        for slot in slots:
            self._read_slot(slot)  # what it said before it died counts
        running = self._jobs.running()
        how = f"its template died: {self._children.end_template()}"
        log.error("worker %s: %s; %d jobs go back", self.id, how, len(running))
        for slot in slots:
            self._jobs.child_died(slot, how)
        if not running and self._children.starts.template_died(time.monotonic()):
            log.error("worker %s: three templates died within a minute; it ends", self.id)
            self._leave()
            return True
        return False

    # --- stop ----------------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Withdraw the offers first, so that callers see it at once; claim no more; finish what runs."""
        self._jobs.stopping = True
        self._jobs.recall_all()
        self._grace_ends = time.monotonic() + self._grace_seconds
        try:
            self._presence.leave(final=False)
            point("worker.draining")
            if self._links.popping == "queues":
                self._popped(self._links.end_pop())
        except (RedisDown, RedisRefused) as error:
            self._links.failed(error)
        running = len(self._jobs.running())
        log.info("worker %s drains: %d jobs have %g s to finish", self.id, running, self._grace_seconds)

    def _stop_code(self) -> int | None:
        if not self._signals.count:
            return None
        over = self._signals.count > 1 or time.monotonic() >= self._grace_ends
        if not over and (self._jobs.held or self._jobs.unsaid()):
            return None
        self._jobs.give_back_expected()
        running = self._jobs.running()
        if running:
            log.warning("worker %s gives %d jobs back", self.id, len(running))
            self._jobs.release(running)
        self._leave()
        log.info("worker %s has left", self.id)
        return 1 if self._signals.count > 1 else 0

    def _leave(self) -> None:
        try:
            self._jobs.errands.work_off()
            self._presence.leave(final=True)
        except (RedisDown, RedisRefused) as error:
            log.warning("worker %s could not say that it leaves: %s", self.id, error)
