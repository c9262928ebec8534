"""The terminal as `top` uses it: keys one at a time, and its old settings afterwards.

Knows nothing of what is shown. One thread; POSIX terminals only.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

ESCAPES = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1bOA": "up",
    "\x1bOB": "down",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
    "\x1b[H": "home",
    "\x1b[1~": "home",
    "\x1b": "escape",
}
NAMES = {"\t": "tab", "\r": "enter", "\n": "enter", "\x7f": "backspace", "\x08": "backspace", " ": "space"}
WATCHED = (signal.SIGWINCH, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP, signal.SIGINT)
ESCAPE_SECONDS = 0.03  # the rest of an escape sequence follows within this


class Terminal:
    """Keys and signals of the terminal on stdin; `taken` makes it."""

    def __init__(self, input: int, woken: int) -> None:
        self._input = input
        self._woken = woken

    def wait(self, seconds: float) -> tuple[list[str], list[signal.Signals]]:
        """Return the keys and signals that arrive within so many seconds, as soon as there is one."""
        ready = select.select([self._input, self._woken], [], [], max(seconds, 0.0))[0]
        keys = self._keys() if self._input in ready else []
        signals = [signal.Signals(number) for number in os.read(self._woken, 64)] if self._woken in ready else []
        return keys, signals

    def _keys(self) -> list[str]:
        text = self._read()
        if not text:
            return ["end"]  # the terminal is gone
        if text == "\x1b" and select.select([self._input], [], [], ESCAPE_SECONDS)[0]:
            text += self._read()
        if text.startswith("\x1b"):
            return [ESCAPES[text]] if text in ESCAPES else []
        return [NAMES.get(one, one) for one in text if one in NAMES or one.isprintable()]

    def _read(self) -> str:
        try:
            return os.read(self._input, 1024).decode("utf-8", "replace")
        except OSError:
            return ""


@contextmanager
def taken() -> Generator[Terminal]:
    """Read keys unbuffered and without echo, and signals as values; restore all settings afterwards."""
    input = sys.stdin.fileno()
    before = termios.tcgetattr(input)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    handlers = {number: signal.signal(number, _note) for number in WATCHED}
    wakeup = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    try:
        tty.setcbreak(input, termios.TCSADRAIN)
        yield Terminal(input, woken)
    finally:
        termios.tcsetattr(input, termios.TCSADRAIN, before)
        signal.set_wakeup_fd(wakeup)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.close(woken)
        os.close(wake)


def suspend() -> None:
    """Stop as Ctrl-Z does, until the shell continues us."""
    os.kill(os.getpid(), signal.SIGSTOP)


def _note(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the number of the signal comes through the wake-up pipe."""
