"""Lanes: the lists in which jobs of one function wait, and how their names are read (lua/_lane.lua says the same).

    function = name["@"version]
    lane     = function ("+" tag)* ["~" 12 hex digits] ["!high" | "!low"]        tags sorted

A job never leaves its lane. One code of a function has one lane: the code that was offered first has the plain lane,
which is named like the function; any other code has a lane with `~`. `beat` decides that (lua/_lane.lua). Tags and
priority are what the caller of a job asks for. Statistics, pages and `functions` know functions only.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

_LANE = re.compile(r"([^+~!]+)((?:\+[^+~!]+)*)(~[0-9a-f]{12})?(?:!(high|low))?")
_MARKS = re.compile(r"[+~!]")


class Lane(NamedTuple):
    """The parts of a lane's name; `code` is "" for the plain lane, `priority` "high", "" or "low"."""

    function: str
    tags: tuple[str, ...] = ()
    code: str = ""
    priority: str = ""

    def __str__(self) -> str:
        tags = "".join(f"+{tag}" for tag in sorted(self.tags))
        code = f"~{self.code}" if self.code else ""
        return f"{self.function}{tags}{code}{f'!{self.priority}' if self.priority else ''}"


def parsed(lane: str) -> Lane:
    """Return the parts of a lane's name. Raises ValueError for what is none."""
    match = _LANE.fullmatch(lane)
    if match is None:
        raise ValueError(f"{lane!r} is no lane")
    function, tags, code, priority = match.groups("")
    return Lane(function, tuple(tags.split("+")[1:]), code[1:], priority)


@functools.lru_cache(maxsize=10_000)
def function_of(lane: str) -> str:
    """Return the function whose lane this is: the text before its marks."""
    return _MARKS.split(lane, 1)[0]


def tagged(function: str, tags: Collection[str]) -> str:
    """Return the plain lane of a function for calls that need these tags; without any it is the function."""
    return str(Lane(function, tuple(tags)))


def named_tags(tags: Collection[str]) -> str:
    """Return tags in words: "the tag gpu", "the tags big and gpu"."""
    return f"the {'tag' if len(tags) == 1 else 'tags'} {' and '.join(tags)}"


def class_of(lane: str) -> str:
    """Return the priority of a lane: "high", "" or "low"."""
    return lane.partition("!")[2]


def without_class(lane: str) -> str:
    """Return the lane of the same code and tags without a priority."""
    return lane.partition("!")[0]


def in_turn(lanes: Collection[str], first: Mapping[str, int], *, low_first: bool = False) -> list[str]:
    """Return lanes in the order in which one pop asks them: high, plain, low; `first` says where each class begins.

    With `low_first` the classes come the other way round: one pop in policy.LOW_FIRST_EVERY asks so, so that a flood of
    high jobs does not stop the others for ever.
    """
    classes: dict[str, list[str]] = {"high": [], "": [], "low": []}
    for lane in sorted(lanes):
        classes.setdefault(class_of(lane), []).append(lane)
    rows: list[list[str]] = []
    for name, row in classes.items():
        begin = first.get(name, 0) % max(len(row), 1)
        rows.append(row[begin:] + row[:begin])
    return [lane for row in (reversed(rows) if low_first else rows) for lane in row]
