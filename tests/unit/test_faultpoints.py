"""Fault points: nothing where none is planned, and once where one is."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from simpledist import faultpoints
from simpledist.errors import ConfigurationError

PACKAGE = Path(faultpoints.__file__).parent


def test_without_the_variable_a_point_is_an_empty_function() -> None:
    assert faultpoints.point is faultpoints.read("")
    assert faultpoints.point.__code__.co_consts in ((None,), ())


def test_a_planned_point_strikes_once_at_its_turn() -> None:
    point = faultpoints.read("worker.popped:pause=0.05@2,worker.ended:pause=0.05")
    took: list[bool] = []
    for name in ("worker.popped", "worker.popped", "worker.popped", "worker.ended", "worker.ended", "worker.beat"):
        began = time.monotonic()
        point(name)
        took.append(time.monotonic() - began >= 0.05)
    assert took == [False, True, False, True, False, False]


@pytest.mark.parametrize("text", ["worker.popped", "nowhere:kill", "worker.popped:dance", "worker.popped:pause=x", ":"])
def test_a_value_without_meaning_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="SIMPLEDIST_FAULT"):
        faultpoints.read(text)


def test_every_point_stands_in_the_code_once_and_no_other() -> None:
    found = [
        name for path in sorted(PACKAGE.rglob("*.py")) for name in re.findall(r'\bpoint\("([^"]+)"\)', path.read_text())
    ]
    assert sorted(found) == sorted(faultpoints.POINTS)
