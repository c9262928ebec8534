"""All hosts of one command: starts a connection to each, tries again where one is lost, drains them all at the end.

Owns the loop, the signals and the exit code. One thread. A first Ctrl-C (or SIGTERM) drains, a second one (or SIGHUP)
ends at once. Called by cli/ssh.py, which shows what `Show` is given.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from simpledist import end_signals
from simpledist.ssh.hosts import Host
from simpledist.ssh.session import Outcome, Plan, Session

OK, WRONG = 0, 1
LOOK_SECONDS = 0.1
STARTS_AT_ONCE = 8  # connections that are being made: each is a key exchange here
PAUSE_SECONDS, PAUSE_MOST_SECONDS = 1.0, 60.0
WELL_SECONDS = 60.0  # a connection that held for so long is no failed try
STOP_SECONDS = 10.0  # after that ssh is killed


@dataclass(slots=True)
class HostRun:
    """What became of one host so far. `outcome` is set once nothing more is tried."""

    host: Host
    session: Session | None = None
    outcome: Outcome | None = None
    last: str = ""  # why it is not connected, or the last line of its output
    tries: int = 0
    started_at: float = 0.0
    due_at: float = 0.0
    was_up: bool = False

    @property
    def state(self) -> str:
        if self.outcome is not None:
            return "ended" if self.outcome.code == 0 else "failed"
        if self.session is not None:
            return self.session.state
        return "waits" if not self.tries else f"again in {max(self.due_at - time.monotonic(), 0):.0f} s"


class Show(Protocol):
    """Where lines and states go."""

    def line(self, host: Host, text: str) -> None:
        """Show a line of a host."""

    def states(self, runs: Sequence[HostRun]) -> None:
        """Show what the hosts are at; called often."""


class Fleet:
    """The hosts of one command. `run` returns once all of them have ended."""

    def __init__(self, hosts: Sequence[Host], plan: Plan, folder: Path, show: Show) -> None:
        self._runs = [HostRun(host) for host in hosts]
        self._plan = plan
        self._folder = folder
        self._show = show
        self._serial = 0
        self._asked = 0
        self._kill_at: float | None = None

    def run(self) -> int:
        """Keep a worker on each host until all have ended; return the exit code: 0 if all of them ended well."""
        with end_signals.counted(hangup=2) as (woken, asked):
            try:
                while any(run.outcome is None for run in self._runs):
                    self._look(woken)
                    self._follow(asked())
                    for run in self._runs:
                        self._step(run)
                    self._start_some()
                    self._show.states(self._runs)
            finally:
                for run in self._runs:
                    if run.session is not None:
                        run.session.kill()
        well = all(run.outcome is not None and run.outcome.code == 0 for run in self._runs)
        return OK if well and self._asked < 2 else WRONG

    def _look(self, woken: int) -> None:
        """Wait for something to read or write, for a signal, or a moment; read and write it."""
        sessions = [run.session for run in self._runs if run.session is not None]
        poll = select.poll()
        poll.register(woken, select.POLLIN)
        owners: dict[int, Session] = {}
        writing: set[int] = set()
        for session in sessions:
            for number in session.reading:
                owners[number] = session
                poll.register(number, select.POLLIN)
            for number in session.writing:
                owners[number] = session
                writing.add(number)
                poll.register(number, select.POLLOUT)
        for number, _ in poll.poll(LOOK_SECONDS * 1000):
            if number == woken:
                with contextlib.suppress(BlockingIOError):
                    os.read(woken, 64)
            elif number in writing:
                owners[number].write()
            else:
                owners[number].read(number)

    def _follow(self, asked: int) -> None:
        """Drain at the first signal, stop at the second."""
        if asked == self._asked:
            return
        if asked >= 1 and self._asked == 0:
            for run in self._runs:
                self._end(run, Session.drain)
        if asked >= 2 and self._asked < 2:
            self._kill_at = time.monotonic() + STOP_SECONDS
            for run in self._runs:
                self._end(run, Session.stop)
        self._asked = asked

    def _end(self, run: HostRun, how: Callable[[Session], None]) -> None:
        if run.session is not None:
            how(run.session)
        elif run.outcome is None:
            run.outcome = Outcome(run.last or "not started", again=False, code=0 if not run.last else None)

    def _step(self, run: HostRun) -> None:
        session = run.session
        if session is None:
            return
        session.tick()
        run.was_up = run.was_up or session.running
        if self._kill_at is not None and time.monotonic() > self._kill_at:
            session.kill()
        if session.outcome is not None:
            self._ended(run, session.outcome)

    def _start_some(self) -> None:
        """Connect to hosts whose time has come, a few at once."""
        if self._asked:
            return
        now = time.monotonic()
        due = [run for run in self._runs if run.session is None and run.outcome is None and now >= run.due_at]
        starting = sum(run.session is not None and run.session.state == "connects" for run in self._runs)
        for run in due[: max(STARTS_AT_ONCE - starting, 0)]:
            self._start(run)

    def _start(self, run: HostRun) -> None:
        self._serial += 1
        run.tries += 1
        run.started_at = time.monotonic()

        def tell(text: str) -> None:
            run.last = text
            self._show.line(run.host, text)

        run.session = Session(run.host, self._plan, self._folder / str(self._serial), tell, was_up=run.was_up)

    def _ended(self, run: HostRun, outcome: Outcome) -> None:
        run.session = None
        known, run.last = run.last, outcome.text
        if not outcome.again or self._asked:
            run.outcome = outcome
            if outcome.text != known:
                self._show.line(run.host, outcome.text)
            return
        if time.monotonic() - run.started_at > WELL_SECONDS:
            run.tries = 1
        pause = min(PAUSE_SECONDS * 2 ** min(run.tries - 1, 10), PAUSE_MOST_SECONDS) * random.uniform(0.8, 1.2)
        run.due_at = time.monotonic() + pause
        self._show.line(run.host, f"{outcome.text}; tries again in {pause:.0f} s")
