"""What docs/reliability.md says to be asserted is asserted: each test that it names is there; its tables are whole."""

from __future__ import annotations

import re
from pathlib import Path

from tests.matrix import CORNERS, LEFT_OUT, SHORT_TIER
from tests.mutants.mutations import MUTATIONS
from tests.redis_pys import TESTS

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


def test_the_file_that_the_page_names_has_the_test() -> None:
    named: list[tuple[str, str]] = re.findall(r"`(test_\w+)` \((\S+\.py)\)", PAGE)
    assert len(named) > 100
    assert [
        f"{file}: {name}" for name, file in named if f"def {name}(" not in (ROOT / "tests" / file).read_text()
    ] == []


def test_the_page_has_the_last_result_of_every_mutation() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| `test_\w+` \(\S+\.py\) \| \d+ \|$", PAGE, re.MULTILINE)
    assert rows == [(one.mechanism, one.removed) for one in MUTATIONS], "make mutants: its table is not the page's"


def test_the_page_has_the_last_result_of_every_corner_and_none_failed() -> None:
    run = re.findall(r"^\| (3\.\d+)\.\d+ \| (\d+)\.\S+ \| (\d)\.\d+ \| \d+ \| 0 \| \d \| \d+ \|$", PAGE, re.MULTILINE)
    assert run == [(version, str(redis_py), kind[0]) for version, redis_py, kind in CORNERS], "make matrix: as above"


def test_the_page_names_what_the_short_tier_has_and_nothing_else() -> None:
    rows = PAGE.partition("`make matrix` runs a short tier on corners of what is supported: ")[2].partition("CI runs")[
        0
    ]
    whole, *parts = rows.split("; ")
    named = set(re.findall(r"`(tests/\w+)`", whole))
    for part in parts:
        (folder,) = re.findall(r"`(tests/\w+)`", part)
        named |= {f"{folder}/{file}.py" for file in re.findall(r"`(test_\w+)\.py`", part)}
    assert named == set(SHORT_TIER)
    assert {file for file in named if file.startswith("tests/security/")} <= set(TESTS)
    assert all((ROOT / one).exists() for one in (*SHORT_TIER, *LEFT_OUT, *TESTS))
