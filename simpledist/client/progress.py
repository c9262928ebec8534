"""Progress of many calls, and where they run: a bar in a terminal or notebook, lines in a log file.

`Tally` counts and estimates, knows no clock and no screen; `Bar` feeds it from futures and shows it wherever stderr
leads. Loaded when somebody asks for progress: most programs never need rich. Called by `map(progress=True)` and by
users (`track`); outcomes are counted by whatever thread settles them.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import timedelta
from html import escape
from importlib import import_module
from types import TracebackType
from typing import Any, TypeVar

from rich.console import Console
from rich.errors import LiveError
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from simpledist import policy, wire
from simpledist.engine.map_batch import MapBatch

F = TypeVar("F", bound=concurrent.futures.Future[Any])

WINDOW_SECONDS = 30.0  # the rate is that of the last half minute
LINE_SECONDS = 10.0  # a log file gets a line at most so often
NOTEBOOK_SECONDS = 0.2  # and a notebook's page an update


class Tally:
    """Counts of calls that are done, and what they let one expect. Seconds are those of any clock that only rises."""

    def __init__(self, total: int | None, now: float) -> None:
        self.total = total
        self.remote = self.local = self.failed = self.cancelled = self.done = 0
        self._began = now
        self._ended: float | None = None
        self._samples: deque[tuple[float, int]] = deque([(now, 0)])

    def count(self, now: float, where: str | None, *, failed: bool = False, cancelled: bool = False) -> None:
        """Count one more; `where` is None for a future that is not ours."""
        self.done += 1
        self.remote += where == "remote"
        self.local += where == "local"
        self.failed += failed
        self.cancelled += cancelled
        if now - self._samples[-1][0] >= 0.1:
            self._samples.append((now, self.done))
            while len(self._samples) > 2 and now - self._samples[1][0] > WINDOW_SECONDS:
                self._samples.popleft()

    def end(self, now: float) -> None:
        """Stop the clock: the rate is that of all."""
        self._ended = now

    def rate(self, now: float) -> float:
        """Calls a second, over the last half minute; at the end, over all."""
        then, done = (self._began, 0) if self._ended is not None else self._samples[0]
        seconds = (self._ended or now) - then
        return (self.done - done) / seconds if seconds > 0 else 0.0

    def remaining_seconds(self, now: float) -> float | None:
        """Return the seconds until all are done, at this rate; None where that is not known."""
        rate = self.rate(now)
        if self.total is None or not rate:
            return None
        return max(self.total - self.done, 0) / rate

    def parts(self, now: float) -> list[tuple[str, str]]:
        """Return what there is to say, each with its colour."""
        of = "" if self.total is None else f"/{self.total}"
        rate = self.rate(now)
        said = [(f"{self.done}{of}", ""), (f"{rate:.0f}/s" if rate >= 100 else f"{rate:.3g}/s", "")]
        if self._ended is not None:
            said.append((f"in {_clock(self._ended - self._began)}", ""))
        elif (seconds := self.remaining_seconds(now)) is not None:
            said.append((f"{_clock(seconds)} left", ""))
        said += [
            (f"remote {self.remote}", "green" if self.remote else ""),
            (f"local {self.local}", "yellow" if self.local else ""),
            (f"failed {self.failed}", "red" if self.failed else ""),
        ]
        if self.cancelled:
            said.append((f"cancelled {self.cancelled}", ""))
        return said


class Bar:
    """Shows one tally from its first `watch` until `close`."""

    def __init__(self, title: str, total: int | None = None, *, console: Console | None = None) -> None:
        self.title = title
        self.tally = Tally(total, time.monotonic())
        self._lock = threading.Lock()
        self._closed = False
        self.abandoned = False  # no longer looked at: the next count closes it
        self._shown: _Screen | _Notebook | _Lines = _shown_on(console or _stderr, self)
        atexit.register(self.close)  # a terminal must get its cursor back, whatever ended the program

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return self.line()

    def watch(self, futures: Iterable[concurrent.futures.Future[Any]]) -> None:
        """Count these when they are done."""
        for future in futures:
            future.add_done_callback(self._count)

    def watch_batch(self, batch: MapBatch) -> None:
        """Count its calls when they are done; what of it is sent again, when that is."""
        batch.future.add_done_callback(lambda _: self._count_batch(batch))

    def count(self, where: str | None, *, failed: bool = False, cancelled: bool = False) -> None:
        """Count one more: it ran at `where`, and `failed` if it raised."""
        with self._lock:
            if self._closed:
                return  # the bar is no longer shown
            self.tally.count(time.monotonic(), where, failed=failed, cancelled=cancelled)
        if self.abandoned:
            self.close()
        else:
            self._shown.changed()

    def close(self) -> None:
        """Show how it ended, for good. May be called twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self.tally.end(time.monotonic())
        self._shown.end()
        atexit.unregister(self.close)

    def line(self) -> str:
        """Return all of it as one line of text."""
        with self._lock:
            return f"{self.title}: " + ", ".join(text for text, _ in self.tally.parts(time.monotonic()))

    def __rich__(self) -> Table:
        with self._lock:
            tally, parts = self.tally, self.tally.parts(time.monotonic())
        grid = Table.grid(padding=(0, 1))
        for _ in range(len(parts) + 2):
            grid.add_column(no_wrap=True)  # one line, however narrow the terminal is
        total = tally.total if tally.total is not None or not self._closed else tally.done
        bar = ProgressBar(total=total, completed=tally.done, width=24, pulse=total is None)
        grid.add_row(Text(self.title, style="bold"), bar, *(Text(text, style=colour) for text, colour in parts))
        return grid

    def _repr_html_(self) -> str:
        with self._lock:
            tally, parts = self.tally, self.tally.parts(time.monotonic())
        size = f'value="{tally.done}" max="{tally.total or max(tally.done, 1)}"' if tally.total or self._closed else ""
        words = " &middot; ".join(escape(text) for text, _ in parts)
        return f"<div><b>{escape(self.title)}</b> <progress {size}></progress> {words}</div>"

    def _count_batch(self, batch: MapBatch) -> None:
        if batch.future.cancelled():
            for _ in range(len(batch)):
                self.count(None, cancelled=True)
            return
        where = batch.future.info.where if batch.future.info is not None else None
        for outcome in batch.outcomes():
            if isinstance(outcome, concurrent.futures.Future):
                self.watch([outcome])
            else:
                self.count(where, failed=isinstance(outcome, wire.Raised))

    def _count(self, future: concurrent.futures.Future[Any]) -> None:
        cancelled = future.cancelled()
        self.count(
            getattr(getattr(future, "info", None), "where", None),
            failed=not cancelled and future.exception() is not None,
            cancelled=cancelled,
        )


def track(futures: Iterable[F], title: str = "calls") -> Iterator[F]:
    """Yield the futures, in the order given, each once it is done, with a bar on stderr that counts all of them.

    It shows how many are done, how many a second, the time that remains, and how many ran remotely, ran here, failed:
    as a bar in a terminal or notebook, as a line every 10 s where stderr is a file. Futures of other executors are
    counted too. Raises nothing by itself: ask each future for its outcome.

        futures = [fib.submit(n) for n in range(35)]
        print(sum(future.result() for future in simpledist.track(futures)))
    """
    return _Tracked(deque(futures), title)


class _Tracked(Iterator[F]):
    """No generator: the collector would close that, and with it the bar, wherever it runs."""

    def __init__(self, waiting: deque[F], title: str) -> None:
        self._waiting = waiting
        self._bar = Bar(title, len(waiting))
        self._bar.watch(waiting)

    def __next__(self) -> F:
        try:
            if not self._waiting:
                raise StopIteration
            while not concurrent.futures.wait([self._waiting[0]], policy.INTERRUPT_SECONDS).done:
                pass
            return self._waiting.popleft()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Show how it ended, for good."""
        self._waiting.clear()
        self._bar.close()

    def __del__(self) -> None:
        if (bar := getattr(self, "_bar", None)) is not None:
            bar.abandoned = True


# --- where it is shown -----------------------------------------------------------------------------------------------

_stderr = Console(stderr=True)  # one for all bars: they stand below each other


class _Lines:
    """A file, or a terminal that something else has taken: a line now and then, and the last one."""

    def __init__(self, console: Console, bar: Bar) -> None:
        self._console = console
        self._bar = bar
        self._next = time.monotonic() + LINE_SECONDS

    def changed(self) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + LINE_SECONDS
            self._write()

    def end(self) -> None:
        self._write()

    def _write(self) -> None:
        self._console.file.write(self._bar.line() + "\n")
        self._console.file.flush()


class _Screen:
    """A terminal: rich draws the bar ten times a second, in a thread of its own."""

    def __init__(self, console: Console, bar: Bar) -> None:
        self._live = Live(bar, console=console, refresh_per_second=10)
        self._live.start()

    def changed(self) -> None:
        """Do nothing: it is drawn anyway."""

    def end(self) -> None:
        self._live.stop()


class _Notebook:
    """A page: one display, updated."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._next = time.monotonic() + NOTEBOOK_SECONDS
        self._display: Any = import_module("IPython.display").display(bar, display_id=True)

    def changed(self) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + NOTEBOOK_SECONDS
            self._display.update(self._bar)

    def end(self) -> None:
        self._display.update(self._bar)


def _shown_on(console: Console, bar: Bar) -> _Screen | _Notebook | _Lines:
    if console.is_jupyter:
        return _Notebook(bar)
    if console.is_terminal and not console.is_dumb_terminal:
        try:
            return _Screen(console, bar)
        except LiveError:  # the program draws something itself
            return _Lines(console, bar)
    return _Lines(console, bar)


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
