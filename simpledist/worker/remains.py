"""Processes that a child leaves behind when it ends: programs that its jobs started, and forked copies of it.

The template uses it for its children, and the parent for a template that died. Each process gets SIGTERM first, so that
it can put its things in order, and SIGKILL two seconds later. The trackers of multiprocessing and loky ignore SIGTERM:
they wait until the processes of their pool are gone and then remove its shared memory, so they get SIGKILL last.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass, field

from simpledist import policy
from simpledist.worker import mark


@dataclass(slots=True)
class _Ended:
    """A child that has ended. `group`: its process group. `signalled`: the processes outside it that got SIGTERM."""

    group: int
    kill_at: float
    signalled: set[int] = field(default_factory=set[int])


class Remains:
    """The processes that have outlived their child. Used by one thread."""

    def __init__(self, token: int, *, marked: bool = True) -> None:
        self._token = token
        self._marked = marked  # else process groups are all that there is to find them by
        self._ended: dict[int, _Ended] = {}
        self._everything = False
        self._look_at = float("inf")
        self._not_before = 0.0

    @property
    def due(self) -> float:
        """Return when to look for them next; never, where no child has ended."""
        return max(self._look_at, self._not_before)

    def add(self, serial: int, group: int, now: float) -> None:
        """Note that this child has ended. Call it while the number of its group is still its own."""
        _signal_group(group, signal.SIGTERM)
        self._ended[serial] = _Ended(group, now + policy.TERM_SECONDS)
        self._look_at = min(self._look_at, now + policy.SWEEP_SECONDS)

    def add_everything(self, now: float) -> None:
        """Note that the template has ended, or is about to: nothing that bears its mark may stay."""
        self._everything = True
        self._ended.setdefault(0, _Ended(0, now + policy.TERM_SECONDS))
        self._look_at = self._not_before = now

    def look(self, now: float) -> bool:
        """Signal whatever is still there; return whether anything was."""
        began = time.monotonic()
        found: set[int] = set()
        for pid, serial in mark.bearers(self._token) if self._marked else ():
            if pid == os.getpid() or not (self._everything or serial in self._ended):
                continue
            found.add(serial)
            self._end(pid, serial, now)
        for serial, ended in list(self._ended.items()):
            if not self._marked and now >= ended.kill_at:
                _signal_group(ended.group, signal.SIGKILL)
            over = now >= ended.kill_at + policy.GIVE_UP_SECONDS  # it belongs to another user, or hangs in the kernel
            if over or (now >= ended.kill_at and serial not in found):
                del self._ended[serial]
        self._look_at = float("inf")
        if self._ended:
            next_kill = min(ended.kill_at for ended in self._ended.values())
            self._look_at = now + policy.SWEEP_SECONDS if found else max(next_kill, now)
        # On a machine with many processes a look takes long: it may cost the template a twentieth of its time.
        self._not_before = 0.0 if self._everything else now + 20 * (time.monotonic() - began)
        return bool(found)

    def _end(self, pid: int, serial: int, now: float) -> None:
        ended = self._ended.setdefault(serial, _Ended(0, now + policy.TERM_SECONDS))
        kill_at = ended.kill_at + (policy.TRACKER_SECONDS if now >= ended.kill_at and _is_tracker(pid) else 0.0)
        if now >= kill_at:
            self._signal(pid, serial, signal.SIGKILL)
        elif pid not in ended.signalled and _group_of(pid) != ended.group:
            ended.signalled.add(pid)
            self._signal(pid, serial, signal.SIGTERM)

    def _signal(self, pid: int, serial: int, number: signal.Signals) -> None:
        """Send a signal to the process that bears the mark, not to another that has got its number meanwhile."""
        with contextlib.suppress(OSError):  # it has ended by itself, or belongs to another user now
            if not hasattr(os, "pidfd_open"):
                os.kill(pid, number)
                return
            descriptor = os.pidfd_open(pid)
            try:
                if mark.bears(pid, self._token, serial):
                    signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)


def _signal_group(group: int, number: signal.Signals) -> None:
    if group > 1:
        with contextlib.suppress(OSError):  # it is empty
            os.killpg(group, number)


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return -1


def _is_tracker(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"resource_tracker" in file.read(4096)
    except OSError:
        return False
