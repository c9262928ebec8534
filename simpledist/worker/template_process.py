"""The template process, as its parent sees it: its start, its introduction, what it says of children, its end.

Owns the process and the mailbox to it. Knows nothing of slots: children.py asks for children by their serial number and
hears what became of them.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from simpledist.errors import TargetError
from simpledist.exit_status import in_words
from simpledist.printable import logger
from simpledist.worker import environment, mark
from simpledist.worker.gpus import Variables
from simpledist.worker.launch import Launch, Preparation
from simpledist.worker.mailbox import Line, Mailbox
from simpledist.worker.printer import Printer
from simpledist.worker.remains import Remains

log = logger("simpledist.worker")

IMPORT_SECONDS = 10.0  # an import that takes so long is mentioned in the log
STOP_SECONDS = 6.0
STOP_LOOK_SECONDS = 0.02


class TemplateProcess:
    """One template after the other: after the death of one, `start` makes another. Used by the parent's one thread."""

    def __init__(self, targets: Sequence[str], count: int, printer: Printer, preparation: Preparation) -> None:
        self._targets = list(targets)
        self._preparation = preparation
        self._count = count
        self._printer = printer
        self._process: subprocess.Popen[bytes] | None = None
        self._token = 0
        self._since = self._setup_since = 0.0
        self._in_setup = ""  # the function of --setup, once it was begun
        self.mailbox: Mailbox | None = None  # None while there is no template
        self.forks = False  # its children are forked: so may be templates of archives
        self.import_seconds: float | None = None  # None: the template has not imported the targets yet
        self.remains: Remains | None = None  # what a template that died has left behind
        self.functions: dict[str, str] = {}  # qualified name -> fingerprint
        self.digests: dict[str, str] = {}  # qualified name -> the digest of its code as it was loaded, "" for none
        self.places: dict[str, str] = {}  # qualified name -> where that code stands (CodeDigest.short_place)
        self.packages: dict[str, dict[str, str]] = {}  # qualified name -> other first-party packages, each with a hash
        self.code: dict[str, str] = {}  # the parts of that code: code/outline.py
        self.distributions: dict[str, str] = {}  # what code that comes with its call finds installed, with versions
        self.shared_generators: list[str] = []  # random generators in modules, of which each child has a copy

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start a template, which imports the targets. Raises OSError where this machine has no room for it."""
        ours, theirs = socket.socketpair()
        self._token = mark.new_token()
        launch = Launch(theirs.fileno(), os.getpid(), self._token, self._targets, **asdict(self._preparation))
        with theirs:
            try:
                _, output = self._printer.pipe()
            except BaseException:
                ours.close()
                raise
            try:
                self._process = subprocess.Popen(
                    launch.command(),
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=environment.of_children(self._count),
                    start_new_session=True,  # a job that kills its own group does not kill the template
                )
            except BaseException:
                ours.close()
                raise
            finally:
                os.close(output)
        ours.setblocking(False)
        self.mailbox = Mailbox(ours)
        self._since, self.import_seconds, self._in_setup = time.monotonic(), None, ""

    def await_introduction(self) -> None:
        """Wait until the template has imported the targets; raises TargetError with its one line."""
        assert self.mailbox is not None
        while self.import_seconds is None:
            if not self.mailbox.wait(IMPORT_SECONDS):
                log.warning(
                    "%s goes on for %.0f s: nothing is offered before it has ended",
                    f"--setup {self._in_setup}" if self._in_setup else f"the import of {' '.join(self._targets)}",
                    time.monotonic() - self._since,
                )
            elif (lines := self.mailbox.read()) is None:
                raise TargetError(self._unfinished())
            else:
                for line, _ in lines:
                    self._introduced(line)

    def _unfinished(self) -> str:
        """Return in a line how a template has ended that did not introduce itself."""
        lasted, how = time.monotonic() - self._setup_since, self.end()
        if not self._in_setup:
            return f"importing {' '.join(self._targets)} ended the process ({how})"
        if lasted >= self._preparation.setup_seconds:
            return f"--setup {self._in_setup} did not end within {self._preparation.setup_seconds:g} s"
        return f"--setup {self._in_setup} ended the process ({how})"

    def start_child(self, serial: int, descriptor: int, variables: Variables) -> None:
        """Ask for a child with these variables; `descriptor` is its side of the channel, and is closed here."""
        assert self.mailbox is not None
        self.mailbox.post({"start": serial, "variables": {**variables}}, descriptor)

    def start_archive(
        self, serial: int, descriptor: int, *, token: int, path: str, modules: list[str], seconds: float
    ) -> None:
        """Ask for a template of an archive; `descriptor` is its side of its mailbox, and is closed here."""
        assert self.mailbox is not None
        about = {"archive": path, "modules": modules, "token": token, "seconds": seconds}
        self.mailbox.post({"start": serial, **about}, descriptor)

    def kill_child(self, serial: int) -> None:
        """Ask for the end of a child."""
        if self.mailbox is not None:
            self.mailbox.post({"kill": serial})

    def read(self) -> list[Line] | None:
        """Return what the template says of children; None at its own end.

        Raises TargetError from a new template that cannot import the targets: their files have changed.
        """
        assert self.mailbox is not None
        self.mailbox.flush()
        lines = self.mailbox.read()
        if lines is None:
            return None
        of_children: list[Line] = []
        for line, _ in lines:
            if "started" in line or "ended" in line or "failed" in line:
                of_children.append(line)
            else:
                self._introduced(line)
        return of_children

    def _introduced(self, line: dict[str, Any]) -> None:
        if "setup" in line:
            self._in_setup, self._setup_since = line["setup"], time.monotonic()
            return
        if "error" in line:
            raise TargetError(line["error"])
        known: dict[str, dict[str, Any]] = line["functions"]
        self.functions = {name: one["fingerprint"] for name, one in known.items()}
        self.digests = {name: one["digest"] for name, one in known.items()}
        self.packages = {name: one["packages"] for name, one in known.items()}
        self.places = {name: one["place"] for name, one in known.items()}
        self.code, self.distributions = line["code"], line["distributions"]
        self.forks = line["forks"]
        for reason in line["changed"]:
            log.warning("%s: its functions are served by name only; restart the worker", reason)
        shared: list[str] = line["generators"]
        if shared and shared != self.shared_generators:
            log.warning(
                "each child has a copy of the random generator %s, and draws the same numbers: "
                "give the function a seed (docs/random.md)",
                ", ".join(shared),
            )
        self.shared_generators = shared
        self.import_seconds = time.monotonic() - self._since

    def end(self) -> str:
        """Let go of a template that is gone; return how it ended, for people."""
        if self._process is None:
            return "it did not start"
        if self.mailbox is not None:
            self.mailbox.close()
            self.mailbox = None
        self._process.kill()
        how = in_words(self._process.wait())
        self._process = None
        self.remains = Remains(self._token)
        self.remains.add_everything(time.monotonic())
        return how

    def stop(self) -> None:
        """End the template and its children, and return when all that they started is gone."""
        if self._process is not None:
            assert self.mailbox is not None
            self.mailbox.close()  # the template ends its children, and what they leave, at the end of this socket
            try:
                self._process.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        until = time.monotonic() + STOP_SECONDS
        while self.remains is not None and self.remains.look(time.monotonic()) and time.monotonic() < until:
            time.sleep(STOP_LOOK_SECONDS)
