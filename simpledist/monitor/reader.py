"""Reads Redis, and only what may have changed: a function is read again when a verb has touched it (`active`).

Owns the Link and what was read of each function so far; knows no page. One thread at a time (Monitor's lock). Raises
RedisDown and RedisRefused, also where a single command is refused: a missing answer would look like an empty cluster.
Only a key of a foreign type, and an INFO that we may not read, are lines in `errors`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from simpledist.broker import Keys, Link, evicts, facts_of
from simpledist.errors import RedisRefused
from simpledist.monitor.rows import Facts, Workers, decoded, pairs, printable

FUNCTIONS_MOST = 2000
REFRESH_SECONDS = 30.0  # so often everything is read again, changed or not: keys expire, and people edit them


@dataclass
class _Known:
    """One function: as of which change it was read, and until when that is used."""

    changed: str
    until: float
    facts: Facts


@dataclass
class Reader:
    """The last answers of Redis, at one moment of its clock (`now`, Unix seconds)."""

    link: Link
    keys: Keys
    now: float = 0.0
    errors: list[str] = field(default_factory=list[str])
    evicts: str = ""  # by which policy a full Redis throws keys away
    workers: Workers = field(default_factory=lambda: Workers((), {}, {}))
    changed: dict[str, float] = field(default_factory=dict[str, float])  # function -> when, Unix seconds
    _known: dict[str, _Known] = field(default_factory=dict[str, _Known])

    @property
    def facts(self) -> dict[str, Facts]:
        """Return what was read of each function."""
        return {name: one.facts for name, one in self._known.items()}

    @property
    def minute(self) -> int:
        """Return the minute of Redis' clock."""
        return int(self.now // 60)

    def connect(self) -> None:
        """Connect, where the connection is closed."""
        if not self.link.connected:
            self.link.connect()

    def look(self) -> None:
        """Read what has changed since the last look."""
        self.connect()
        keys, self.errors = self.keys, []
        clock, names, active, *workers, memory, replication = self.ask(
            [
                ("TIME",),
                ("SMEMBERS", keys.functions),
                ("ZREVRANGE", keys.active, 0, FUNCTIONS_MOST - 1, "WITHSCORES"),
                ("HGETALL", keys.workers),
                ("HGETALL", keys.heartbeats),
                ("HGETALL", keys.vitals),
                ("INFO", "memory"),
                ("INFO", "replication"),
            ]
        )
        self._demand_primary(facts_of(replication))
        self.evicts = printable(evicts(memory))
        self.now = int(clock[0]) + int(clock[1]) / 1e6
        rows, beats, stats = (pairs(one) for one in workers)
        self.workers = Workers(rows, dict(beats), dict(stats))
        scores = dict(pairs(active))
        scores.update({name: "" for one in names or () if (name := decoded(one)) not in scores})
        self.changed = {name: _micros(score) for name, score in scores.items()}
        self._read_functions(dict(list(scores.items())[:FUNCTIONS_MOST]))

    def _read_functions(self, scores: dict[str, str]) -> None:
        clock = time.monotonic()
        self._known = {name: known for name, known in self._known.items() if name in scores}
        asked = [name for name, score in scores.items() if self._outdated(name, score, clock)]
        width, width_of_lane = len(Facts.COMMANDS), len(Facts.OF_LANE)
        replies = self.ask(
            (command, self.keys.named(template, name), *rest)
            for name in asked
            for command, template, *rest in Facts.COMMANDS
        )
        read = {name: Facts(*replies[width * i : width * (i + 1)]) for i, name in enumerate(asked)}
        lanes = [(name, lane) for name in asked for one in read[name].lanes or () if (lane := decoded(one)) != name]
        replies = self.ask(
            (command, self.keys.named(template, lane), *rest)
            for _, lane in lanes
            for command, template, *rest in Facts.OF_LANE
        )
        for i, (name, lane) in enumerate(lanes):
            read[name] = read[name].with_lane(lane, *replies[width_of_lane * i : width_of_lane * (i + 1)])
        for name in asked:
            # Spread over time: functions that are read together now are not all read again at once.
            until = clock + REFRESH_SECONDS * (0.5 + hash(name) % 1000 / 1000)
            self._known[name] = _Known(scores[name], until, read[name])

    def _outdated(self, name: str, changed: str, clock: float) -> bool:
        known = self._known.get(name)
        return known is None or known.changed != changed or clock >= known.until

    def ask(self, commands: Iterable[Sequence[str | int]]) -> list[Any]:
        """Return their replies; None, and a line in `errors`, for a key that is not of our type and for an INFO.

        Raises RedisRefused where Redis refuses any other command, with the name of the command and of its key.
        """
        asked = list(commands)
        replies = self.link.pipeline(asked) if asked else []
        for command, reply in zip(asked, replies, strict=True):
            if isinstance(reply, Exception):
                trouble = printable(f"{' '.join(map(str, command[:2]))}: {reply}")
                if command[0] != "INFO" and "WRONGTYPE" not in str(reply):
                    raise RedisRefused(trouble)
                self.errors.append(trouble)
        return [None if isinstance(reply, Exception) else reply for reply in replies]

    def _demand_primary(self, replication: dict[str, str]) -> None:
        """Raise RedisRefused for a replica: its state may be old, and it takes no call."""
        if replication.get("role", "master") == "master":
            return
        self.link.close()  # at the next look the URL may lead to the primary
        primary = f"{replication.get('master_host', '?')}:{replication.get('master_port', '?')}"
        raise RedisRefused(f"READONLY replica of {primary}")


def _micros(score: str) -> float:
    try:
        return float(score) / 1e6
    except ValueError:
        return 0.0
