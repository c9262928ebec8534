"""The long run in its shortest form, so that it cannot rot; `make chaos` is the one that tells something."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.faults.chaos.book import Book
from tests.faults.chaos.sizes import TELLING_SAMPLES, Growth, Size
from tests.faults.chaos.tally import Tally
from tests.faults.functions import work

ROOT = Path(__file__).parents[2]
GENTLE = ("--kill-seconds", "1.5")  # as often as in a long run, it would be all that this machine does


OF_LINKS_AND_SERVERS = (
    "link_throttled",
    "redis_limits_lowered",
    "redis_rights_taken_from_workers",
    "redis_rights_taken_from_clients",
)


@pytest.fixture
def begin() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a short run with these arguments; it ends with the test."""
    with ExitStack() as stack:

        def start(*arguments: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "tests.faults.chaos", "--minutes", "0.08", "--seed", "5", *GENTLE]
            process = subprocess.Popen([*command, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


@pytest.fixture
def chaos(begin: Callable[..., subprocess.Popen[str]]) -> subprocess.Popen[str]:
    return begin()


def test_a_few_seconds_of_chaos_lose_nothing_and_are_reported(chaos: subprocess.Popen[str]) -> None:
    report = chaos.communicate(timeout=120)[0]
    assert report.startswith("seed 5, ")
    assert re.search(r"^calls +[1-9]", report, re.MULTILINE), report
    assert re.search(r"^faults +[1-9].*worker_killed", report, re.MULTILINE), report
    # Not whether it was in time: on a machine so busy with other things, that says nothing.
    assert "\nlost 0 wrong 0 stuck 0 " in report
    assert re.search(r"long 0 left 0 deserted 0 bug 0\n", report), report


def test_slow_links_small_servers_and_missing_rights_lose_nothing(begin: Callable[..., subprocess.Popen[str]]) -> None:
    """Beside them a client whose collector and signal handler are never at rest."""
    chosen = [word for name in OF_LINKS_AND_SERVERS for word in ("--fault", name)]
    report = begin("--other-seconds", "0.3", *chosen).communicate(timeout=120)[0]
    struck = re.search(r"^faults .*$", report, re.MULTILINE)
    assert struck is not None, report
    assert all(f"'{name}': " in struck[0] for name in OF_LINKS_AND_SERVERS), report
    assert re.search(r"^unrest +[1-9]\d* rounds, [1-9]", report, re.MULTILINE), report
    assert "\nlost 0 wrong 0 stuck 0 " in report
    assert re.search(r"long 0 left 0 deserted 0 bug 0\n", report), report


def test_ctrl_c_ends_it_in_order(chaos: subprocess.Popen[str]) -> None:
    assert chaos.stdout is not None
    assert chaos.stdout.readline().startswith("seed 5, ")
    chaos.send_signal(signal.SIGINT)
    report = chaos.communicate(timeout=60)[0]
    assert report.endswith("interrupted\n")
    assert "\nlost 0 wrong 0 stuck 0 " in report
    assert chaos.returncode == 130


# --- what it says can be trusted ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "came", "verdict"),
    [
        (1, work.value_of(1), None),
        (1, work.value_of(2), "wrong"),
        (1, OSError("Redis is away"), "wrong"),
        (6, work.Wrong(6), None),
        (6, work.Wrong(13), "wrong"),
        (6, work.value_of(6), "wrong"),
    ],
)
def test_a_call_is_judged_by_what_was_due(n: int, came: Any, verdict: str | None) -> None:
    book = Book()
    book.end(book.begin("plain", n), came)
    news = book.news()
    assert [what for what, _ in news.findings] == [verdict] * bool(verdict)
    assert (news.ended["plain"], news.open) == (1, 0)


def test_a_call_over_its_budget_is_late_and_one_without_an_end_is_stuck_and_then_lost() -> None:
    book = Book()
    late, stuck = book.begin("hurried", 1, budget=1.0), book.begin("plain", 2)
    late.began -= 3.1
    stuck.began -= 61.0
    book.end(late, work.value_of(1))
    assert [what for what, _ in book.news().findings] == ["late", "stuck"]
    assert book.news().findings == [], "each is found once"
    assert len(book.open()) == 1


@pytest.mark.parametrize(
    ("each", "grown"),
    [
        ((0.0, 0.0, 0), []),
        ((1.0, 0.0, 0), ["megabytes"]),
        ((0.0, 1.0, 0), ["megabytes_below"]),
        ((0.0, 0.0, 1), ["descriptors"]),
    ],
)
def test_growth_is_distinguished_from_rest(each: tuple[float, float, int], grown: list[str]) -> None:
    own, below, descriptors = each
    growth = Growth(os.getpid())
    growth.samples = [
        (float(i), Size(50.0 + own * i, 40.0 + below * i, 10 + descriptors * i, 8, 2)) for i in range(TELLING_SAMPLES)
    ]
    assert growth.grown() == grown


def test_recovery_from_a_fault_is_the_first_call_that_began_after_it_and_ran_remotely() -> None:
    tally, now = Tally(), time.monotonic()
    tally.struck("worker_killed")
    line: dict[str, Any] = {"ended": {}, "where": {}, "open": 0, "most_over": -1e9, "findings": []}
    tally.hear(1, {**line, "remote": [[now - 1.0, now + 0.5]]})
    assert tally.slowest() == [], "it had begun before"
    tally.hear(1, {**line, "remote": [[now + 1.0, now + 3.0], [now + 1.0, now + 2.0]]})
    [(kind, seconds)] = tally.slowest()
    assert kind == "worker_killed"
    assert 1.5 < seconds < 2.5
