"""What docs/reliability.md says to be asserted is asserted: each test that it names is there; its tables are whole."""

from __future__ import annotations

import re
from pathlib import Path

from tests.matrix import CORNERS
from tests.mutants.mutations import MUTATIONS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reliability.md").read_text()


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    there = {
        name
        for path in (ROOT / "tests").glob("*/test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    assert len(named) > 20
    assert named <= there


def test_the_page_has_the_last_result_of_every_mutation() -> None:
    told = re.findall(r"^\| ([^|]+) \| ([^|]+) \| `test_\w+` \(\S+\.py\) \| \d+ \|$", PAGE, re.MULTILINE)
    assert told == [(one.mechanism, one.removed) for one in MUTATIONS], "make mutants: its table is not the page's"


def test_the_page_has_the_last_result_of_every_corner_and_none_failed() -> None:
    run = re.findall(r"^\| (3\.\d+)\.\d+ \| (\d+)\.\S+ \| (\d)\.\d+ \| \d+ \| 0 \| \d \| \d+ \|$", PAGE, re.MULTILINE)
    assert run == [(version, str(redis_py), kind[0]) for version, redis_py, kind in CORNERS], "make matrix: as above"
