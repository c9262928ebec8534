"""The pages of docs/how-to: each is in the index, and each command on them is one that our own programs take."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from simpledist.cluster import Cluster
from tests import commands
from tests.deploy.files import PROGRAMS, ROOT, parsed

FOLDER = ROOT / "docs" / "how-to"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
LONGEST = 90  # lines: a page answers one question


def command_lines(text: str) -> list[list[str]]:
    """Return our command lines in the shell blocks of a page, and those in `code` that have an option or argument."""
    lines: list[str] = []
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        lines += block.replace("\\\n", " ").splitlines()
    lines += re.findall(r"`(simpledist[a-z-]* [^`\n]*)`", text)
    found: list[list[str]] = []
    for line in lines:
        for part in re.split(r"&&|\|\||[|;>]| -- (?=simpledist)", line):
            words = shlex.split(part, comments=True)
            while words and re.match(r"[A-Z_]+=", words[0]):
                words = words[1:]
            if words and words[0] in PROGRAMS and len(words) > 1:
                found.append(words)
    return found


LINES = [(path.name, words) for path in PAGES for words in command_lines(path.read_text("utf-8"))]


def test_the_index_has_every_page_and_its_question() -> None:
    index = (FOLDER / "README.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| (How .+\?) \| \[.+\]\((.+)\) \|$", index, re.MULTILINE))
    assert sorted(rows.values()) == [path.name for path in PAGES]
    for question, name in rows.items():
        assert (FOLDER / name).read_text("utf-8").splitlines()[0] == f"# {question}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_is_short(page: Path) -> None:
    assert len(page.read_text("utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize(("page", "words"), LINES, ids=[f"{page}: {' '.join(words)}" for page, words in LINES])
def test_each_command_of_a_page_is_one_that_we_have(page: str, words: list[str]) -> None:
    assert parsed([word.replace("WORKER...", "w1") for word in words]) is not None


def test_the_python_of_the_pages_runs() -> None:
    blocks = [
        one for page in PAGES for one in re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.S | re.M)
    ]
    assert blocks
    with Cluster("fns", folder=ROOT / "demo", slots=2) as cluster:
        cluster.start_worker(arguments=["--tag", "gpu"])
        for block in blocks:
            done = commands.python("-c", block, cwd=ROOT / "demo", url=cluster.url)
            assert done.stderr == ""
            assert done.stdout.split() == ["6765", str(sum(fibonacci(range(30))))]


def fibonacci(numbers: Iterable[int]) -> Iterator[int]:
    """Yield the Fibonacci numbers in these places."""
    pair = (0, 1)
    for _ in numbers:
        yield pair[0]
        pair = (pair[1], sum(pair))


def test_commands_are_found_wherever_they_stand() -> None:
    block = "```sh\ncd x && A=1 simpledist-worker fns \\\n  --slots 2  # note\n```\n"
    text = f"a `simpledist drain --all` b\n{block}`simpledist`\n"
    assert command_lines(text) == [["simpledist-worker", "fns", "--slots", "2"], ["simpledist", "drain", "--all"]]
