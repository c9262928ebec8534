"""The template: imports the targets once, forks a child for each slot, reaps them, and tells the parent of each death.

A fresh interpreter: it inherits no socket, key or Redis module from the parent, and so neither do the children.
Speaks lines of JSON over a Unix socket. In: {start: slot} with the child's socket beside it, {kill: pid}. Out:
{functions | error} once, then {started: slot, pid} and {ended: pid, status}. It alone reaps, so a pid that it kills
is never another process's.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from simpledist.errors import TargetError
from simpledist.fingerprint import fingerprint
from simpledist.worker import child, lifeline
from simpledist.worker.output import Output
from simpledist.worker.targets import Functions, resolve

_MOST_DESCRIPTORS = 64


class Template:
    """One thread, one select: requests, child deaths, and the end of the parent."""

    def __init__(self, sock: socket.socket, targets: Sequence[str], functions: Functions, output: Output) -> None:
        self._sock = sock
        self._targets = targets
        self._functions = functions
        self._output = output
        self._children: set[int] = set()
        self._descriptors: deque[int] = deque()
        self._line = b""
        self._fork = forking_is_safe()

    def serve(self) -> None:
        """Until the parent is gone."""
        woken, wake = socket.socketpair()
        woken.setblocking(False)
        wake.setblocking(False)
        signal.signal(signal.SIGCHLD, lifeline.nothing)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        try:
            while True:
                readable = select.select([self._sock, woken], [], [])[0]
                if woken in readable:
                    woken.recv(4096)
                    self._reap()
                if self._sock in readable and not self._read():
                    return
        finally:
            signal.set_wakeup_fd(-1)  # children that die after us still signal

    def stop(self) -> None:
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)

    def _read(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self._sock, 65536, _MOST_DESCRIPTORS)
        self._descriptors.extend(descriptors)
        if not data:
            return False
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            request: dict[str, Any] = json.loads(line)
            if "start" in request:
                pid = self._start(self._descriptors.popleft())
                self._children.add(pid)
                self._tell({"started": request["start"], "pid": pid})
            elif request["kill"] in self._children:
                os.kill(request["kill"], signal.SIGKILL)
        return True

    def _start(self, descriptor: int) -> int:
        if not self._fork:
            pid = self._spawn(descriptor)
        else:
            template = os.getpid()
            pid = os.fork()
            if pid == 0:
                self._become_child(descriptor, template)
        os.close(descriptor)
        return pid

    def _become_child(self, descriptor: int, template: int) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._sock.close()
            for other in self._descriptors:
                os.close(other)
            child.begin(socket.socket(fileno=descriptor), self._functions, self._output, template)
        finally:
            os._exit(1)

    def _spawn(self, descriptor: int) -> int:
        os.set_inheritable(descriptor, True)
        command = [sys.executable, "-c", "from simpledist.worker.child import main; main()"]
        return os.posix_spawn(
            sys.executable, [*command, str(descriptor), str(os.getpid()), *self._targets], dict(os.environ)
        )

    def _reap(self) -> None:
        while self._children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._children:
                self._children.discard(pid)
                self._tell({"ended": pid, "status": os.waitstatus_to_exitcode(status)})

    def _tell(self, fields: dict[str, Any]) -> None:
        self._sock.sendall(json.dumps(fields).encode() + b"\n")


def forking_is_safe() -> bool:
    """Not on macOS, and not once the imported modules have started threads: their locks would be copied locked."""
    if sys.platform == "darwin" or threading.active_count() > 1:
        return False
    listing = Path("/proc/self/task")
    return not listing.is_dir() or len(list(listing.iterdir())) == 1


def main() -> None:
    """`fd parent-pid TARGET...`; the current directory is importable."""
    fd, parent, *targets = sys.argv[1:]
    lifeline.ignore_stop_signals()
    lifeline.die_with(int(parent))
    output = child.capture_output()
    sock = socket.socket(fileno=int(fd))
    try:
        functions = resolve(targets)
    except TargetError as error:
        sock.sendall(json.dumps({"error": str(error)}).encode() + b"\n")
        return
    offered = [[name, fingerprint(function)] for name, function in functions.items()]
    sock.sendall(json.dumps({"functions": offered}).encode() + b"\n")
    gc.collect()
    gc.freeze()  # what is imported stays shared between the children
    template = Template(sock, targets, functions, output)
    try:
        template.serve()
    except (BrokenPipeError, ConnectionResetError):
        return  # the parent is gone
    finally:
        template.stop()
