"""Log lines on stderr: as text or JSON, with UTC offset and worker id, and of what repeats one line a minute.

Knows records of `logging` only. Set up by options.py; the worker's command adds the worker's id, which is known later.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

FORMATS = ("text", "json")
MOST_A_MINUTE = 10  # lines of one kind (from one place of our code); what is over is counted
MINUTE_SECONDS = 60.0
OURS = "simpledist"


def start(level: str, form: str = "text") -> None:
    """Log to stderr, one line for each event."""
    handler = Handler(JsonLines() if form == "json" else TextLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class Stream(Protocol):
    """Where lines go: stderr."""

    def write(self, text: str, /) -> int: ...
    def flush(self) -> None: ...


class Printer(Stream, Protocol):
    """A worker's printer (worker/printer.py), as far as it is asked."""

    line: Callable[[str, bytes], bytes]


def print_by(printer: Printer) -> None:
    """Have a worker's printer write all lines, and have the output of its jobs in the same format."""
    for handler in _handlers():
        handler.stream = printer
        if isinstance(handler.lines, JsonLines):
            printer.line = handler.lines.output_line


def name_worker(id: str) -> None:
    """Put a worker's id into each line from now on."""
    for handler in _handlers():
        handler.lines.worker = id


def moment_text(seconds: float) -> str:
    """Return a time with milliseconds and the offset from UTC, such as 2026-01-31T12:00:00.250+01:00."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="milliseconds")


class TextLines(logging.Formatter):
    """Lines for people; a traceback stands below its line."""

    worker = ""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        worker = f"{self.worker} " if self.worker else ""
        line = f"{moment_text(record.created)} {record.levelname:<7} {worker}{record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonLines(logging.Formatter):
    """One object of JSON for each record: time, level, logger, worker, message, and a traceback as `exception`."""

    worker = ""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        line = {
            "time": moment_text(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "worker": self.worker or None,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps({name: value for name, value in line.items() if value is not None})

    def output_line(self, job: str, text: bytes) -> bytes:
        """Return a line that user code wrote as an object of JSON: time, worker, job, output."""
        line = {"time": moment_text(time.time()), "worker": self.worker or None, "job": job or None}
        named = {name: value for name, value in line.items() if value is not None}
        return json.dumps({**named, "output": text.decode("utf-8", "replace")}).encode() + b"\n"


@dataclass
class _Kind:
    """Lines from one place of the code in the minute that began then (time.monotonic())."""

    began: float
    lines: int = 0
    left_out: int = 0
    last: logging.LogRecord | None = None  # that was left out


class Handler(logging.Handler):
    """Writes what our own loggers say at most MOST_A_MINUTE times a minute from each place, and then how often more."""

    def __init__(self, lines: TextLines | JsonLines) -> None:
        super().__init__()
        self.stream: Stream = sys.stderr
        self.lines = lines
        self.setFormatter(lines)
        self._kinds: dict[tuple[str, int], _Kind] = {}  # guarded by the handler's lock

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless there were too many of its kind; before it, how many were left out by then."""
        now = time.monotonic()
        self._tell(now)
        if record.levelno <= logging.DEBUG or record.name.partition(".")[0] != OURS:
            self._write(record)
            return
        kind = self._kinds.setdefault((record.pathname, record.lineno), _Kind(now))
        if kind.lines < MOST_A_MINUTE:
            kind.lines += 1
            self._write(record)
        else:
            kind.left_out, kind.last = kind.left_out + 1, record

    def close(self) -> None:
        """Write how many lines were left out."""
        self.acquire()
        try:
            self._tell(float("inf"))
        finally:
            self.release()
        super().close()

    def _write(self, record: logging.LogRecord) -> None:
        try:
            self.stream.write(f"{self.format(record)}\n")
            self.stream.flush()
        except Exception:  # noqa: BLE001 - as the stdlib's handlers do
            self.handleError(record)

    def _tell(self, now: float) -> None:
        for place, kind in list(self._kinds.items()):
            if now - kind.began < MINUTE_SECONDS:
                continue
            del self._kinds[place]
            if kind.last is not None:
                kind.last.msg, kind.last.args = (
                    f"{kind.last.getMessage()} (and {kind.left_out - 1:,} more like this, left out)",
                    (),
                )
                self._write(kind.last)


def _handlers() -> list[Handler]:
    return [one for one in logging.getLogger().handlers if isinstance(one, Handler)]
