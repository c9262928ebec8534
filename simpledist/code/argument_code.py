"""Code that an argument brings along: the first-party classes and functions that its pickle names, with their digests.

A function whose own code is the same on two machines gives other values where an argument is an instance of a class
that differs. Pure but for reading sources: nothing is imported or run. A client asks for the lines of each call
(engine/encoding.py), a worker's child compares them with what it has loaded (worker/argument_check.py).

A line is `module:name`, the digest, a hash of each of the first parts of the tree below it (so that a worker can say
which part differs), and other first-party packages that it reaches, as `name:hash`; with blanks between them.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from simpledist.buffers import Data
from simpledist.code.digest import CodeDigest, digests
from simpledist.code.first_party import STANDARD_LIBRARY, own_top
from simpledist.code.outline import parts_of
from simpledist.code.pickled_names import names_in
from simpledist.code.tree import top_of
from simpledist.errors import BRINGS, OtherCode
from simpledist.interruption import by_signal

_MAINS = ("__main__", "__mp_main__")  # their code travels by value
_MOST_PARTS, _PART_DIGITS = 16, 4  # of a line
_MOST_KEPT = 1000
_OURS = "simpledist"


class ArgumentCode:
    """What this process knows of the code that its calls' arguments name. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._tops: dict[str, tuple[str, bool]] = {}  # module -> its package, and whether that is first-party
        self._lines: dict[tuple[str, str], tuple[object, str]] = {}  # module and name -> what that was, and its line

    def lines(self, body: Data, package: str = "") -> str:
        """Return the lines of what encoded arguments name of first-party packages and of this one, "" for nothing.

        Raises OtherCode where the file of such a class or function changed since this process imported it.
        """
        with self._lock:
            texts = names_in(body)
            modules = [text for text in texts & sys.modules.keys() if self._is_compared(text, package)]
            return "\n".join(sorted(line for module in modules for line in self._lines_of(module, texts)))

    def after_fork(self) -> None:
        """In the child: begin again where another thread was at work, which is not there to end it."""
        if self._lock.acquire(blocking=False):
            self._lock.release()
        else:
            self.__init__()

    def _is_compared(self, module: str, package: str) -> bool:
        if module not in self._tops:
            head = module.partition(".")[0]
            foreign = module in _MAINS or head == _OURS or head in STANDARD_LIBRARY
            self._tops[module] = ("", False) if foreign else (top_of(module), bool(own_top(module)))
        top, is_own = self._tops[module]
        return is_own or (top != "" and top == package)

    def _lines_of(self, module: str, texts: set[str]) -> Iterator[str]:
        names = vars(sys.modules[module])
        for text in [*(texts & names.keys()), *(text for text in texts if "." in text)]:
            value = found_in(names, text)
            if value is None or getattr(value, "__module__", None) != module:
                continue
            kept = self._lines.get((module, text))
            if kept is None or kept[0] is not value:
                if len(self._lines) >= _MOST_KEPT:
                    self._lines.clear()
                kept = self._lines[module, text] = value, _line(f"{module}:{text}", digest_of(value))
            if kept[1]:
                yield kept[1]


def found_in(names: Mapping[str, Any], path: str) -> Callable[..., Any] | None:
    """Return the class or function of this qualified name among a module's names; None where there is none."""
    first, *rest = path.split(".")
    value = names.get(first)
    for name in rest:
        value = getattr(value, name, None)
    return value if callable(value) else None


def digest_of(value: Callable[..., Any]) -> CodeDigest:
    """Return the digest of a class or function; one that cannot be read has none.

    Raises what a signal brought, and MemoryError and RecursionError: there is no room in this moment.
    """
    try:
        return digests.of(value)
    except Exception as error:
        if isinstance(error, (MemoryError, RecursionError)) or by_signal(error):
            raise
        return CodeDigest("", ("", ""), f"its source cannot be read: {type(error).__name__}: {error}")


def difference(line: str, found: CodeDigest) -> str:
    """Return in words how the code of a caller's line differs from the one that is here, "" where it does not.

    What has no digest here goes by its name; what changed since it was imported is other code.
    """
    place, digest, hashes, *packages = line.split(" ")
    if found.changed:
        return f"{BRINGS}{place}, and there {found.reason}"
    if not found.text:
        return ""
    if found.text == digest:
        for name, _, hash in (one.partition(":") for one in packages):
            if found.packages.get(name, hash) != hash:
                return f"{BRINGS}{place}, whose package {name} is other code there"
        return ""
    ours = parts_of(found)
    first = next(
        (part for part, hash in zip(ours, _cut(hashes), strict=False) if ours[part][:_PART_DIGITS] != hash), ""
    )
    return f"{BRINGS}{place}, {f'whose {first}' if first and first != place else 'which'} is other code there"


def _line(place: str, found: CodeDigest) -> str:
    if found.changed:
        raise OtherCode(f"{BRINGS}{place}, and {found.reason}")
    if not found.text:
        return ""
    nodes = [hash for part, hash in parts_of(found).items() if not part.startswith("package ")]
    hashes = "".join(hash[:_PART_DIGITS] for hash in nodes[:_MOST_PARTS])
    packages = [f"{name}:{hash}" for name, hash in found.packages.items() if hash]
    return " ".join([place, found.text, hashes, *packages])


def _cut(hashes: str) -> Iterator[str]:
    return (hashes[at : at + _PART_DIGITS] for at in range(0, len(hashes), _PART_DIGITS))


argument_code = ArgumentCode()  # of this process
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=argument_code.after_fork)
