"""Templates of archives, as the parent sees them: each has imported a program's modules, and its children share them.

Owns which archives have a template, and which can have none: where a fork of what was imported is not safe (`alone`,
each child imports for itself), and where the import hangs (`refusal`). The worker's own template forks each of them
(template.py), and ends with the last of them. children.py asks for one before it fills a place. Used by the parent's
one thread.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from simpledist import policy
from simpledist.buffers import Data
from simpledist.code.pickled_names import names_in
from simpledist.printable import logger
from simpledist.worker import mark
from simpledist.worker.gpus import Variables
from simpledist.worker.mailbox import Line, Mailbox
from simpledist.worker.remains import Remains
from simpledist.worker.slot import NEVER
from simpledist.worker.template_process import TemplateProcess

log = logger("simpledist.worker")

MOST = 4
IDLE_SECONDS = 600.0  # one whose children had no job for so long ends
ALONE_SECONDS = 60.0  # an archive for which there was no room is tried again after so long
SPARE_SECONDS = 10.0  # a template whose import is over its bound, and that does not even end by itself, gets so long
_MOST_TEXTS = 500  # of a call, among which are the names of modules
_MOST_KEPT = 1000
_IMPORT_DEATHS = 3  # templates of one archive that died; then each child imports for itself


@dataclass(eq=False)
class ArchiveTemplate:
    """One of them. `pid` None: it has not imported the modules yet."""

    archive: str
    serial: int
    token: int
    mailbox: Mailbox
    started_at: float
    used_at: float
    pid: int | None = None

    def start_child(self, serial: int, descriptor: int, variables: Variables) -> None:
        """Ask for a child, as of the worker's own template."""
        self.mailbox.post({"start": serial, "variables": {**variables}}, descriptor)

    def kill_child(self, serial: int) -> None:
        """Ask for the end of a child."""
        self.mailbox.post({"kill": serial})


@dataclass(slots=True)
class _Known:
    """What is known of an archive that has no template. Times: time.monotonic()."""

    alone_until: float = 0.0
    refused_until: float = 0.0
    why: str = ""
    deaths: int = 0


@dataclass(slots=True)
class ArchiveTemplates:
    """Those of one worker."""

    template: TemplateProcess
    import_seconds: float = policy.SETUP_SECONDS
    _live: dict[str, ArchiveTemplate] = field(default_factory=dict[str, ArchiveTemplate])
    _known: dict[str, _Known] = field(default_factory=dict[str, _Known])
    _remains: list[Remains] = field(default_factory=list[Remains])

    def __bool__(self) -> bool:
        return bool(self._live or self._remains)

    def __iter__(self) -> Iterator[ArchiveTemplate]:
        return iter(list(self._live.values()))

    # --- what is known of an archive -----------------------------------------------------------------------------

    def ready(self, archive: str) -> ArchiveTemplate | None:
        """Return the template that has imported this archive's modules, None where there is none."""
        one = self._live.get(archive)
        return one if one is not None and one.pid is not None else None

    def imports(self, archive: str) -> bool:
        """Return whether a template imports these modules now."""
        one = self._live.get(archive)
        return one is not None and one.pid is None

    def alone(self, archive: str) -> bool:
        """Return whether each child imports the modules of this archive for itself."""
        if not self.template.forks:
            return True
        known = self._known.get(archive)
        return known is not None and time.monotonic() < known.alone_until

    def refusal(self, archive: str) -> str:
        """Return why jobs with this archive are refused here, "" where they are not."""
        known = self._known.get(archive) if self._known else None
        return known.why if known is not None and time.monotonic() < known.refused_until else ""

    def used(self, archive: str, now: float) -> None:
        """Note that a job with this archive begins."""
        if (one := self._live.get(archive)) is not None:
            one.used_at = now

    def oldest(self) -> list[str]:
        """Return the archives that have a template; the one that was not used for longest is the first."""
        return sorted(self._live, key=lambda archive: self._live[archive].used_at)

    def is_full(self) -> bool:
        return len(self._live) >= MOST

    # --- templates that come and go ------------------------------------------------------------------------------

    def start(self, archive: str, path: Path, body: Data | memoryview, serial: int, now: float) -> None:
        """Have a template import those modules of an archive that this call names."""
        if self.template.mailbox is None:
            return
        token = mark.new_token()
        texts = [text for text in names_in(body) if all(map(str.isidentifier, text.split(".")))]
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            descriptor = os.dup(theirs.fileno())
        self._live[archive] = ArchiveTemplate(archive, serial, token, Mailbox(ours), now, now)
        self.template.start_archive(
            serial,
            descriptor,
            token=token,
            path=str(path),
            modules=sorted(texts)[:_MOST_TEXTS],
            seconds=self.import_seconds,
        )

    def stay_alone(self, archive: str, why: str, seconds: float = NEVER) -> None:
        """Have children import the modules of this archive for themselves."""
        log.debug("archive %.12s: each child imports its modules for itself: %s", archive, why)
        self._of(archive).alone_until = time.monotonic() + seconds

    def end(self, archive: str) -> None:
        """End a template; its children end with it."""
        self._live.pop(archive).mailbox.close()

    def stop(self) -> None:
        """Let all of them end, with their children and what those have started: the worker's template waits for it."""
        for archive in list(self._live):
            self.end(archive)

    def lost(self) -> None:
        """Let go of all of them: they died with the worker's template, and did not see to what their jobs started."""
        for one in self:
            self._gone(one)
        self._known.clear()

    def tend(self, now: float) -> None:
        """Do what is due: look for what a dead one has left, end one that hangs."""
        for remains in self._remains[:]:
            if now >= remains.due:
                remains.look(now)
            elif remains.due == NEVER:
                self._remains.remove(remains)
        for one in self:
            if one.pid is None and now >= one.started_at + self.import_seconds + SPARE_SECONDS:
                self.template.kill_child(one.serial)

    def _gone(self, one: ArchiveTemplate) -> None:
        del self._live[one.archive]
        one.mailbox.close()
        remains = Remains(one.token)
        remains.add_everything(time.monotonic())
        self._remains.append(remains)

    def _of(self, archive: str) -> _Known:
        if len(self._known) >= _MOST_KEPT:
            self._known.clear()
        return self._known.setdefault(archive, _Known())

    # --- what they say -------------------------------------------------------------------------------------------

    def read(self, one: ArchiveTemplate) -> list[Line]:
        """Return what a template says of its children."""
        one.mailbox.flush()
        lines = one.mailbox.read()
        if lines is None:
            self._died(one)
            return []
        of_children: list[Line] = []
        for line, _ in lines:
            if "ready" in line:
                one.pid = line["ready"]
                self._of(one.archive).deaths = 0
            elif "alone" in line:
                self.stay_alone(one.archive, line["alone"])
            else:
                of_children.append(line)
        return of_children

    def _died(self, one: ArchiveTemplate) -> None:
        self._gone(one)
        if self.alone(one.archive):
            return
        known, lasted = self._of(one.archive), time.monotonic() - one.started_at
        if one.pid is None and lasted >= self.import_seconds:
            known.refused_until = time.monotonic() + IDLE_SECONDS
            known.why = f"the import of its modules did not end within {self.import_seconds:g} s"
            log.error("archive %.12s: %s; calls with it are refused for %g s", one.archive, known.why, IDLE_SECONDS)
            return
        known.deaths += 1
        log.warning("the template of archive %.12s died after %.1f s", one.archive, lasted)
        if one.pid is None or known.deaths >= _IMPORT_DEATHS:
            self.stay_alone(one.archive, "its template died", IDLE_SECONDS)
