"""Comments, docstrings and pages keep to common words, and a function's docstring begins with a verb."""

from __future__ import annotations

import ast
import functools
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A word that a reader has to decode -> a common one.
WORDS = {
    "mend": "repair",
    "mends": "repairs",
    "mended": "repaired",
    "mending": "repairing",
    "whoever": "the process that, anyone who",
    "whosoever": "anyone who",
    "whosesoever": "anyone's",
    "nobody": "no one, no process",
    "of late": "lately, in the last minutes",
    "anew": "again",
    "beside": "next to, apart from",
    "lend": "(say what is passed)",
    "lends": "(say what is passed)",
    "lent": "(say what is passed)",
    "dear": "slow, expensive",
    "dearer": "slower",
    "in vain": "without success",
    "stands for": "means",
    "stand for": "mean",
    "seen to": "handled",
    "sees to": "handles",
    "asks after": "asks about",
    "told": "informed, asked, known (say what is sent)",
    "lies": "is, stands",
    "whence": "from where",
    "thereof": "of it",
    "thereby": "by this",
}
# A function's docstring says what it does: it does not begin with what it is about.
NOT_VERBS = re.compile(
    "(the|an?|what|whether|one|how|its?|so|this|that|who|where|when|all|every|each|no|nothing|only|some|which|never|why"
    "|two|from|at|for|on|until|if|more|there|everything|both)",
    re.IGNORECASE,
)
ROOMS = (
    "broker",
    "cli",
    "cli/diagnostics",
    "cli/live",
    "client",
    "code",
    "config",
    "distributor",
    "embedded",
    "engine",
    "monitor",
    "slurm",
    "ssh",
    "wire",
    "worker",
)
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in (ROOT, ROOT / "docs", ROOT / "docs" / "decisions", ROOT / "docs" / "how-to", ROOT / "deploy")
    for path in folder.glob("*.md")
    if path.name != "CODE_OF_CONDUCT.md"
)
SCRIPTS = sorted((ROOT / "simpledist" / "broker" / "lua").glob("*.lua"))
# (file, word): where the word is right all the same.
ALLOWED: set[tuple[str, str]] = set()


def files() -> list[Path]:
    """Return the modules that are held to it: the package's loose ones, and those of the rooms, of web/ and demo/."""
    package = ROOT / "simpledist"
    rooms = [ROOT / "web", ROOT / "demo", *(package / room for room in ROOMS)]
    return sorted([*package.glob("*.py"), *(path for room in rooms for path in room.glob("*.py"))])


@functools.cache
def docstrings(path: Path) -> list[tuple[ast.AST, str]]:
    """Return those of a file, read once for all tests, each with what it describes."""
    return [
        (node, text)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        if (text := ast.get_docstring(node))
    ]


def odd_words(place: str, text: str) -> list[str]:
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    found = re.findall(rf"\b({'|'.join(map(re.escape, WORDS))})\b", prose, re.IGNORECASE)
    return [f"{word}: {WORDS[word.lower()]}" for word in found if (place, word.lower()) not in ALLOWED]


@pytest.mark.parametrize("path", files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_comments_and_docstrings_use_common_words(path: Path) -> None:
    source = path.read_text("utf-8")
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    texts = [token.string for token in tokens if token.type == tokenize.COMMENT]
    texts += [text for _, text in docstrings(path)]
    place = path.relative_to(ROOT).as_posix()
    assert [odd for text in texts for odd in odd_words(place, text)] == []


@pytest.mark.parametrize("path", files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_docstring_of_a_function_begins_with_a_verb(path: Path) -> None:
    firsts = {
        node.name: text.split()[0]
        for node, text in docstrings(path)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    assert {name: first for name, first in firsts.items() if NOT_VERBS.fullmatch(first.strip(",.:;"))} == {}


@pytest.mark.parametrize("path", files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_docstring_of_a_module_begins_with_its_subject(path: Path) -> None:
    text = next((text for node, text in docstrings(path) if isinstance(node, ast.Module)), "")
    assert not re.match(r"(what|whether|how|where|who)\b", text, re.IGNORECASE), "name the thing that the module owns"


def test_every_room_is_held_to_it() -> None:
    rooms = {path.parent.relative_to(ROOT / "simpledist").as_posix() for path in (ROOT / "simpledist").rglob("*.py")}
    assert rooms == {*ROOMS, ".", "broker/lua"}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_comments_of_lua_use_common_words(path: Path) -> None:
    texts: list[str] = re.findall(r"--(.*)", path.read_text("utf-8"))
    place = path.relative_to(ROOT).as_posix()
    assert [odd for text in texts for odd in odd_words(place, text.replace("| told |", "|"))] == []


@pytest.mark.parametrize("page", PAGES)
def test_pages_use_common_words(page: str) -> None:
    assert odd_words(page, (ROOT / page).read_text("utf-8")) == []


def test_an_odd_word_is_found() -> None:
    assert odd_words("a.md", "Nobody mends it.") == ["Nobody: no one, no process", "mends: repairs"]
