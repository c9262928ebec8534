"""docs/protocol.md against the verbs themselves: every verb, its arguments and replies word for word, its callers."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

from simpledist.broker import Broker, scripts
from simpledist.broker.keys import TEMPLATES

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
ROWS: dict[str, list[str]] = {
    cells[0][1:].partition("]")[0]: cells[1:]
    for line in PAGE.splitlines()
    if line.startswith("| [")
    for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
}
SECTIONS: dict[str, str] = {
    section.partition("\n")[0]: section.partition("\n")[2] for section in re.split(r"^###? ", PAGE, flags=re.MULTILINE)
}
ROLES = {"client", "worker", "distributor", "operator"}


def head_of(verb: str) -> str:
    """The arguments and replies on top of a Lua file, without what it says before and after them."""
    text = resources.files("simpledist.broker.lua").joinpath(f"{verb}.lua").read_text()
    lines = re.match(r"(-- .*\n)+", text)
    assert lines, f"{verb}.lua begins with what it does"
    head = "\n".join(line.removeprefix("-- ") for line in lines[0].splitlines())
    found = re.search(r"^ARGV: .*(\n .*)*\nReplies: .*(\n .*)*", head, re.MULTILINE)
    assert found, f"{verb}.lua names its arguments and replies"
    return found[0]


def test_the_page_has_a_row_and_a_section_for_every_verb_and_for_nothing_else() -> None:
    assert list(ROWS) == list(scripts.VERBS)
    assert [name for name in SECTIONS if name in scripts.VERBS] == list(scripts.VERBS)


@pytest.mark.parametrize("verb", scripts.VERBS)
def test_each_verb_is_a_lua_file_a_method_and_a_section_with_its_head_word_for_word(verb: str) -> None:
    assert callable(getattr(Broker, verb))
    block = re.search(r"```\n(.*?)\n```", SECTIONS[verb], re.DOTALL)
    assert block
    assert [line.split() for line in block[1].splitlines()] == [line.split() for line in head_of(verb).splitlines()]


@pytest.mark.parametrize("verb", scripts.VERBS)
def test_rows_name_known_roles_and_keys(verb: str) -> None:
    called_by, writes, _ = ROWS[verb]
    assert set(called_by.split(", ")) <= ROLES
    known = {*TEMPLATES, *scripts.VERBS, "and", "or", "what", "writes"}
    assert set(re.findall(r"\w+", writes)) <= known


def test_there_is_no_lua_file_that_is_no_verb() -> None:
    files = {file.name for file in resources.files("simpledist.broker.lua").iterdir() if file.name.endswith(".lua")}
    verbs = {name.removesuffix(".lua").removesuffix("_short") for name in files if not name.startswith("_")}
    assert verbs == set(scripts.VERBS)
