"""Lanes: how their names are read, and in which order a pop asks them."""

from __future__ import annotations

from collections import Counter

import pytest

from simpledist import policy
from simpledist.broker import Keys
from simpledist.broker.lane import Lane, class_of, function_of, in_turn, parsed
from simpledist.worker.lane_turns import Turns

LANES = {
    "fib": Lane("fib"),
    "fib@3": Lane("fib@3"),
    "a.b-c_d@1.0~0123456789ab": Lane("a.b-c_d@1.0", code="0123456789ab"),
    "fib+gpu": Lane("fib", ("gpu",)),
    "fib+big+gpu~0123456789ab!high": Lane("fib", ("big", "gpu"), "0123456789ab", "high"),
    "fib!low": Lane("fib", priority="low"),
}


@pytest.mark.parametrize(("name", "lane"), LANES.items())
def test_a_lane_is_read_and_written(name: str, lane: Lane) -> None:
    assert parsed(name) == lane
    assert str(lane) == name
    assert function_of(name) == lane.function
    assert class_of(name) == lane.priority
    assert Keys().template_of(Keys().queue(name)) == "queue"


@pytest.mark.parametrize(
    "name", ["", "+gpu", "fib~", "fib~12", "fib!soon", "fib~0123456789ab+gpu", "fib!high~0123456789ab"]
)
def test_what_is_no_lane_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no lane"):
        parsed(name)


def test_high_lanes_come_first_and_low_ones_last() -> None:
    lanes = ["fib!low", "gcd", "fib", "gcd!high"]
    assert in_turn(lanes, {}) == ["gcd!high", "fib", "gcd", "fib!low"]
    assert in_turn(lanes, {}, low_first=True) == ["fib!low", "fib", "gcd", "gcd!high"]


def test_the_lane_behind_the_one_that_was_served_comes_first_in_its_class() -> None:
    turns = Turns(Keys(), ["first"], policy.TIMINGS)
    lanes = ["a", "a!high", "b", "b!high", "c"]
    begins: list[bytes] = []
    for _ in range(3):
        command = turns.pop(lanes, float("inf")).command
        begins.append(min((key for key in (b":a\r", b":b\r", b":c\r")), key=command.index))
        turns.served(Keys().queue(begins[-1].decode()[1]))
        turns.served(Keys().queue("b!high"))
    assert begins == [b":a\r", b":b\r", b":c\r"], "a flood of high jobs does not stop the round of the others"


def test_one_pop_in_sixteen_asks_low_lanes_first() -> None:
    turns = Turns(Keys(), [], policy.TIMINGS)
    lanes = ["fib", "fib!high", "fib!low"]
    commands = [turns.pop(lanes, float("inf")).command for _ in range(policy.LOW_FIRST_EVERY * 2)]
    counts = Counter(command.index(b"fib!low") < command.index(b"fib!high") for command in commands)
    assert counts == {False: 30, True: 2}


def test_a_pop_ends_when_a_lane_that_was_passed_over_comes_back() -> None:
    turns = Turns(Keys(), [], policy.TIMINGS)
    assert turns.pop(["fib"], float("inf")).seconds == policy.TIMINGS.block_seconds
    assert turns.pop(["fib"], 0.0).seconds == 0.01
