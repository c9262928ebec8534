"""Reads Redis, and only what may have changed: a function is read again when a verb has touched it (`active`).

Owns what was read of each function so far; knows no page. One thread at a time (Monitor's lock). Raises
RedisDown and RedisRefused, also where a single command is refused: a missing answer would look like an empty cluster.
bounded.py bounds what is read.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from simpledist import policy
from simpledist.broker import Keys, evicts, facts_of
from simpledist.errors import RedisRefused
from simpledist.monitor.bounded import Bounded
from simpledist.monitor.rows import WORKERS_MOST, Facts, Workers, decoded, finite, pairs
from simpledist.printable import printable

FUNCTIONS_MOST = 2000
CLIENTS_MOST = 12_000  # that compute something for want of a worker
LANES_MOST = 5000  # of all functions together, in one look
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

    bounded: Bounded
    keys: Keys
    now: float = 0.0
    evicts: str = ""  # by which policy a full Redis throws keys away
    blobs: tuple[int, int] = (0, 0)  # shared objects of calls: how many there are, and their bytes
    workers: Workers = field(default_factory=lambda: Workers((), {}, {}))
    demand: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])  # by client, as it stands in Redis
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
        self.bounded.connect()

    def ask(self, commands: Iterable[Sequence[str | int]]) -> list[Any]:
        """Return their replies (Bounded.ask)."""
        return self.bounded.ask(commands)

    def look(self) -> None:
        """Read what has changed since the last look."""
        self.connect()
        keys, self.bounded.errors = self.keys, []
        clock, names, active, demand, *workers, blobs, memory, replication = self.ask(
            [
                ("TIME",),
                ("SSCAN", keys.functions, "0", "COUNT", FUNCTIONS_MOST),
                ("ZREVRANGE", keys.active, 0, FUNCTIONS_MOST - 1, "WITHSCORES"),
                ("HSCAN", keys.demand, "0", "COUNT", CLIENTS_MOST),
                *(("HSCAN", key, "0", "COUNT", WORKERS_MOST) for key in (keys.workers, keys.heartbeats, keys.vitals)),
                ("ZREVRANGE", keys.blobs, 0, policy.BATCH_ITEMS - 1, "WITHSCORES"),
                ("INFO", "memory"),
                ("INFO", "replication"),
            ]
        )
        self._demand_primary(facts_of(replication))
        self.evicts = printable(evicts(memory))
        self.now = int(clock[0]) + int(clock[1]) / 1e6
        self.blobs = _those_there(pairs(blobs), self.now * 1000)
        self.bounded.note_rest([keys.functions], [names], size="SCARD", width=1)
        self.bounded.note_rest([keys.demand, keys.workers, keys.heartbeats, keys.vitals], [demand, *workers])
        self.demand = pairs(demand[1] if demand else ())
        self.workers = self._workers_in(*workers)
        scores = dict(pairs(active))
        scores.update({name: "" for one in (names or (0, ()))[1] if (name := decoded(one)) not in scores})
        self.changed = {name: _micros(score) for name, score in scores.items()}
        self._read_functions(dict(list(scores.items())[:FUNCTIONS_MOST]))

    def _workers_in(self, rows: Any, *others: Any) -> Workers:
        """Return the workers on the first page of each hash; where one is longer, what it holds of these workers."""
        known = pairs(rows[1] if rows else ())
        found = [dict(pairs(page[1] if page else ())) for page in others]
        ids = [id for id, _ in known]
        for i, key in enumerate((self.keys.heartbeats, self.keys.vitals)):
            if others[i] and int(others[i][0]) and ids:
                (values,) = self.ask([("HMGET", key, *ids)])
                found[i] = {id: decoded(one) for id, one in zip(ids, values or (), strict=False) if one is not None}
        return Workers(known, *found)

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
        read = {name: Facts.of(replies[width * i : width * (i + 1)]) for i, name in enumerate(asked)}
        for template, place in (("meta", -2), ("lanes", -1)):
            pages = [replies[width * (i + 1) + place] for i in range(len(asked))]
            self.bounded.note_rest([self.keys.named(template, name) for name in asked], pages)
        lanes = [(name, lane) for name in asked for one in read[name].lanes or () if (lane := decoded(one)) != name]
        del lanes[LANES_MOST:]
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

    def _demand_primary(self, replication: dict[str, str]) -> None:
        """Raise RedisRefused for a replica: its state may be old, and it takes no call."""
        if replication.get("role", "master") == "master":
            return
        self.bounded.link.close()  # at the next look the URL may lead to the primary
        primary = f"{replication.get('master_host', '?')}:{replication.get('master_port', '?')}"
        raise RedisRefused(f"READONLY replica of {primary}")


def _those_there(blobs: Iterable[tuple[str, str]], now_ms: float) -> tuple[int, int]:
    """Return how many of these ("<name> <bytes>", and when it ends) have not ended, and their bytes."""
    sizes = [member.rpartition(" ")[2] for member, ends in blobs if (finite(ends) or 0.0) > now_ms]
    known = [int(size) for size in sizes if size.isdecimal() and len(size) < 16]
    return len(known), sum(known)


def _micros(score: str) -> float:
    return (finite(score) or 0.0) / 1e6
