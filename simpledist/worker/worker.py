"""The worker's parent: one thread, one loop over Redis, children, signals and time.

Reads top to bottom: how the rooms are joined, what a turn of the loop does (`_step`), what it sleeps on (`_sleep`),
what children and template say. It only decides *when*: intake.py knows how work comes in, jobs.py, outcomes.py and
release.py what becomes of a job, heartbeat.py how Redis knows the worker, shutdown.py how it stops. It never decodes a
call.
"""

from __future__ import annotations

import logging
import time

from simpledist import job, policy
from simpledist.broker.link import library
from simpledist.broker.records import Held
from simpledist.config import Config
from simpledist.errors import OperatorError, RedisDown, RedisRefused
from simpledist.printable import logger
from simpledist.wire.keyring import Keyring
from simpledist.worker import lifeline
from simpledist.worker.archive_cache import Archives
from simpledist.worker.batching import Batching
from simpledist.worker.beat_schedule import BeatSchedule
from simpledist.worker.children import Children
from simpledist.worker.commands import Commands
from simpledist.worker.envelopes import Envelopes
from simpledist.worker.frames import READY, UNABLE
from simpledist.worker.handoff import Handoff
from simpledist.worker.heartbeat import Heartbeat, own_traits
from simpledist.worker.intake import Intake
from simpledist.worker.jobs import Jobs
from simpledist.worker.lane_turns import Turns
from simpledist.worker.life import Life
from simpledist.worker.limits import Limits
from simpledist.worker.links import Links
from simpledist.worker.options import Options
from simpledist.worker.outcome_delivery import OutcomeDelivery
from simpledist.worker.outcomes import Outcomes
from simpledist.worker.poller import READ, READ_AND_WRITE, Poller
from simpledist.worker.printer import Printer
from simpledist.worker.refusals import Refusals
from simpledist.worker.release import Release
from simpledist.worker.row import Row, Trouble
from simpledist.worker.shutdown import Shutdown
from simpledist.worker.signals import Signals
from simpledist.worker.slot import Slot
from simpledist.worker.transfers import Transfers
from simpledist.worker.waiting_jobs import WaitingJobs

log = logger("simpledist.worker")


class Worker:
    """One worker process: `start` resolves the targets, `run` serves until a signal and gives the exit code."""

    def __init__(
        self,
        config: Config,
        keyring: Keyring,
        targets: list[str],
        options: Options,
        *,
        printer: Printer,
        timings: policy.Timings = policy.TIMINGS,
    ) -> None:
        self.id = job.new_worker_id()
        self.unable = ""  # why it ends without ever having had a child
        self._config = config
        self._label = options.label
        self._signals = Signals()
        self._poller = Poller()
        self._life = life = Life(options.bounds, options.grace_seconds)
        self._adopts_orphans = lifeline.adopts_orphans()
        self._children = children = Children(targets, options.slots, printer, options.gpus, options.preparation)
        self._schedule = schedule = BeatSchedule(timings)
        self._links = links = Links(config, schedule)
        self._commands = commands = Commands(links, schedule)
        self._transfers = transfers = Transfers(links, schedule)
        self._refusals = refusals = Refusals(life=life)
        held = dict[Held, Slot]()
        self._key = f"key {keyring.signing_id.hex()} of {keyring.file}" if keyring else "nothing is signed"
        handoff, batching, envelopes = Handoff(), Batching(children, options.recycle), Envelopes(keyring, links.clock)
        keys = links.keys
        turns = Turns(keys, [keys.control(self.id), keys.given(self.id), keys.rollcall], timings)
        archives = Archives()
        waiting_jobs = WaitingJobs(children, archives.path)
        release = Release(self.id, links, commands, held, children, batching, waiting_jobs, refusals)
        self._jobs = jobs = Jobs(
            self.id,
            held,
            links=links,
            children=children,
            envelopes=envelopes,
            schedule=schedule,
            commands=commands,
            transfers=transfers,
            turns=turns,
            batching=batching,
            handoff=handoff,
            waiting_jobs=waiting_jobs,
            archives=archives,
            release=release,
        )
        delivery = OutcomeDelivery(
            self.id,
            links=links,
            children=children,
            commands=commands,
            transfers=transfers,
            handoff=handoff,
            refusals=refusals,
            release=release,
            jobs=jobs,
        )
        self._outcomes = outcomes = Outcomes(
            children=children,
            envelopes=envelopes,
            batching=batching,
            delivery=delivery,
            release=release,
            life=life,
            recycle=options.recycle,
        )
        self._limits = Limits(options.memory_bytes, children, outcomes)
        self._heartbeat = heartbeat = Heartbeat(
            self.id,
            links=links,
            schedule=schedule,
            children=children,
            jobs=jobs,
            outcomes=outcomes,
            row=Row(options, children, refusals, jobs.other_code, keyring.ids),
            traits=own_traits(keyring.ids, options.tags),
            timings=timings,
        )
        self._intake = intake = Intake(
            self.id,
            links=links,
            turns=turns,
            children=children,
            commands=commands,
            transfers=transfers,
            refusals=refusals,
            heartbeat=heartbeat,
            jobs=jobs,
            delivery=delivery,
            timings=timings,
        )
        self._shutdown = Shutdown(
            self.id,
            signals=self._signals,
            children=children,
            links=links,
            commands=commands,
            transfers=transfers,
            heartbeat=heartbeat,
            intake=intake,
            jobs=jobs,
            delivery=delivery,
            release=release,
            outcomes=outcomes,
            life=life,
            grace_seconds=options.grace_seconds,
        )

    # --- start ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Import the targets (in the template). Raises TargetError; nothing is registered before.

        OperatorError where this machine has no room for another process. A signal meanwhile ends the process with 0:
        there is nothing to drain.
        """
        template = self._children.template
        try:
            template.start()
            library()  # side by side with the template's imports: it takes as long
            template.await_introduction()
        except BaseException as error:
            self._children.end_template()
            self._close()
            if isinstance(error, OSError):
                raise OperatorError(f"the worker cannot start its template: {error}") from error
            raise

    def run(self) -> int:
        """Serve until asked to stop; 0 when drained, 1 when stopped before that. Raises RedisRefused at the start."""
        self._life.begin()
        self._signals.listen()
        where = f"on {self._children.count} slots, Redis at {self._config.safe_url}, {self._key}"
        functions = " ".join(sorted(self._children.template.functions))
        log.info("worker %s (%s) offers %s %s", self.id, self._label, functions, where)
        try:
            while True:
                code = self._step()
                if code is not None:
                    return code
        finally:
            self._close()

    def _close(self) -> None:
        self._life.end()
        self._children.stop()
        self._links.close()
        self._signals.close()

    # --- the loop ------------------------------------------------------------------------------------------------

    def _step(self) -> int | None:
        """Tend to Redis, sleep until something happens, and do what it asks for; return the exit code at the end."""
        self._life.touch(time.monotonic())
        if not (self._children.settled and self._commands.calm) and not self._tend_children():
            return 1
        try:
            self._tend_redis()
        except RedisDown as error:
            self._links.failed(error)
        except RedisRefused as error:
            if not self._heartbeat.ever_registered:
                raise self._links.refusal(error) from None
            self._refused(error)
        self._shutdown.begin_if_asked()
        ready = self._sleep()
        pop_ready, beat_ready = (one.connected and one.fileno() in ready for one in self._links.watched)
        if self._signals.number in ready:
            self._signals.read()
            self._shutdown.begin_if_asked()
        self._read_children(ready)
        self._jobs.move_on()
        try:
            if pop_ready and self._links.pop.connected:
                self._intake.popped(self._links.take_pop())
            if beat_ready:
                # Nothing is outstanding on it between two heartbeats: readable means closed.
                self._links.beat.link.close()
            self._intake.bring_outcomes()
            self._commands.send()
            if self._links.answered():
                self._intake.popped(self._links.take_pop())
        except RedisDown as error:
            self._links.failed(error)
        except RedisRefused as error:
            self._refused(error)
        if self._read_templates(ready):
            return 1
        if self._adopts_orphans:
            lifeline.bury_orphans(self._children.template.pid)
        return self._shutdown.exit_code()

    def _tend_redis(self) -> None:
        """Connect, beat, send what waits, and have a pop outstanding. Raises RedisDown and RedisRefused."""
        if self._links.connect():
            self._heartbeat.register_anew()
        if self._may_register():
            if self._heartbeat.due() and self._links.pop_answered():  # what was handed to us is named by the heartbeat
                self._intake.popped(self._links.take_pop())
            self._heartbeat.beat()
        self._commands.send()
        self._intake.pop()
        self._transfers.step()
        self._jobs.move_on()  # one whose modules have come

    def _may_register(self) -> bool:
        """Return whether it is known if children start: a worker that offers a function must be able to run it."""
        return self._heartbeat.ever_registered or bool(self._heartbeat.trouble) or bool(self._children.ready())

    def _refused(self, error: RedisRefused) -> None:
        """Try again after a pause: Redis answers and will not, for it is full, or its rights were changed."""
        self._links.close()
        self._links.failed(error)

    def _sleep(self) -> dict[int, int]:
        """Sleep until something is due or ready; return the descriptors that are ready."""
        now, links, children = time.monotonic(), self._links, self._children
        watched = {self._signals.number: READ}
        due = min(self._shutdown.ends_at, self._refusals.next_change(), self._intake.due(), self._life.due())
        if children.limited:
            due = min(due, self._limits.due())
        if not links.up:
            due = min(due, links.retry_at())
        elif self._transfers or self._intake.has_unsent:
            due = now
        elif self._may_register():
            due = min(due, self._schedule.next_at)
        if links.pop.connected and links.popping:
            watched[links.pop.fileno()] = READ
            due = min(due, links.pop_ends())
        if links.beat.link.connected:
            watched[links.beat.link.fileno()] = READ
        if not children.settled:
            due = min(due, children.due())
        if not self._commands.calm:
            due = min(due, self._commands.free_at())
        for mailbox in children.mailboxes():
            watched[mailbox.fileno()] = READ_AND_WRITE if mailbox.wants_to_write else READ
        for slot in children.slots:
            channel = slot.channel
            if slot.jobs or slot.ends_at is not None or slot.rests_until > now:
                due = min(due, slot.due(now))
            if not channel.closed and slot.rests_until <= now:
                watched[channel.number] = READ_AND_WRITE if channel.wants_to_write else READ
        return self._poller.wait(watched, due)

    # --- children and template -----------------------------------------------------------------------------------

    def _tend_children(self) -> bool:
        """Replace children, and offer nothing while none can start or no outcome gets through.

        Return False where there never was a child, and will be none.
        """
        now = time.monotonic()
        self._children.tend(now)
        self._jobs.move_on()
        ready = self._children.ready()
        cannot_start = self._children.starts.trouble(ready, now)
        if not self._shutdown.begun:
            stuck = self._commands.stuck(now)
            trouble = Trouble(cannot_start, "children") if cannot_start else Trouble(stuck, "commands" if stuck else "")
            self._heartbeat.tell(trouble, offering=(bool(ready) or not cannot_start) and not stuck)
            if cannot_start and not ready:
                self._jobs.give_back_expected()
        if self._children.starts.hopeless(now):
            self.unable = f"no child could start: {self._children.starts.why()}"
            self._shutdown.leave()
            return False
        return True

    def _read_children(self, ready: dict[int, int]) -> None:
        for slot in self._children.slots[:]:
            if slot.channel.number in ready:
                slot.channel.flush()
                self._read_slot(slot)
        now = time.monotonic()
        for slot in self._children.slots[:]:
            if slot.ends_at is not None and now >= slot.ends_at:
                self._child_died(slot, "it closed its channel")
        if self._children.limited:
            self._limits.look(now)
        if self._children.archives:
            self._children.tend_archives(now)
        self._outcomes.look_for_slow(now)

    def _read_slot(self, slot: Slot) -> None:
        if slot.channel.closed:
            return
        for answer in slot.channel.receive():
            if answer.kind == READY:
                self._children.begun(slot, time.monotonic())
            elif answer.kind == UNABLE:
                slot.unable = answer.error_text
            else:
                self._outcomes.answered(slot, answer)
        if slot.channel.closed:
            slot.channel_ended(time.monotonic())

    def _child_died(self, slot: Slot, how: str) -> None:
        with_job = bool(slot.jobs)
        if with_job:
            self._outcomes.child_died(slot, how)
        else:
            level = logging.DEBUG if self._children.starts.places[slot.number].stuck else logging.INFO  # it was said
            log.log(level, "an idle child of worker %s died: %s", self.id, slot.unable or how)
        self._children.lost(slot, how, with_job=with_job)

    def _read_templates(self, ready: dict[int, int]) -> bool:
        """Take in what templates say of children; return whether the worker's own died once too often."""
        lost = self._children.read_templates(ready)
        if lost is None:
            return self._template_died()
        for slot, how in lost:
            if slot in self._children.slots:
                self._read_slot(slot)  # what it said before it died counts
            if slot in self._children.slots:
                self._child_died(slot, how)
        return False

    def _template_died(self) -> bool:
        """Start another template: the children died with it, and what they ran is to blame, as for a child's own death.

        The third death in a minute for which nothing can be blamed ends the worker: the template itself is at fault.
        """
        slots = list(self._children.slots)
        for slot in slots:
            self._read_slot(slot)  # what it said before it died counts
        running = self._jobs.running()
        how = f"its template died: {self._children.template.end()}"
        log.error("worker %s: %s; %d jobs go back", self.id, how, len(running))
        for slot in slots:
            self._outcomes.child_died(slot, how)  # what it had finished of a batch counts, too
        self._children.let_go_of_all()
        if not running and self._children.starts.template_died(time.monotonic()):
            log.error("worker %s: three templates died within a minute; it ends", self.id)
            self._shutdown.leave()
            return True
        return False
