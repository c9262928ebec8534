"""`simpledist top`: the cluster live in a terminal, like htop. Owns the loop; live/screen.py makes the lines."""

from __future__ import annotations

import signal
import sys
import time

import click
from rich.console import Console
from rich.text import Text

from simpledist.cli.live.rates import Meter
from simpledist.cli.live.screen import View, lines, page_lines, press
from simpledist.cli.live.terminal import Terminal, suspend, taken
from simpledist.cli.options import OK, Seconds, common_options
from simpledist.cli.reading import demand, monitor_of
from simpledist.config import Config
from simpledist.errors import ConfigurationError
from simpledist.monitor import Dropped, Monitor, Snapshot


@click.command()
@click.option("--seconds", type=Seconds(0.2, 60), default=1.0, show_default=True, help="How often it looks at Redis.")
@common_options
def top(config: Config, seconds: float) -> int:
    """Watch the cluster: a line for each worker with a cell for each slot, and each function's queue and rates.

    Rates are of the last five seconds: all calls that ended, those that raised (in a terminal of 110 columns or more),
    and those that ran at their clients ("local"), with the most frequent reasons. It changes nothing. It waits for a
    Redis that is away.

    \b
    Keys:
        q quit            s, S next or last column to sort by    space pause
        tab other pane    r reverse the order                    arrows, page up and down, home: scroll
        / filter: type a part of a name, then Enter; Esc shows all again

    \b
    Example:
        simpledist top --seconds 0.5
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigurationError("top needs a terminal; for scripts there is simpledist status --json")
    with monitor_of(config) as monitor:
        demand(config, monitor.snapshot().redis)
        watch = Watch(monitor, f"simpledist top  {config.safe_url}", seconds)
        while not watch.view.ended:
            with taken() as terminal, watch.console.screen(hide_cursor=True):
                watch.until_left(terminal)
            if not watch.view.ended:
                suspend()
    return OK


class Watch:
    """What is watched, and the view of it; one thread."""

    def __init__(self, monitor: Monitor, title: str, seconds: float) -> None:
        self.console = Console(highlight=False)
        self.view = View()
        self._monitor = monitor
        self._title = title
        self._seconds = seconds
        self._meter = Meter()
        self._shown = Snapshot(monitor.snapshot().redis)
        self._dropped: tuple[Dropped, ...] = ()
        self._due = 0.0

    def until_left(self, terminal: Terminal) -> None:
        """Look, show, and follow the keys until somebody quits or suspends."""
        while not self.view.ended:
            if time.monotonic() >= self._due:
                self._due = time.monotonic() + self._seconds
                self._look()
            self._show()
            keys, signals = terminal.wait(self._due - time.monotonic())
            for key in keys:
                self.view = press(self.view, key, page_lines(self.console.size.height))
            if signal.SIGTSTP in signals:
                return
            if {signal.SIGTERM, signal.SIGHUP, signal.SIGINT} & set(signals):
                self.view = press(self.view, "end", 1)

    def _look(self) -> None:
        if self.view.paused:
            return
        now, self._dropped = self._monitor.snapshot(), self._monitor.dropped()
        if now.redis.ok:
            self._meter.add(now)
            self._shown = now
        else:  # what was last known, below the error
            self._shown = Snapshot(now.redis, self._shown.time, self._shown.functions, self._shown.workers)

    def _show(self) -> None:
        width, height = self.console.size
        shown = lines(
            self.view,
            self._shown,
            self._meter,
            dropped=self._dropped,
            title=self._title,
            width=width,
            height=height,
        )
        self.console.update_screen(Text("\n", no_wrap=True, overflow="crop", end="").join(shown))
