"""The code that a call's arguments name, compared with what this child has loaded, before they are decoded.

Used in a child; wire/expected_code.py asks for each call that has lines, code/argument_code.py knows what they say.
Decoding would import the same modules a moment later.
"""

from __future__ import annotations

import sys
from importlib import import_module

from simpledist.code.argument_code import difference, digest_of, found_in
from simpledist.errors import BRINGS, OtherCode

_MOST_KEPT = 1000


class ArgumentCheck:
    """That of one child, which compares each line once: what it has loaded stays."""

    def __init__(self) -> None:
        self._same: set[str] = set()  # the lines of whole calls
        self._differences: dict[str, str] = {}

    def compare(self, lines: str) -> None:
        """Raise OtherCode, with the first difference, where a caller's code is not the one that is loaded here."""
        if lines in self._same:
            return
        for line in lines.split("\n"):
            if line not in self._differences:
                if len(self._differences) >= _MOST_KEPT:
                    self._differences.clear()
                self._differences[line] = _difference(line)
            if self._differences[line]:
                raise OtherCode(self._differences[line])
        if len(self._same) >= _MOST_KEPT:
            self._same.clear()
        self._same.add(lines)


def _difference(line: str) -> str:
    module, _, name = line.partition(" ")[0].partition(":")
    if module not in sys.modules:
        try:
            import_module(module)
        except BaseException:  # noqa: BLE001 - decoding imports it again, and says so of the call that needs it
            return ""
    try:
        value = found_in(vars(sys.modules[module]), name)
        return "" if value is None else difference(line, digest_of(value))
    except Exception as error:  # noqa: BLE001 - code of the class may run, and raise anything
        return f"{BRINGS}{module}:{name}, which cannot be compared there: {type(error).__name__}: {error}"
