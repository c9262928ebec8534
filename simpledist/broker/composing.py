"""Composes the script of a verb: what it uses of the Lua files by noun (`_job.lua`, ...), then the verb's own lines.

Making all definitions in each run would cost more than most verbs do, so a script holds only those that its verb uses,
directly or through others, in an order in which each comes before its users. For the same reason constants are written
out: to a function, each local that it refers to is an object more. Every line remembers the file and line that it comes
from, so that people can read the script and an error of Redis can name the place. Pure: text in, lines out.

The rules of the Lua files:

- A definition begins with `local` at the beginning of a line, and ends where the next one begins; no two have one name.
- A definition whose first line ends with `-- rare` is a function that most runs do without. What only it uses is made
  inside of it, when it is called.
- No local, parameter or field of a table constructor has the name of a definition.
- A name in capitals is a constant. Anything else that is no function is state of the script: it is never made inside of
  a function.
- A line of a verb that begins with `---` divides it: what only the second part uses is made after the first part,
  which may have returned.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from simpledist.broker.keys import TEMPLATES

RARE = " -- rare"
_NAME = re.compile(r"(?<![\w.:])[A-Za-z_]\w*")
_KEY = re.compile(r"\bkey_(\w+)\(")
_TEXT = re.compile(r"'[^'\n]*'")


class Line(NamedTuple):
    """One line of a script, and where it comes from."""

    text: str
    file: str
    number: int


@dataclass(frozen=True, eq=False)
class Definition:
    """One or several names that are made together: a function, a constant, or state of the script."""

    lines: tuple[Line, ...]
    rare: bool

    @cached_property
    def names(self) -> tuple[str, ...]:
        head = self.lines[0].text.removeprefix("local ").removeprefix("function ")
        return tuple(_NAME.findall(head.partition("=")[0].partition("(")[0]))

    @cached_property
    def uses(self) -> frozenset[str]:
        """Whatever may be the name of another definition in it."""
        return _names_in(self.lines) - set(self.names)

    @property
    def is_state(self) -> bool:
        """Return whether it must be made once in a run of the script, and at its top."""
        head = self.lines[0].text
        return not head.startswith("local function") and not all(name.isupper() for name in self.names)


class Library:
    """The definitions of the files by noun, read once for all verbs. Raises ValueError: a rule above is broken."""

    def __init__(self, nouns: Mapping[str, str], constants: Mapping[str, str], beginning: Sequence[str]) -> None:
        """`nouns` are texts by file name; `constants` are written out wherever their names stand; `beginning` are
        definitions of one line each."""
        self._constants = constants
        found = [Definition((Line(text, "scripts.py", 0),), rare=False) for text in beginning]
        for file, text in nouns.items():
            found += _definitions(_lines(file, text, constants))
        self._definitions = _in_order(found)

    def script(self, parts: Mapping[str, str]) -> list[Line]:
        """Return the script of a verb: `parts` are the texts of its files, one after the other."""
        script: list[Line] = []
        made: frozenset[str] = frozenset()
        for file, text in parts.items():
            for part in _divided(_lines(file, text, self._constants)):
                needed = [one for one in _needed(self._definitions, _names_in(part)) if made.isdisjoint(one.names)]
                made = made.union(*(one.names for one in needed))
                for one in needed:
                    script += _with_its_own(self._definitions, one, made)
                script += part
        return script


def keys_written_out(lua: str) -> str:
    """Return the text with `key_<template>(part)` replaced by what it means: a function for each key costs more."""
    done: list[str] = []
    at = 0
    while begin := _KEY.search(lua, at):
        depth, end = 1, begin.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(lua[end], 0)
            end += 1
        part = keys_written_out(lua[begin.end() : end - 1])
        head, _, tail = TEMPLATES[begin[1]].partition("{")
        after = tail.partition("}")[2]
        pieces = ["ns", f"'{head}'", *([f"({part})"] if part else []), *([f"'{after}'"] if after else [])]
        done += (lua[at : begin.start()], "(", " .. ".join(pieces), ")")
        at = end
    return "".join(done) + lua[at:]


def _lines(file: str, text: str, constants: Mapping[str, str]) -> list[Line]:
    """Return the lines of a file that are no comments, with keys and constants written out."""
    code = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line and _is_code(line)]
    whole = keys_written_out("\n".join(line for _, line in code))
    if constants:
        names = re.compile(rf"{_TEXT.pattern}|\b(?:{'|'.join(constants)})\b")
        whole = names.sub(lambda found: constants.get(found[0], found[0]), whole)
    return [Line(line, file, number) for (number, _), line in zip(code, whole.split("\n"), strict=True)]


def _is_code(line: str) -> bool:
    bare = line.lstrip()
    return not bare.startswith("--") or line.startswith("---")


def _names_in(lines: Iterable[Line]) -> frozenset[str]:
    return frozenset(name for line in lines for name in _NAME.findall(_TEXT.sub("''", line.text)))


def _definitions(lines: Sequence[Line]) -> list[Definition]:
    found: list[list[Line]] = []
    for line in lines:
        if line.text.startswith("local "):
            found.append([line])
        else:
            found[-1].append(line)
    return [
        Definition((head._replace(text=head.text.removesuffix(RARE)), *rest), rare=head.text.endswith(RARE))
        for head, *rest in found
    ]


def _divided(lines: Iterable[Line]) -> list[list[Line]]:
    """Return the parts of a verb."""
    parts: list[list[Line]] = [[]]
    for line in lines:
        if line.text.startswith("---"):
            parts.append([])
        else:
            parts[-1].append(line)
    return [part for part in parts if part]


def _in_order(definitions: Sequence[Definition]) -> list[Definition]:
    """Return them so that each comes before those that use it."""
    owner: dict[str, Definition] = {}
    for one in definitions:
        for name in one.names:
            if owner.setdefault(name, one) is not one:
                raise ValueError(f"{name} is defined twice: {_place(owner[name])} and {_place(one)}")
    done: dict[int, Definition] = {}
    under_way: list[Definition] = []

    def visit(one: Definition) -> None:
        if id(one) in done:
            return
        if one in under_way:
            names = " -> ".join(each.names[0] for each in [*under_way[under_way.index(one) :], one])
            raise ValueError(f"these use each other: {names}")
        under_way.append(one)
        for name in sorted(one.uses & owner.keys()):
            visit(owner[name])
        under_way.pop()
        done[id(one)] = one

    for one in definitions:
        visit(one)
    return list(done.values())


def _place(one: Definition) -> str:
    return f"{one.lines[0].file}:{one.lines[0].number}"


def _needed(definitions: Sequence[Definition], names: frozenset[str]) -> list[Definition]:
    """Return those that these names mean, with what they use; of what only rare ones use, only its state."""
    wanted, of_rare = set(names), set[str]()
    needed: list[Definition] = []
    for one in reversed(definitions):
        if wanted.isdisjoint(one.names) and not (one.is_state and not of_rare.isdisjoint(one.names)):
            if not of_rare.isdisjoint(one.names):
                of_rare |= one.uses
            continue
        (of_rare if one.rare else wanted).update(one.uses)
        needed.append(one)
    return needed[::-1]


def _with_its_own(definitions: Sequence[Definition], one: Definition, made: frozenset[str]) -> list[Line]:
    """Return its lines; those of a rare one hold what only it uses and what is not made yet."""
    if not one.rare:
        return list(one.lines)
    before = definitions[: definitions.index(one)]
    own = [other for other in _needed(before, one.uses) if made.isdisjoint(other.names)]
    made = made.union(*(other.names for other in own))
    nested = [line for other in own for line in _with_its_own(definitions, other, made)]
    return [one.lines[0], *nested, *one.lines[1:]]
