"""Each link between the pages of the repository leads to a file, and its anchor to a heading or a mark in that file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = (".", "docs", "docs/decisions", "docs/how-to", "benchmarks", "deploy")
PAGES = sorted(path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).glob("*.md"))


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```|`[^`\n]*`(?!\]:)", "", text, flags=re.DOTALL | re.MULTILINE)


def links(text: str) -> list[str]:
    """Return where a page links to: `[text](here)`, and `[text]: here` at the end of a page."""
    prose = without_code(text)
    inline: list[str] = re.findall(r"\]\(([^)\s]+)\)", prose)
    below: list[str] = re.findall(r"^\[[^\]]+\]: (\S+)$", prose, re.MULTILINE)
    return [link for link in inline + below if not re.match(r"https?:|mailto:", link)]


def anchors(text: str) -> set[str]:
    """Return the anchors of a page as GitHub makes them: a heading in small letters with hyphens, and marks."""
    headings: list[str] = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M), re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)"></a>', text))


@pytest.mark.parametrize("page", PAGES)
def test_each_link_leads_to_a_file_and_a_place_in_it(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    lost: list[str] = []
    for link in links(text):
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text("utf-8"))):
            lost.append(link)
    assert lost == []


def test_links_and_anchors_of_both_kinds_are_found() -> None:
    text = '# Why: a `b` c?\n[x](a.md#b) `[no](link)` [y]\n\n<a id="mark"></a>\n[`y`]: b.md\n'
    assert links(text) == ["a.md#b", "b.md"]
    assert anchors(text) == {"why-a-b-c", "mark"}


def test_each_reference_of_a_page_is_defined() -> None:
    for page in PAGES:
        text = (ROOT / page).read_text("utf-8")
        defined = set(re.findall(r"^\[(`[^`]+`)\]: ", text, re.MULTILINE))
        assert set(re.findall(r"(?<!\w)\[(`[^`]+`)\](?![(:\[])", text)) <= defined, page
