"""Lines for a caller: one a topic, again later with a count, never written by the thread that noticed something."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest

from simpledist.engine import notices as module
from simpledist.engine.notices import Notices


class Elsewhere:
    """Takes what is to be done by another thread, and does it when a test says so."""

    def __init__(self) -> None:
        self.acts: list[Callable[[], object]] = []
        self.notices = Notices()
        self.notices.leave_to(self.acts.append, lambda: True, self.run)

    def run(self) -> None:
        while self.acts:
            worker = threading.Thread(target=self.acts.pop(0))
            worker.start()
            worker.join()


@pytest.fixture
def elsewhere() -> Elsewhere:
    return Elsewhere()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_the_thread_that_notices_something_logs_nothing(elsewhere: Elsewhere, caplog: pytest.LogCaptureFixture) -> None:
    elsewhere.notices.tell(("f", "named"), lambda: "a line")
    assert lines(caplog) == []
    elsewhere.run()
    assert lines(caplog) == ["a line"]
    assert caplog.records[0].thread != threading.get_ident()


def test_a_topic_has_one_line_and_later_another_with_a_count(
    elsewhere: Elsewhere, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    for _ in range(5):
        elsewhere.notices.tell(("f", "named"), lambda: "a line")
    elsewhere.notices.tell(("g", "named"), lambda: "of g")
    elsewhere.run()
    assert lines(caplog) == ["a line", "of g"]
    for seconds in (599.0, 2.0, 2000.0, 1000.0, 3599.0, 1.0):
        now[0] += seconds
        elsewhere.notices.tell(("f", "named"), lambda: "a line")
    elsewhere.run()
    assert lines(caplog)[2:] == ["a line (6 more calls)", "a line (2 more calls)", "a line (2 more calls)"]


def test_a_line_may_be_said_once_or_each_minute(
    elsewhere: Elsewhere, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    for seconds in (0.0, 59.0, 1.0, 60.0, 10_000.0):
        now[0] += seconds
        elsewhere.notices.tell(("f", "once"), lambda: "once", again_seconds=module.ONCE)
        elsewhere.notices.tell(("f", "each minute"), lambda: "each minute", again_seconds=module.EACH_MINUTE)
    elsewhere.run()
    again = ["each minute (2 more calls)", "each minute (1 more call)", "each minute (1 more call)"]
    assert lines(caplog) == ["once", "each minute", *again]


def test_another_spell_of_the_same_trouble_is_a_new_topic_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    notices = Notices()

    def due(seconds: float, calls: int, spell: int) -> str | None:
        now[0] += seconds
        return notices.due(("away",), calls, module.AGAIN_SECONDS, spell)

    assert due(0, 1, 1) == ""
    assert due(5, 3, 1) is None
    assert due(5, 0, 2) is None, "too soon"
    assert due(50, 4, 2) == " (7 calls so far)"
    assert due(300, 1, 2) is None, "now it has ten minutes"
    assert due(301, 1, 2) == " (2 more calls)"


def test_what_a_handler_raises_is_dropped_with_its_line(elsewhere: Elsewhere) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("the disk is full")

    handler = Broken()
    module.log.addHandler(handler)
    try:
        elsewhere.notices.tell(("f", "named"), lambda: "a line")
        elsewhere.acts.pop()()
    finally:
        module.log.removeHandler(handler)
    elsewhere.notices.flush(10.0)


def test_what_is_noticed_while_something_is_noticed_waits_for_nothing(elsewhere: Elsewhere) -> None:
    """The collector may strike anywhere, and what it collects may make a call."""
    lock = elsewhere.notices._lock  # pyright: ignore[reportPrivateUsage]
    with lock:
        elsewhere.notices.tell(("f", "named"), lambda: "a line")
    assert elsewhere.acts == []


def test_flush_waits_for_lines_under_way_but_not_for_ever(elsewhere: Elsewhere) -> None:
    elsewhere.notices.flush(0.01)
    elsewhere.notices.tell(("f", "named"), lambda: "a line")
    elsewhere.notices.flush(0.01)
    worker = threading.Timer(0.05, elsewhere.run)
    worker.start()
    elsewhere.notices.flush(10.0)
    assert elsewhere.acts == []
    worker.join()


def test_a_line_that_cannot_be_made_is_no_line_and_holds_up_no_flush(elsewhere: Elsewhere) -> None:
    def broken() -> str:
        raise ValueError("no words")

    elsewhere.notices.tell(("f", "named"), broken)
    with pytest.raises(ValueError, match="no words"):
        elsewhere.acts.pop()()
    elsewhere.notices.flush(10.0)


def test_a_handler_that_holds_a_plain_lock_is_not_entered_by_who_interrupts_it(elsewhere: Elsewhere) -> None:
    class Plain(logging.Handler):
        """Its lock is no RLock, and while it is held something is collected that makes a call."""

        def __init__(self) -> None:
            super().__init__()
            self.plain = threading.Lock()
            self.lines: list[str] = []

        def emit(self, record: logging.LogRecord) -> None:
            assert self.plain.acquire(timeout=5), "it waits for itself"
            try:
                elsewhere.notices.tell(("f", "named"), lambda: "noticed")
                self.lines.append(record.getMessage())
            finally:
                self.plain.release()

    handler = Plain()
    module.log.addHandler(handler)
    try:
        module.log.warning("of the program's own")
        elsewhere.run()
    finally:
        module.log.removeHandler(handler)
    assert handler.lines == ["of the program's own", "noticed"]
