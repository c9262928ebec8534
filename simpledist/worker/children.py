"""The children of a worker: one for each place, started when a place is empty, replaced when one ends or must end.

Knows no Redis and decodes nothing. The template (template_process.py) makes and ends the processes; starts.py says when
the next try is due; the loop (worker.py) asks what happened and decides what that means for jobs.
"""

from __future__ import annotations

import errno
import os
import resource
import socket
import time
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

from simpledist import policy
from simpledist.buffers import Data
from simpledist.errors import TargetError
from simpledist.exit_status import in_words
from simpledist.worker import mark
from simpledist.worker.archive_templates import ALONE_SECONDS, IDLE_SECONDS, ArchiveTemplates
from simpledist.worker.channel import Channel
from simpledist.worker.gpus import Variables
from simpledist.worker.launch import Preparation
from simpledist.worker.mailbox import Line, Mailbox
from simpledist.worker.printer import Printer
from simpledist.worker.result_buffer import ResultBuffer
from simpledist.worker.slot import NEVER, Slot
from simpledist.worker.starts import Starts
from simpledist.worker.template_process import TemplateProcess

SPARE_DESCRIPTORS = 12  # numbers are given out from the lowest: so many are kept for connections, /proc and a template


class Children:
    """One template, a child for each of `count` places. Everything here happens in the parent's one thread."""

    def __init__(
        self,
        targets: Sequence[str],
        count: int,
        printer: Printer,
        gpus: Sequence[Variables] = (),
        preparation: Preparation | None = None,
    ) -> None:
        self._gpus = gpus  # by place; none: each child sees all
        self._printer = printer
        self._serials = mark.new_serials()
        self.template = TemplateProcess(targets, count, printer, preparation or Preparation())
        self.archives = ArchiveTemplates(self.template, (preparation or Preparation()).setup_seconds)
        self._wanted: dict[int, str] = {}  # place -> the archive whose template is to make its next child
        self.count = count
        self.slots: list[Slot] = []  # of the places that have a child, begun or not
        self.starts = Starts(count)
        self.limited = False  # what a job may take is to be looked at (limits.py)
        self.peak_bytes = 0  # the most that the processes of one of them held, as far as limits.py has looked
        self.settled = False  # every place has a child that takes jobs: `tend` has nothing to do

    def free(self) -> list[Slot]:
        """Return the slots that can begin a job."""
        return [slot for slot in self.slots if slot.free]

    def any_free(self) -> bool:
        """Return whether a slot can begin a job."""
        for slot in self.slots:  # noqa: SIM110 - the loop asks in every turn; `any` would take three times as long
            if slot.free:
                return True
        return False

    def ready(self) -> set[int]:
        """Return the places whose child takes jobs, or has some."""
        return {slot.number for slot in self.slots if slot.ready}

    def at(self, number: int) -> Slot | None:
        """Return the slot in this place; None while it is empty."""
        return next((slot for slot in self.slots if slot.number == number), None)

    def channels(self) -> Iterator[Slot]:
        """Yield the slots whose child may still say something."""
        return (slot for slot in self.slots if not slot.channel.closed)

    # --- children that come --------------------------------------------------------------------------------------

    def tend(self, now: float) -> None:
        """Do what is due: a template, children for empty places, an end to those that do not begin.

        To be called in each turn while not all is `settled`.
        """
        template = self.template
        if template.remains is not None and now >= template.remains.due:
            template.remains.look(now)
        if template.mailbox is None and now >= self.starts.template.due:
            try:
                template.start()
            except OSError as error:
                self.starts.template_failed(f"the template cannot be started: {error}", now)
        if template.import_seconds is None:
            return
        for slot in list(self.slots):
            if slot.proves(now):
                self.starts.proved(slot.number)
            elif not slot.has_begun and now >= slot.changes_at(self._start_seconds()):
                self.lost(slot, f"it did not begin within {self._start_seconds():.0f} s", with_job=False)
        for number in self._empty():
            if now >= self.starts.places[number].due:
                self._fill(number, now)
        over = template.remains is None or template.remains.due == NEVER
        self.settled = over and len(self.slots) == self.count and all(slot.ready for slot in self.slots)

    def due(self) -> float:
        """Return when `tend` has something to do, or there is something to tell."""
        if self.settled:
            return NEVER
        times = [self.starts.speaks_at()]
        times += [self.template.remains.due] if self.template.remains is not None else []
        if self.template.mailbox is None:
            times.append(self.starts.template.due)
        if self.template.import_seconds is not None:
            times += [self.starts.places[number].due for number in self._empty()]
            times += [slot.changes_at(self._start_seconds()) for slot in self.slots]
        return min(times)

    def begun(self, slot: Slot, now: float) -> None:
        """Note that a child has said that it is there."""
        slot.begun(now, self.starts.proof_seconds(slot.number))

    def _empty(self) -> set[int]:
        return set(range(self.count)) - {slot.number for slot in self.slots}

    def _start_seconds(self) -> float:
        return max(policy.START_SECONDS, 10 * (self.template.import_seconds or 0.0))

    def _fill(self, number: int, now: float) -> None:
        """Start a child for an empty place, unless this machine has no room for one now."""
        try:
            ours, theirs = socket.socketpair()
            with theirs:
                try:
                    _leave_room(theirs.fileno())
                    buffer = ResultBuffer.shared_over(ours)
                    output = self._printer.pipe_over(ours)
                    descriptor = os.dup(theirs.fileno())
                except BaseException:
                    ours.close()
                    raise
        except OSError as error:
            self.starts.lost(number, f"{error}", now, with_job=False, of_use=False)
            return
        maker = self.archives.ready(self._wanted.get(number, ""))
        slot = Slot(number, next(self._serials), Channel(ours), buffer, output, now, maker or self.template)
        slot.archive = maker.archive if maker is not None else ""
        self.slots.append(slot)
        output.running = slot.running
        self.slots.sort(key=lambda slot: slot.number)
        slot.maker.start_child(slot.serial, descriptor, self._gpus[number] if self._gpus else {})

    # --- children with the modules of an archive -----------------------------------------------------------------

    def suits(self, slot: Slot, archive: str) -> bool:
        """Return whether a slot's child may run a job with the modules of this archive ("": none).

        It never changes them. One without modules may take these where children import them for themselves.
        """
        return archive == slot.archive or (not slot.archive and not slot.jobs and self.archives.alone(archive))

    def bring(self, slot: Slot, archive: str, path: Path | None, body: Data | memoryview, now: float) -> None:
        """Put a child with these modules in the place of an idle one, once there is a template that has them.

        `path`: where the archive is. `body`: a call that needs it.
        """
        if path is None or self.archives.alone(archive) or self.archives.ready(archive):
            self._wanted[slot.number] = archive
            self.replace(slot, kill=False)
        elif not self.archives.imports(archive):
            if self.archives.is_full() and not self._end_one(slot, now):
                self.archives.stay_alone(archive, "there are templates of others", ALONE_SECONDS)
            else:
                self.archives.start(archive, path, body, next(self._serials), now)

    def _end_one(self, but: Slot, now: float) -> bool:
        """End the template of an archive none of whose children has a job; return whether there was one."""
        for archive in self.archives.oldest():
            if archive != but.archive and self._end_archive(archive, now, 0.0):
                return True
        return False

    def _end_archive(self, archive: str, now: float, idle_seconds: float) -> bool:
        of_it = [slot for slot in self.slots if slot.archive == archive and slot.maker is not self.template]
        one = self.archives.ready(archive)
        if one is None or now < one.used_at + idle_seconds or not all(slot.free for slot in of_it):
            return False
        for slot in of_it:
            self._wanted.pop(slot.number, None)
            self.replace(slot, kill=False)
        self.archives.end(archive)
        return True

    def tend_archives(self, now: float) -> None:
        """End templates of archives that no job has needed for long, and see to what dead ones have left."""
        self.archives.tend(now)
        for archive in self.archives.oldest():
            self._end_archive(archive, now, IDLE_SECONDS)

    # --- children that go ----------------------------------------------------------------------------------------

    def mailboxes(self) -> list[Mailbox]:
        """Return those of the templates."""
        found = [one.mailbox for one in self.archives] if self.archives else []
        return found if self.template.mailbox is None else [self.template.mailbox, *found]

    def read_templates(self, ready: Container[int]) -> list[tuple[Slot, str]] | None:
        """Read what templates say whose mailbox is ready, and return the children that ended, or could not be had.

        Each with how; None at the end of the template.
        """
        lost: list[tuple[Slot, str]] = []
        if self.template.mailbox is not None and self.template.mailbox.fileno() in ready:
            of_worker = self._read_template()
            if of_worker is None:
                return None
            lost += of_worker
        for one in self.archives if self.archives else ():
            if one.mailbox.fileno() in ready:
                lost += self._lost_of(self.archives.read(one))
        return lost

    def _read_template(self) -> list[tuple[Slot, str]] | None:
        try:
            lines = self.template.read()
        except TargetError as error:  # the files have changed since the worker was started
            self.end_template()
            self.starts.template_failed(str(error), time.monotonic())
            return []
        return None if lines is None else self._lost_of(lines)

    def _lost_of(self, lines: list[Line]) -> list[tuple[Slot, str]]:
        lost: list[tuple[Slot, str]] = []
        for line in lines:
            if "started" in line:
                if slot := self._of_serial(line["started"]):
                    slot.pid = line["pid"]
            elif "ended" in line:
                if slot := self._of_serial(line["ended"]):
                    lost.append((slot, in_words(line["status"]) + ("" if slot.has_begun else " before it began")))
            elif slot := self._of_serial(line["failed"]):
                lost.append((slot, line["error"]))
        return lost

    def _of_serial(self, serial: int) -> Slot | None:
        return next((slot for slot in self.slots if slot.serial == serial), None)

    def end_template(self) -> None:
        """Let go of a template that is gone, and of its children."""
        self.template.end()
        self.let_go_of_all()

    def let_go_of_all(self) -> None:
        """Let go of children whose template is gone: they ended with it."""
        self.archives.lost()
        for slot in self.slots:
            slot.close()
        self.slots, self.settled = [], False

    def lost(self, slot: Slot, how: str, *, with_job: bool) -> None:
        """Replace a child that has ended by itself, or must, as soon as starts.py allows it."""
        now = time.monotonic()
        of_use = slot.was_of_use(now)
        self.replace(slot, kill=True)
        self.starts.lost(slot.number, slot.unable or how, now, with_job=with_job, of_use=of_use)

    def replace(self, slot: Slot, *, kill: bool) -> None:
        """Let `tend` put a fresh child in its place; the old one is killed, or ends by itself when its channel ends."""
        if kill:
            slot.maker.kill_child(slot.serial)
        slot.close()
        self.slots.remove(slot)
        self.settled = False

    def stop(self) -> None:
        """End everything, and return when the templates are gone."""
        for slot in self.slots:
            slot.close()
        self.archives.stop()
        self.template.stop()


def _leave_room(descriptor: int) -> None:
    """Raise OSError where a place with this descriptor would leave too few for the connections to Redis."""
    if descriptor + SPARE_DESCRIPTORS > resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 0:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
