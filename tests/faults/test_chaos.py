"""The long run in its shortest form, so that it cannot rot; `make chaos` is the one that tells something."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GENTLE = ("--kill-seconds", "1.5")  # as often as in a long run, it would be all that this machine does


@pytest.fixture
def chaos(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.faults.chaos", "--minutes", "0.08", "--seed", "5", *GENTLE]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_a_few_seconds_of_chaos_lose_nothing_and_are_reported(chaos: subprocess.Popen[str]) -> None:
    report = chaos.communicate(timeout=120)[0]
    assert report.startswith("seed 5, ")
    assert re.search(r"^calls +[1-9]", report, re.MULTILINE), report
    assert re.search(r"^faults +[1-9].*worker_killed", report, re.MULTILINE), report
    # Not whether it was in time: on a machine so busy with other things, that says nothing.
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
