"""Loads the Lua verbs and puts the prelude before each: key names from keys.py, timings and caps from policy.py.

Called by Broker. `clock` replaces Redis TIME in tests that let time pass; nothing else may.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from simpledist import policy
from simpledist.broker.keys import TEMPLATES

VERBS = (
    "submit",
    "claim",
    "complete",
    "fail",
    "release",
    "cancel",
    "ack",
    "beat",
    "leave",
    "nudge",
    "reap",
    "clear",
)

_WORD = re.compile(r"[A-Za-z_]\w*")
_KEY = re.compile(r"\bkey_(\w+)\(")
_PART = re.compile(r"^(?=---)", re.MULTILINE)
_COMMENT = re.compile(r"^ *--.*\n", re.MULTILINE)
_TEXT = re.compile(r"'[^'\n]*'")

# Definitions that most calls of a verb do without; each is a function of more than one line.
RARE = frozenset(
    {
        "roll",
        "flush_failures",
        "keep",
        "give_up",
        "requeue",
        "drop",
        "repeat_claims",
        "release",
        "joinable",
        "unjoin",
        "sweep",
        "ask_offers",
        "tell_pass",
        "another_takes",
        "is_for_another",
        "put_back",
        "open_lane",
        "tell_other_protocol",
    }
)

LIFETIMES = frozenset({"UNFINISHED_MS", "ENDED_MS", "CONTROL_MS"})

REDIS_TIME = "(function() local t = redis.call('TIME'); return tonumber(t[1]) * 1000000 + tonumber(t[2]) end)()"


@dataclass(frozen=True, slots=True)
class Script:
    """One verb's text and the SHA-1 by which EVALSHA names it."""

    verb: str
    text: str
    sha: str


def _constants(timings: policy.Timings) -> dict[str, float]:
    return {
        "SILENT_MS": timings.silent_seconds * 1000,
        "SILENT_CLIENT_MS": timings.silent_client_seconds * 1000,
        "CLOSED_MS": timings.closed_grace_seconds * 1000,
        "CLOSED_CLIENT_MS": timings.closed_client_grace_seconds * 1000,
        # The rate limit is a little under the interval, so that a tick on time is never refused.
        "DUTIES_MS": timings.duties_seconds * 1000 * 0.8,
        "UNCLAIMED_MS": timings.unclaimed_seconds * 1000 * 0.9,
        "UNHELD_MS": timings.unheld_seconds * 1000,
        "UNFINISHED_MS": timings.unfinished_ttl_seconds * 1000,
        "ENDED_MS": timings.ended_ttl_seconds * 1000,
        "CONTROL_MS": timings.control_ttl_seconds * 1000,
        "FORGET_WORKER_MS": timings.forget_worker_seconds * 1000,
        "PASS_MS": timings.pass_seconds * 1000,
        "CRASH_CAP": policy.CRASH_CAP,
        "REFUSAL_CAP": policy.REFUSAL_CAP,
        "LOSS_CAP": policy.LOSS_CAP,
        "ATTEMPT_CAP": policy.ATTEMPT_CAP,
        "INLINE_BYTES": policy.INLINE_BYTES,
        "BATCH_ITEMS": policy.BATCH_ITEMS,
        "BATCH_BYTES": policy.BATCH_BYTES,
        "CACHED_BYTES": policy.CACHED_BYTES,
        "CACHED_RESULT_BYTES": policy.CACHED_RESULT_BYTES,
        "SUSPECTS": 64,
        "SWEPT": 10,
        "WITHDRAWN_MOST": policy.WITHDRAWN_MOST,
        "RECENT_CAP": policy.RECENT_CAP,
        "FAILURES_CAP": policy.FAILURES_CAP,
        "HISTORY_MINUTES": policy.HISTORY_MINUTES,
        "SAMPLE_MS": policy.SAMPLE_MS,
        "TRAIL_CHARACTERS": policy.TRAIL_CHARACTERS,
    }


def _rendered(name: str, value: float) -> str:
    """Lifetimes are text, for they go to Redis as they are: to print a number costs more than to set what it says."""
    return f"'{round(value)}'" if name in LIFETIMES else str(round(value))


def _with_keys(lua: str) -> str:
    """`key_<template>(part)` becomes what it stands for: to make a function for each key, or to call it, costs more."""
    done: list[str] = []
    at = 0
    while begin := _KEY.search(lua, at):
        depth, end = 1, begin.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(lua[end], 0)
            end += 1
        part = _with_keys(lua[begin.end() : end - 1])
        head, _, tail = TEMPLATES[begin[1]].partition("{")
        after = tail.partition("}")[2]
        pieces = ["ns", f"'{head}'", *([f"({part})"] if part else []), *([f"'{after}'"] if after else [])]
        done += (lua[at : begin.start()], "(", " .. ".join(pieces), ")")
        at = end
    return "".join(done) + lua[at:]


@dataclass(frozen=True, slots=True)
class _Definition:
    """One definition of the prelude: begins with `local` at the beginning of a line, ends where the next one begins."""

    code: str
    names: frozenset[str]
    words: frozenset[str]


def _definitions(prelude: str) -> list[_Definition]:
    found: list[_Definition] = []
    for text in re.split(r"^(?=local )", prelude, flags=re.MULTILINE):
        if text.startswith("local "):
            code = _COMMENT.sub("", text)
            head = code.removeprefix("local ").removeprefix("function ").partition("\n")[0]
            names = _WORD.findall(head.partition("=")[0].partition("(")[0])
            found.append(_Definition(code, frozenset(names), _words(code)))
    return found


def _words(code: str) -> frozenset[str]:
    """What may be a name in it; `code` has no comments."""
    return frozenset(_WORD.findall(_TEXT.sub("", code)))


def _composed(definitions: Sequence[_Definition], body: str) -> str:
    """The verb with what it needs of the prelude in front; a line that begins with `---` parts a body whose first part
    may return early: what only the second one needs stands, and is made, between them."""
    given: frozenset[str] = frozenset()
    text = ""
    for commented in _PART.split(body):
        part = _COMMENT.sub("", commented)
        needed = [one for one in _used(definitions, part) if not one.names <= given]
        given = given.union(*(one.names for one in needed))
        text += "".join(_with_its_own(definitions, one, given) for one in needed) + part
    return text


def _used(definitions: Sequence[_Definition], body: str) -> list[_Definition]:
    """Those definitions that `body` needs, directly or through others, in their order; not what only RARE ones need.

    To make all of them in each call of a verb would cost more than most verbs.
    """
    needed: list[_Definition] = []
    words = set(_words(body))
    for definition in reversed(definitions):
        if not words.isdisjoint(definition.names):
            if RARE.isdisjoint(definition.names):
                words |= definition.words
            needed.append(definition)
    return needed[::-1]


def _with_its_own(definitions: Sequence[_Definition], one: _Definition, given: frozenset[str]) -> str:
    """Its code; what a rare one needs and nobody has made yet stands in it, and is made when it is called."""
    if RARE.isdisjoint(one.names):
        return one.code
    head, _, rest = one.code.partition("\n")
    own = [other for other in _used(definitions[: definitions.index(one)], rest) if not other.names <= given]
    given = given.union(*(other.names for other in own))
    return "\n".join([head, "".join(_with_its_own(definitions, other, given) for other in own) + rest])


@functools.cache
def loaded() -> dict[str, Script]:
    """Every verb as it is in use: made when the first one is sent."""
    return load()


def load(timings: policy.Timings = policy.TIMINGS, *, clock: str = REDIS_TIME) -> dict[str, Script]:
    """Every verb as a ready script; all of them take the epoch key as their one declared key."""
    folder = import_module("importlib.resources").files("simpledist.broker.lua")
    prelude = "\n".join(
        [
            f"local ns = string.sub(KEYS[1], 1, -{len(TEMPLATES['epoch']) + 1})",
            *(f"local {name} = {_rendered(name, value)}" for name, value in _constants(timings).items()),
            f"local BOUNDS_MS = {{{', '.join(str(bound) for bound in policy.BOUNDS_MS)}}}",
            f"local now_us = {clock}",
            "local call = redis.call",
            (folder / "_lanes.lua").read_text(),
            (folder / "_stats.lua").read_text(),
            (folder / "_offers.lua").read_text(),
            (folder / "_prelude.lua").read_text(),
            (folder / "_duties.lua").read_text(),
            (folder / "_content.lua").read_text(),
        ]
    )
    definitions = _definitions(_with_keys(prelude))
    scripts: dict[str, Script] = {}
    for verb in VERBS:
        body = _with_keys((folder / f"{verb}.lua").read_text())
        text = _composed(definitions, body)
        scripts[verb] = Script(verb, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
    return scripts
