"""docs/libraries.md tells of each difference from loky once, in the order of the list that `make foreign` goes by."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.foreign.__main__ import SUITES
from tests.foreign.differences import DIFFERENCES, LEFT_OUT, reason

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/libraries.md").read_text()


def table(head: str) -> list[str]:
    """Return the cells of the page's table of one column under this head."""
    rows = PAGE.partition(f"| {head} |\n|---|\n")[2].partition("\n\n")[0]
    return [row.strip("| ") for row in rows.splitlines()]


def test_the_page_has_each_reason_of_a_difference_and_no_other() -> None:
    assert table("why a test comes out otherwise") == [why for _, why in DIFFERENCES]


def test_the_page_has_each_reason_of_a_test_that_is_left_out_and_no_other() -> None:
    assert table("why a test is not run") == [why for _, why in LEFT_OUT]


@pytest.mark.parametrize("pattern", [pattern for pattern, _ in DIFFERENCES])
def test_a_pattern_names_its_suites(pattern: str) -> None:
    suites = {suite.name for suite in SUITES}
    assert all(part.partition(": ")[0] in suites for part in re.split(r"\|(?=[a-z-]+: )", pattern))


def test_no_test_has_two_reasons() -> None:
    whys = [why for _, why in DIFFERENCES]
    assert len(set(whys)) == len(whys)


def test_a_test_without_a_reason_is_reported() -> None:
    assert reason("joblib: joblib/test/test_parallel.py::test_simple_parallel") is None
    assert reason("joblib: joblib/test/test_config.py::test_effective_n_jobs_None") == DIFFERENCES[0][1]
