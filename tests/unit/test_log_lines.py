"""Log lines of worker and distributor: text and JSON, with UTC offset and worker id; what repeats is counted."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from io import StringIO

import pytest

from simpledist.cli import logs
from simpledist.cli.logs import MINUTE_SECONDS, MOST_A_MINUTE, Handler, JsonLines, TextLines
from simpledist.printable import logger


class Log:
    """A logger of ours whose lines go to a text."""

    def __init__(self, lines: TextLines | JsonLines, name: str = "simpledist.tests.lines") -> None:
        self.text = StringIO()
        self.handler = Handler(lines)
        self.handler.stream = self.text
        self.logger = logger(name)
        self.logger.setLevel("DEBUG")
        self.logger.propagate = False
        self.logger.addHandler(self.handler)

    def lines(self) -> list[str]:
        return self.text.getvalue().splitlines()

    def close(self) -> None:
        self.logger.removeHandler(self.handler)
        self.handler.close()


@pytest.fixture
def as_text() -> Iterator[Log]:
    one = Log(TextLines())
    yield one
    one.close()


@pytest.fixture
def as_json() -> Iterator[Log]:
    one = Log(JsonLines())
    yield one
    one.close()


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A place half an hour off."""
    monkeypatch.setenv("TZ", "XXX-5:30")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
def test_a_line_has_the_time_with_its_offset_the_level_and_the_worker(as_text: Log) -> None:
    as_text.handler.lines.worker = "w12"
    as_text.logger.warning("job %s is stopped", "c1-1")
    (line,) = as_text.lines()
    moment, level, worker, rest = line.split(None, 3)
    at = datetime.fromisoformat(moment)
    assert at.utcoffset() == timedelta(hours=5, minutes=30)
    assert abs(at.timestamp() - time.time()) < 10
    assert (level, worker, rest) == ("WARNING", "w12", "job c1-1 is stopped")


def test_json_is_one_object_a_line_with_a_traceback_too(as_json: Log) -> None:
    as_json.handler.lines.worker = "w12"
    try:
        raise ValueError("two\nlines \x1b[31m")
    except ValueError:
        as_json.logger.exception("it \x1b[31m failed\nbadly")
    (line,) = as_json.lines()
    found = json.loads(line)
    assert line.isprintable()
    assert datetime.fromisoformat(found.pop("time")).utcoffset() is not None
    assert "ValueError: two\nlines" in found.pop("exception")
    assert found == {
        "level": "error",
        "logger": "simpledist.tests.lines",
        "worker": "w12",
        "message": "it \ufffd[31m failed\n    badly",
    }


def test_what_a_job_writes_is_an_object_too() -> None:
    lines = JsonLines()
    lines.worker = "w12"
    found = json.loads(lines.output_line("c1-7", b'he said "\xff"'))
    assert found.pop("time")
    assert found == {"worker": "w12", "job": "c1-7", "output": 'he said "\ufffd"'}
    assert "job" not in json.loads(lines.output_line("", b"from the template"))


def repeat(log: Log, times: int) -> None:
    for number in range(times):
        log.logger.warning("job c1-%d is stopped", number)


def test_of_many_lines_of_one_kind_ten_a_minute_are_written_and_the_rest_is_counted(
    as_text: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(logs.time, "monotonic", lambda: now[0])
    repeat(as_text, 500)
    as_text.logger.warning("another line")
    assert len(as_text.lines()) == MOST_A_MINUTE + 1
    now[0] += MINUTE_SECONDS
    as_text.logger.info("a minute later")
    assert [line.split(None, 2)[2] for line in as_text.lines()[MOST_A_MINUTE + 1 :]] == [
        "job c1-499 is stopped (and 489 more like this, left out)",
        "a minute later",
    ]
    repeat(as_text, 3)
    assert as_text.lines()[-1].endswith("job c1-2 is stopped")


def test_what_was_left_out_is_said_at_the_end(as_text: Log) -> None:
    repeat(as_text, MOST_A_MINUTE + 3)
    as_text.close()
    assert as_text.lines()[-1].endswith("(and 2 more like this, left out)")


def test_debug_lines_and_those_of_other_libraries_are_all_written(as_text: Log) -> None:
    for _ in range(50):
        as_text.logger.debug("a detail")
    assert len(as_text.lines()) == 50
    other = Log(TextLines(), "a_library")
    for _ in range(50):
        other.logger.warning("its affair")
    assert len(other.lines()) == 50
    other.close()
