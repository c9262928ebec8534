"""Code that an argument brings along: the classes and functions that its pickle names, with their digests.

Pure but for reading sources: nothing is imported or run. A function whose own code is the same on two machines still
gives other values where an argument is an instance of a class that differs.
"""

from __future__ import annotations

import pickletools
import sys
from collections.abc import Iterable
from types import FunctionType
from typing import Any, cast

from simpledist.code.digest import Digests, digests
from simpledist.code.tree import top_of

_STRINGS = frozenset(("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"))
_GETS = frozenset(("GET", "BINGET", "LONG_BINGET"))
_PUTS = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
_NO_VALUE = frozenset(("PROTO", "FRAME", "MARK"))

Name = tuple[str, str]  # module, qualified name


def names_in(pickled: bytes, packages: Iterable[str]) -> set[Name]:
    """Return what of these packages a pickle names, by module and qualified name.

    Raises ValueError for what is no pickle. A pickle in which no package is mentioned is not taken apart.
    """
    tops = frozenset(packages)
    if not any(top.encode() in pickled for top in tops):
        return set()
    return {(module, name) for module, name in _globals(pickled) if module and top_of(module) in tops}


def digests_of(names: Iterable[Name], known: Digests = digests) -> dict[str, str]:
    """Return the digest of each class and function of these, as `module:name`; those without one are left out."""
    found: dict[str, str] = {}
    for module, name in names:
        value: Any = sys.modules.get(module)
        for part in name.split("."):
            value = getattr(value, part, None)
        if isinstance(value, (type, FunctionType)) and (text := known.of(value).text):
            found[f"{module}:{name}"] = text
    return dict(sorted(found.items()))


def _globals(pickled: bytes) -> set[Name]:
    found: set[Name] = set()
    memo: dict[int, str] = {}
    last, before = "", ""  # the two values that were pushed last, as far as they are texts
    for opcode, read, _ in pickletools.genops(pickled):
        name, argument = opcode.name, cast(Any, read)
        if name in _NO_VALUE:
            continue
        if name == "MEMOIZE":
            memo[len(memo)] = last
        elif name in _PUTS:
            memo[int(argument)] = last
        elif name in ("GLOBAL", "INST"):
            module, _, attribute = str(argument).partition(" ")
            found.add((module, attribute))
            before, last = last, ""
        elif name == "STACK_GLOBAL":
            found.add((before, last))
            before, last = "", ""
        else:
            text = str(argument) if name in _STRINGS else memo.get(int(argument), "") if name in _GETS else ""
            before, last = last, text
    return found
