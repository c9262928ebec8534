"""docs/operations.md names every reason of a local run, and no command or metric that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

from simpledist.cli.main import SUBCOMMANDS
from simpledist.monitor import FunctionState, RedisState, Snapshot
from simpledist.monitor.metrics import exposition
from simpledist.reasons import REASONS, WHYS, row

TEXT = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()


def test_every_reason_of_a_local_run_is_explained() -> None:
    assert set(WHYS) <= set(REASONS)
    table = TEXT.partition("## Why did it run locally?")[2].partition("## ")[0]
    assert re.findall(r"^\| <a .*", table, re.MULTILINE) == [row(why) for why in REASONS]


def test_every_command_exists() -> None:
    named = set(re.findall(r"\bsimpledist ([a-z]+)", TEXT))
    assert "doctor" in named
    assert named <= set(SUBCOMMANDS)


def test_every_metric_exists() -> None:
    counters = {"local:no_worker": 1, "failed": 1, "cached": 1}
    function = FunctionState("fib", "fib", None, 1, 1, 1, 1.0, counters)
    scraped = exposition(Snapshot(RedisState(ok=True), functions=(function,)), dropped={"unreadable": 1})[0].decode()
    named = set(re.findall(r"simpledist_\w+", TEXT))
    assert len(named) > 5
    assert all(re.search(rf"^{name}[ {{]", scraped, re.MULTILINE) for name in named)
