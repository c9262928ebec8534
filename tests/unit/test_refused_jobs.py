"""What a worker refuses: how often it says so, and when it passes over a lane or withdraws a function."""

from __future__ import annotations

import logging

import pytest

from simpledist import policy
from simpledist.broker.records import Held
from simpledist.policy import Standing
from simpledist.worker.refusals import Refusals

HELD = Held("fib", "c1-1", "1")


def test_the_third_strike_withdraws_for_longer_each_time_and_a_minute_at_most() -> None:
    standing, seconds = Standing(), list[float]()
    for _ in range(8):
        for _ in range(policy.STRIKES - 1):
            standing = standing.struck(100.0)
            assert standing.strikes
        standing = standing.struck(100.0)
        seconds.append(standing.withdrawn_until - 100.0)
    assert seconds == [1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize(
    ("why", "error", "refused"),
    [
        ("worker_error", "ModuleNotFoundError: No module named 'x'", True),
        ("undecodable", "no such class", True),
        ("key", "signed by a key that is not ours", True),
        ("memory", "it used 2,100 MB, --memory allows 2,000 MB", True),
        ("memory", "MemoryError: ", False),
        ("worker_error", "RecursionError: maximum", False),
        ("too_big", "a result", False),
        ("crashed", "the child died", False),
    ],
)
def test_what_another_worker_may_do_better(why: str, error: str, *, refused: bool) -> None:
    assert policy.is_refusal(why, error) == refused


def test_a_thousand_refusals_are_one_line_and_a_count(caplog: pytest.LogCaptureFixture) -> None:
    refusals = Refusals()
    with caplog.at_level(logging.WARNING, "simpledist.worker"):
        for _ in range(1000):
            refusals.refused(HELD, "undecodable", "no")
    assert len(caplog.records) == 1
    assert refusals.row()["fib"]["count"] == 1000


def test_three_strikes_withdraw_the_function_on_all_its_lanes_and_an_outcome_clears_them() -> None:
    refusals = Refusals()
    lanes = ["fib", "fib!high", "gcd"]
    assert refusals.taken(lanes) is lanes, "the usual case costs nothing"
    for _ in range(2):
        refusals.strike("fib!high")
    assert list(refusals.taken(lanes)) == lanes
    refusals.served(Held("fib", "1", "1"))
    refusals.strike("fib")
    assert not refusals.withdrawn()
    for _ in range(2):
        refusals.strike("fib")
    assert refusals.withdrawn() == {"fib"}
    assert list(refusals.taken(lanes)) == ["gcd"]
    assert refusals.next_change() < float("inf")


def test_a_lane_is_passed_over_and_comes_back() -> None:
    refusals = Refusals(pass_seconds=0.0)
    refusals.pass_over("fib")
    assert list(refusals.taken(["fib", "gcd"])) == ["fib", "gcd"]
    refusals = Refusals(pass_seconds=60.0)
    refusals.pass_over("fib")
    assert list(refusals.taken(["fib", "fib!high"])) == ["fib!high"]


def test_each_missing_module_is_said_once_at_once_and_the_row_names_fifty(caplog: pytest.LogCaptureFixture) -> None:
    refusals = Refusals()
    with caplog.at_level(logging.WARNING, "simpledist.worker"):
        for module in ("sklearn.svm", "pandas", "sklearn", "pandas"):
            refusals.refused(HELD, "undecodable", f"ModuleNotFoundError: No module named '{module}'")
    assert [line.partition("this worker lacks ")[2] for line in caplog.messages] == [
        "scikit-learn; calls that need it run elsewhere",
        "pandas; calls that need it run elsewhere",
    ]
    assert sorted(refusals.missing) == ["pandas", "sklearn"]
    for n in range(200):
        refusals.refused(HELD, "undecodable", f"No module named 'm{n}'")
    assert len(refusals.missing) == 50
