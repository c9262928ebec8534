"""One mechanism that `make mutants` takes out, and the tests that must notice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LUA = "simpledist/broker/lua/"


@dataclass(frozen=True, slots=True)
class Mutation:
    """`tests` are tried in this order, until one fails: paths or ids of pytest, with `-k WORD` after some."""

    mechanism: str
    removed: str  # for people
    path: str
    text: str
    instead: str
    tests: str

    def applied_to(self, root: Path) -> str:
        """The file's text without the mechanism. Raises ValueError where the text is not there exactly once."""
        whole = (root / self.path).read_text()
        if (times := whole.count(self.text)) != 1:
            raise ValueError(f"{self.mechanism}: {self.removed}: found {times} times in {self.path}: {self.text!r}")
        return whole.replace(self.text, self.instead)
