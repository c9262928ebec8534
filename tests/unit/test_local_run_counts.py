"""Calls that ran at their client: counted for Redis, and said in the log, the first at once, then how many more."""

from __future__ import annotations

from operator import neg

import pytest

from simpledist.engine import local_run_counts as module
from simpledist.engine import notices as notices_module
from simpledist.engine.local_run_counts import Last, Line, LocalRunCounts
from simpledist.engine.notices import Notices
from simpledist.engine.spec import FunctionSpec
from simpledist.reasons import Why

NEG = FunctionSpec("neg", neg)


def line(function: str, why: Why, last: Last) -> Line:
    return Line((function, why), lambda: f"{function}: {why}: {last.detail} ({last.worker})")


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    for one in (module, notices_module):
        monkeypatch.setattr(one.time, "monotonic", lambda: now[0])
    return now


def test_later_calls_are_in_a_line_each_minute_with_what_the_last_one_knew(
    caplog: pytest.LogCaptureFixture, now: list[float]
) -> None:
    counts = LocalRunCounts(Notices(), line)
    for number in range(4):
        counts.count(NEG, "crashed", 1, f"word {number}", f"w{number}")
    assert caplog.messages == ["neg: crashed: word 0 (w0)"]
    now[0] += 61.0
    counts.count(NEG, "crashed", 3)  # of a batch: it knows no more
    counts.look_in_time()
    assert caplog.messages[1:] == ["neg: crashed: word 3 (w3) (6 more calls)"]
    counts.look_in_time()
    now[0] += 61.0
    counts.look_in_time()
    assert len(caplog.messages) == 2
    assert counts.taken() == {("neg", "crashed"): 7}


def test_what_was_asked_for_is_counted_and_not_said(caplog: pytest.LogCaptureFixture) -> None:
    counts = LocalRunCounts(Notices(), line)
    counts.count(NEG, "local", 2)
    assert not counts.finish()
    assert caplog.messages == []
    assert counts.taken() == {("neg", "local"): 2}


def test_counts_that_redis_did_not_take_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    counts = LocalRunCounts(Notices(), line)
    counts.count(NEG, "closed", 2)
    taken = counts.taken()
    assert len(counts) == 0
    counts.put_back(taken)
    counts.count(NEG, "closed")
    assert len(counts) > 0
    assert counts.taken() == {("neg", "closed"): 3}


def test_what_is_left_at_the_end_is_said_by_number(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    counts = LocalRunCounts(Notices(), line)
    for _ in range(3):
        counts.count(NEG, "crashed")
    assert counts.finish()
    assert caplog.messages[1:] == ["function neg: 2 more calls ran here (crashed)"]
