"""The template: imports the targets once, forks a child for each slot, reaps them, and tells the parent of each death.

A fresh interpreter (launch.py): it inherits no socket, key or Redis module from the parent, and so neither do the
children. Where forking is not safe, or this system has no fork, it spawns children (forking.py).
Speaks lines of JSON over a Unix socket (mailbox.py). In: {start: serial, variables} with the child's socket attached,
{kill: serial}. A start with an `archive` asks for a template of that archive in the place of a child: a copy of this
one that imports its modules, says {ready: pid}, or {alone: why} and ends, and then does the same over its own socket.
Out: {setup} where it begins one, then what introduction.py makes, or {error}, once; then {started:
serial, pid} or {failed: serial, error}, and {ended: serial, status}. It alone reaps, so a pid that it kills is never
another process's. When the parent is gone it ends the children, and what they have started.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import select
import signal
import socket
import time
from dataclasses import replace
from typing import Any

from simpledist.errors import TargetError
from simpledist.worker import child, lifeline, mark
from simpledist.worker.entering import enter_and_import
from simpledist.worker.forking import fork_child, forking_is_safe, spawn_child
from simpledist.worker.gpus import Variables
from simpledist.worker.introduction import introduction
from simpledist.worker.launch import Launch, launched, set_path
from simpledist.worker.mailbox import Mailbox
from simpledist.worker.output import Output
from simpledist.worker.remains import Remains
from simpledist.worker.setup import run_setup
from simpledist.worker.targets import Functions, resolve

END_SECONDS = 5.0  # so long it waits, when the parent is gone, for what the jobs have left behind
END_LOOK_SECONDS = 0.05


class Template:
    """One thread, one poll: requests, child deaths, what children leave behind, and the end of the parent."""

    def __init__(
        self,
        mailbox: Mailbox,
        launch: Launch,
        functions: Functions,
        output: Output,
        *,
        loaded: str,
        marked: bool,
    ) -> None:
        self._mailbox = mailbox
        self._launch = launch
        self._loaded = loaded
        self._functions = functions
        self._output = output
        self._children: dict[int, int] = {}  # pid -> serial, of those that are not reaped
        self._templates: set[int] = set()  # those of them that are templates of archives
        self._remains = Remains(launch.token, marked=marked)
        self._fork = forking_is_safe()
        self._woken, self._wake = socket.socketpair()

    def serve(self) -> None:
        """Do what the parent asks until it is gone; then end the children, and what they have started."""
        self._woken.setblocking(False)
        self._wake.setblocking(False)
        signal.signal(signal.SIGCHLD, lifeline.nothing)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        lifeline.adopt_orphans()
        lifeline.outlive_parent()
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        poll.register(self._mailbox, select.POLLIN)
        try:
            while True:
                ready = {number for number, _ in poll.poll(self._pause_ms())}
                if self._woken.fileno() in ready:
                    self._wake_up()
                if time.monotonic() >= self._remains.due:
                    self._remains.look(time.monotonic())
                if self._mailbox.fileno() in ready and not self._read():
                    break
            self._end(poll)
        finally:
            signal.set_wakeup_fd(-1)
            self._woken.close()
            self._wake.close()
            self._mailbox.close()

    def _pause_ms(self) -> int | None:
        due = self._remains.due
        return None if due == float("inf") else math.ceil(max(0.0, due - time.monotonic()) * 1000)

    def _wake_up(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._woken.recv(4096)
        self._reap()

    def _end(self, poll: select.poll) -> None:
        poll.unregister(self._mailbox)
        for pid in self._children.keys() - self._templates:  # those end their children, and then themselves
            os.kill(pid, signal.SIGKILL)
        self._remains.add_everything(time.monotonic())
        until = time.monotonic() + END_SECONDS
        while time.monotonic() < until:
            self._wake_up()
            if not self._remains.look(time.monotonic()) and not self._children:
                return
            poll.poll(END_LOOK_SECONDS * 1000)

    def _read(self) -> bool:
        lines = self._mailbox.read()
        for line, descriptor in lines or ():
            if "start" in line:
                self._start(line["start"], descriptor, line)
            else:
                for pid in [pid for pid, serial in self._children.items() if serial == line["kill"]]:
                    os.kill(pid, signal.SIGKILL)
        return lines is not None

    def _start(self, serial: int, descriptor: int | None, line: dict[str, Any]) -> None:
        """Start a child, unless this machine has no room for one: then the parent decides when to try again."""
        if descriptor is None:
            self._tell({"failed": serial, "error": "too many open files in the template"})
            return
        try:
            if "archive" in line:
                pid = self._forked_template(descriptor, line)
                self._templates.add(pid)
            else:
                pid = (self._forked if self._fork else self._spawned)(descriptor, serial, line["variables"])
        except (OSError, MemoryError) as error:
            self._tell({"failed": serial, "error": f"no process for it: {error or type(error).__name__}"})
        else:
            self._children[pid] = serial
            self._tell({"started": serial, "pid": pid})
        finally:
            os.close(descriptor)

    def _forked(self, descriptor: int, serial: int, variables: Variables) -> int:
        def run() -> None:
            os.environ.update(variables)
            self._close()
            child.begin(socket.socket(fileno=descriptor), self._functions, self._output)

        return fork_child(run, token=self._launch.token, serial=serial)

    def _close(self) -> None:
        """In a copy of this process: let go of what is its original's."""
        for ours in (self._woken, self._wake, self._mailbox):
            ours.close()

    def _forked_template(self, descriptor: int, line: dict[str, Any]) -> int:
        def run() -> None:
            self._close()
            mailbox = Mailbox(socket.socket(fileno=descriptor))
            if why := enter_and_import(line["archive"], line["modules"], line["seconds"]):
                mailbox.post({"alone": why})
                os._exit(0)
            mailbox.post({"ready": os.getpid()})
            gc.collect()
            gc.freeze()
            launch = replace(self._launch, token=line["token"])
            marked = mark.bears(os.getpid(), launch.token, 0)
            Template(mailbox, launch, self._functions, self._output, loaded=self._loaded, marked=marked).serve()
            os._exit(0)

        return fork_child(run, token=line["token"], serial=0)

    def _spawned(self, descriptor: int, serial: int, variables: Variables) -> int:
        launch = replace(self._launch, socket=descriptor, parent=os.getpid(), serial=serial, loaded=self._loaded)
        return spawn_child(launch, variables)

    def _reap(self) -> None:
        for pid, status in lifeline.reap(self._ends):
            self._templates.discard(pid)
            if pid in self._children:
                self._tell({"ended": self._children.pop(pid), "status": os.waitstatus_to_exitcode(status)})

    def _ends(self, pid: int) -> None:
        if pid in self._children:
            self._remains.add(self._children[pid], pid, time.monotonic())

    def _tell(self, line: dict[str, Any]) -> None:
        self._mailbox.post(line)


def main() -> None:
    """Run the template from its first moment to its end; the current folder is importable."""
    launch = launched()
    lifeline.ignore_stop_signals()
    lifeline.die_with(launch.parent)
    marked = mark.put_on(launch.token, 0)
    set_path(launch)
    output = child.capture_output()
    mailbox = Mailbox(socket.socket(fileno=launch.socket))
    try:
        functions = resolve(launch.targets)
        if launch.setup:
            mailbox.post({"setup": launch.setup})
            run_setup(launch)
    except TargetError as error:
        mailbox.post({"error": str(error)})
        mailbox.close()
        return
    line = introduction(functions, forks=forking_is_safe())
    mailbox.post(line)
    gc.collect()
    gc.freeze()  # what is imported stays shared between the children
    Template(mailbox, launch, functions, output, loaded=line["loaded"], marked=marked).serve()
