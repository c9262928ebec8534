"""The history of a faulty run: every call with what was due, what came, when and from where; and the laws it must keep.

I1 every call ends within its budget + 2 s        I2 a value is that of its own arguments
I3 an exception is the function's own             I4 no call is forgotten: all ended
I5 every key left is permanent or has a TTL       I6 a probe runs remotely within 10 s
I7 a job runs at most once plus once a fault that hit it
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import simpledist
from tests.faults.functions import work
from tests.waiting import wait_until

PROBE_SECONDS = 10.0
LATE_SECONDS = 2.0


@dataclass(slots=True)
class Entry:
    """One call, from its submission to its outcome."""

    n: int
    due: Any  # the value, or the exception's type
    budget_seconds: float | None
    began: float
    ended: float = 0.0
    came: Any = None
    where: str = "nowhere"
    why: str | None = None
    attempts: int = 0
    kind: str = "work"

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass
class History:
    """Calls of `work` and what became of them; `log` is the file where workers note their runs."""

    log: Path
    entries: dict[int, Entry] = field(default_factory=dict[int, Entry])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def submit(self, client: simpledist.Client, numbers: Iterable[int], seconds: float = 0.0) -> list[Any]:
        """Futures of `work` over fresh numbers, each entered here when it ends."""
        function = offered(client, "work", work.work)
        futures: list[Any] = []
        for n in numbers:
            entry = self._begin(n, None)
            future = function.submit(n, seconds)
            future.add_done_callback(partial(self._end, entry))
            futures.append(future)
        return futures

    def call(self, client: simpledist.Client, n: int, seconds: float = 0.0, *, timeout: float | None = None) -> Entry:
        """One plain call, made and waited for in this thread."""
        entry = self._begin(n, timeout)
        future = offered(client, "work", work.work, timeout=timeout).submit(n, seconds)
        future.exception(60)
        self._end(entry, future)
        return entry

    def wait(self, seconds: float) -> None:
        """Until every call has ended (I4)."""
        wait_until(lambda: not self.open(), seconds, f"an end of every call; open: {self.open()[:10]}")

    def open(self) -> list[int]:
        with self._lock:
            return [entry.n for entry in self.entries.values() if not entry.ended]

    def check(self, *, most_runs: int) -> None:
        """I1 to I4 and I7 over all entries."""
        runs = work.runs(self.log)
        assert not self.open(), f"I4: no outcome of {self.open()[:10]}"
        for entry in self.entries.values():
            law = broken_law(entry)
            assert law is None, f"{law}: {entry}"
            assert entry.where in ("remote", "local"), entry
            assert runs.get(entry.n, 0) <= most_runs, f"I7: {runs[entry.n]} runs of {entry}"

    def where(self) -> Counter[str]:
        """How many calls ran remotely, and how many here for which reason."""
        return Counter(entry.why or entry.where for entry in self.entries.values())

    def _begin(self, n: int, budget_seconds: float | None) -> Entry:
        with self._lock:
            assert n not in self.entries, "each number once: that is how runs are counted"
            entry = self.entries[n] = Entry(n, due_of(n), budget_seconds, time.monotonic())
        return entry

    def _end(self, entry: Entry, future: Any) -> None:
        if future.cancelled():
            entry.came = "cancelled"
        else:
            entry.came = future.exception() or future.result()
        if future.info is not None:
            entry.where, entry.why = future.info.where, future.info.why
            entry.attempts = future.info.attempts
        entry.ended = time.monotonic()


def due_of(n: int) -> Any:
    """What `work(n)` must come to: a value, or an exception's type."""
    return work.Wrong if n % 7 == 6 else work.value_of(n)


def broken_law(entry: Entry) -> str | None:
    """The first of I2, I3 and I1 that a call which has ended breaks."""
    if isinstance(entry.due, type):
        if not isinstance(entry.came, entry.due) or entry.came.args != (entry.n,):
            return "I3"
    elif entry.came != entry.due:
        return "I2"
    if entry.budget_seconds is not None and entry.seconds > entry.budget_seconds + LATE_SECONDS:
        return "I1"
    return None


def offered(client: simpledist.Client, name: str, local: Callable[..., Any] | None = None, **options: Any) -> Any:
    """A worker function whose local run is distinguished from a remote one, unless it is given."""
    return simpledist.worker_function(client, name, local or (lambda *_, **__: "local"), **options)


def probe(client: simpledist.Client, seconds: float = PROBE_SECONDS) -> float:
    """I6, the end of every fault test: how long until a call runs remotely again."""
    function = offered(client, "probe")

    def remote() -> bool:
        future = function.submit(12)
        future.result(seconds)
        return bool(future.info and future.info.where == "remote" and future.result() == 144)

    return wait_until(remote, seconds, "a probe runs remotely")
