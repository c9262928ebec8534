"""The two commands and what CI does: targets exist, help tells of each, CI installs what the tests need."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests import needs
from tests.matrix import CORNERS
from tests.servers import OLDEST

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
CI = (ROOT / ".ci" / "run").read_text()
TARGETS = re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE)


def test_help_has_one_line_for_every_target_and_is_the_default() -> None:
    shown = subprocess.run(["make", "-s"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert [line.split()[1] for line in shown.splitlines()] == TARGETS
    assert all(line.startswith("make ") and len(line.split()) > 2 for line in shown.splitlines())


def test_no_target_is_taken_for_a_file() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony
    assert sorted(phony[1].split()) == sorted(TARGETS)


def test_ci_runs_the_readmes_own_test_command_and_the_oldest_corner() -> None:
    assert "    make test " in (ROOT / "README.md").read_text()
    test, matrix = re.findall(r"^make (?:test|matrix)\b.*$", CI, re.MULTILINE)
    assert test.startswith("make test")
    oldest = re.search(r"redis\[hiredis\]>=(\d+)", (ROOT / "pyproject.toml").read_text())
    words = re.fullmatch(r'make matrix ARGS="(\S+) (\d+) (\S+)"', matrix)
    assert oldest
    assert words
    assert words.groups()[1:] == (oldest[1], OLDEST)
    assert (words[1], int(words[2]), words[3]) in CORNERS


def test_ci_installs_every_program_that_a_test_may_need() -> None:
    installed = dict(re.findall(r"([a-z-]+):([a-z-]+)", CI.partition("needed=(")[2].partition(")")[0]))
    assert needs.PACKAGES.items() <= installed.items()
    subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], check=True)


def test_what_is_missing_is_said_in_one_line_and_skipped_here_but_not_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"^no tmux here: apt-get install tmux$"):
        needs.program("tmux")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"^no tmux here: apt-get install tmux$"):
        needs.program("tmux")
