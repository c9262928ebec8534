"""A process of callers: `Load` starts it and hears what it tells; run as a module, it is that process.

`programs/unrest.py` is another such process, with the same lines. Each tells a line of JSON four times a second, and
stops at the end of its stdin, so that it cannot outlive its driver.
Its last line names the calls that have no outcome to this day.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import simpledist
from tests.faults.chaos.book import Book
from tests.faults.chaos.calls import Caller
from tests.faults.functions import work

CALLERS = 4
TELL_SECONDS = 0.25
LAST_SECONDS = 30.0  # once all faults are over, every open call ends within
ROOT = Path(__file__).parents[3]
MODULE, UNREST = "tests.faults.chaos.load", "tests.faults.programs.unrest"


class Load:
    """One such process, as the driver sees it; `hear` gets each line, in a thread of its own."""

    def __init__(
        self,
        url: str,
        *,
        seed: int,
        first: int,
        runs: Path,
        hear: Callable[[dict[str, Any]], None],
        module: str = MODULE,
    ) -> None:
        self._hear = hear
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, url, str(seed), str(first)],
            cwd=ROOT,
            env={**os.environ, work.LOG_VARIABLE: str(runs)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name="load", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def tell_to_stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def wait(self) -> int:
        """Its exit code, once it has stopped; it is killed if it does not."""
        try:
            self._process.wait(2 * LAST_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reader.join()
        return self._process.wait()

    def kill(self) -> None:
        """SIGKILL, with calls under way."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self.tell_to_stop()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout:
            for line in self._process.stdout:
                if line.endswith(b"\n"):
                    self._hear(json.loads(line))


class Bugs(logging.Handler):
    """What the client logs with a traceback is a bug of ours; that Redis is away or refuses it is what we do to it."""

    def __init__(self, book: Book) -> None:
        super().__init__()
        self._book = book

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self._book.found("bug", self.format(record))


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("url")
    arguments.add_argument("seed", type=int)
    arguments.add_argument("first", type=int)
    options = arguments.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stopping = threading.Event()
    threading.Thread(target=_until_asked, args=(stopping,), name="asked", daemon=True).start()
    chance, book = random.Random(options.seed), Book()
    logging.basicConfig(handlers=[Bugs(book)])
    with simpledist.connect(options.url, local_slots=2) as client:
        callers = [
            Caller(client, book, options.first + 10**7 * i, random.Random(chance.random())) for i in range(CALLERS)
        ]
        for caller in callers:
            caller.start()
        dumped = False
        while not stopping.wait(TELL_SECONDS):
            news = book.news()
            _tell(news.line())
            if not dumped and any(what == "stuck" for what, _ in news.findings):
                dumped = True
                faulthandler.dump_traceback()
        for caller in callers:
            caller.stopping = True
        end = time.monotonic() + LAST_SECONDS
        while any(caller.is_alive() for caller in callers) and time.monotonic() < end:
            time.sleep(TELL_SECONDS)
            _tell(book.news().line())
        _tell({**book.news().line(), "lost": book.open()})
        if book.open():
            os._exit(1)  # its threads wait for ever


def _until_asked(stopping: threading.Event) -> None:
    os.read(0, 1)
    stopping.set()


def _tell(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
