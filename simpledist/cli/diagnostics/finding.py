"""One line of the doctor's report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from simpledist.cli.diagnostics.facts import Facts

SHOWN = 5  # of one kind, by name


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; all is well where there is no remedy."""

    check: str
    text: str
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Return whether there is nothing to do."""
        return not self.remedy


Check = Callable[[Facts], Iterator[Finding]]


def some(names: Sequence[str]) -> str:
    """Return a few names in one text, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
