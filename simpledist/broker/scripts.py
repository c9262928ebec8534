"""Loads the verbs as scripts: composed from the Lua files, with keys from keys.py, timings and caps from policy.py.

A verb may have a short way, `<verb>_short.lua`: it comes before the verb and does what the verb does, for the most
frequent case, with fewer commands. Called by Broker and `simpledist lua`. `clock` replaces Redis TIME in tests that let
time pass; nothing else may.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module

from simpledist import policy
from simpledist.broker.composing import Library, Line
from simpledist.broker.keys import NOT_COUNTED, TEMPLATES

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
    "admit",
    "drain",
    "forget",
    "disable",
    "repair",
)

LIFETIMES = frozenset({"UNFINISHED_MS", "ENDED_MS", "CONTROL_MS"})

# What a script says for the present time in microseconds.
REDIS_TIME = "redis_time[1] * 1000000 + redis_time[2]"

# How Redis names a line of a script in an error.
_AT_LINE = re.compile(r"@?user_script:(\d+)")


@dataclass(frozen=True)
class Script:
    """One verb's text, the SHA-1 by which EVALSHA names it, and where its lines come from."""

    verb: str
    lines: tuple[Line, ...]
    text: str
    sha: str

    def error_with_places(self, error: str) -> str:
        """Return an error of Redis with our files and lines in place of the lines of the script."""

        def place(found: re.Match[str]) -> str:
            number = int(found[1])
            if not 0 < number <= len(self.lines):
                return found[0]
            return f"{self.lines[number - 1].file}:{self.lines[number - 1].number}"

        return _AT_LINE.sub(place, error)

    def for_people(self) -> str:
        """Return the script with the file and line that each run of lines comes from; it runs like the text itself."""
        shown: list[str] = []
        before = Line("", "", 0)
        for line in self.lines:
            # Comments are left out, and so a few lines may be missing between two that belong together.
            if line.number and (line.file != before.file or not 0 < line.number - before.number <= 5):
                shown.append(f"\n-- {line.file}:{line.number}")
            shown.append(line.text)
            before = line
        return "\n".join(shown).strip() + "\n"


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
        "BLOB_MS": policy.BLOB_SECONDS * 1000,
        "SUSPECTS": 64,
        "OFFERS_ASKED": policy.OFFERS_ASKED,
        "UNMET_MS": policy.UNMET_MS,
        "SWEPT": 10,
        "WITHDRAWN_MOST": policy.WITHDRAWN_MOST,
        "RECENT_CAP": policy.RECENT_CAP,
        "RECENT_SPARE": policy.RECENT_SPARE,
        "FAILURES_CAP": policy.FAILURES_CAP,
        "HISTORY_MINUTES": policy.HISTORY_MINUTES,
        "SAMPLE_MS": policy.SAMPLE_MS,
        "TRAIL_CHARACTERS": policy.TRAIL_CHARACTERS,
    }


def _rendered(name: str, value: float) -> str:
    """Return a constant as Lua. Lifetimes are text: they go to Redis as they are, and printing a number costs time."""
    return f"'{round(value)}'" if name in LIFETIMES else str(round(value))


class Scripts(Mapping[str, Script]):
    """Every verb as a ready script, made when it is first asked for; each declares one key, that of the epoch."""

    def __init__(self, timings: policy.Timings, clock: str) -> None:
        self._folder = import_module("importlib.resources").files("simpledist.broker.lua")
        self._names = sorted(each.name for each in self._folder.iterdir() if each.name.endswith(".lua"))
        self._made: dict[str, Script] = {}
        constants = {name: _rendered(name, value) for name, value in _constants(timings).items()}
        beginning = [
            f"local ns = string.sub(KEYS[1], 1, -{len(TEMPLATES['epoch']) + 1})",
            f"local BOUNDS_MS = {{ {', '.join(str(bound) for bound in policy.BOUNDS_MS)} }}",
            f"local NOT_COUNTED = {{ {', '.join(f'{field} = true' for field in sorted(NOT_COUNTED))} }}",
            "local call = redis.call",
            "local redis_time = call('TIME')",
            f"local now_us = {clock}",
        ]
        nouns = {name: self._text(name) for name in self._names if name.startswith("_")}
        self._library = Library(nouns, constants, beginning)

    def __getitem__(self, verb: str) -> Script:
        made = self._made.get(verb)
        return made if made is not None else self._made.setdefault(verb, self._script(verb))

    def __iter__(self) -> Iterator[str]:
        return iter(VERBS)

    def __len__(self) -> int:
        return len(VERBS)

    def _script(self, verb: str) -> Script:
        if verb not in VERBS:
            raise KeyError(verb)
        parts = {name: self._text(name) for name in (f"{verb}_short.lua", f"{verb}.lua") if name in self._names}
        lines = self._library.script(parts)
        text = "\n".join(line.text for line in lines)
        return Script(verb, tuple(lines), text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())

    def _text(self, name: str) -> str:
        return (self._folder / name).read_text()


@functools.cache
def loaded() -> Scripts:
    """Return the verbs as they are in use: read when the first one is sent."""
    return load()


def load(timings: policy.Timings = policy.TIMINGS, *, clock: str = REDIS_TIME) -> Scripts:
    """Return the verbs with other timings, or with another clock."""
    return Scripts(timings, clock)
