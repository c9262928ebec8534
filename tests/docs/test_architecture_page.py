"""Each file that docs/architecture.md and CONTRIBUTING.md name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACES = (ROOT, ROOT / "simpledist")


def named_in(page: str) -> list[str]:
    """Return the paths between backticks: a word with a slash, or a file of Python, Lua or text."""
    words = re.findall(r"`([\w./*-]+)`", (ROOT / page).read_text())
    return [word for word in words if re.search(r"/|\.(py|lua|md|toml|yml|yaml)$", word)]


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_a_named_file_exists(page: str) -> None:
    names = named_in(page)
    assert len(names) > 15
    assert [name for name in names if not any((place / name).exists() for place in PLACES)] == []
