"""Reads from Redis within bounds, whatever stands there, and keeps count of what was left out.

Hashes and sets are read by a page of a scan, so one of a million fields costs no more than one of a few; a reply of
many megabytes is given up, and its key is left alone for a while. Owns the Link; knows no meaning of keys. Used by
reader.py, under Monitor's lock. Raises RedisDown and RedisRefused.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from simpledist.broker import Link
from simpledist.broker.resp import TooLong
from simpledist.errors import RedisRefused
from simpledist.monitor.rows import pairs
from simpledist.monitor.snapshot import Dropped
from simpledist.printable import printable

ELEMENT_BYTES = 1 << 20  # of one element; the row of a worker that offers 1,000 functions has 100 KB
GIVEN_UP_MOST = 8  # replies that are too long, in one look
REMEMBERED_SECONDS = 60.0  # so long is said what was left out, and no key asked for whose answer was too long
UNREADABLE, TOO_MANY, TOO_LONG = "cannot be read", "are more than a page shows", "are too long"
GIVEN_UP = "or more are too long to be read"
KINDS = {UNREADABLE: "unreadable", TOO_MANY: "too_many", TOO_LONG: "too_long", GIVEN_UP: "too_long"}  # of metrics


@dataclass
class Bounded:
    """One connection, and what was left out of its answers."""

    link: Link
    errors: list[str] = field(default_factory=list[str])
    in_all: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS.values(), 0))  # by kind, only rising
    _dropped: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict[tuple[str, str], tuple[int, float]])

    def connect(self) -> None:
        """Connect, where the connection is closed."""
        if not self.link.connected:
            self.link.connect()

    # --- what was left out ---------------------------------------------------------------------------------------

    def drop(self, key: str, why: str, count: int) -> None:
        """Note that so many elements of a key were left out just now; those of the look before count once."""
        before, _ = self._dropped.get((key, why), (0, 0.0))
        self.in_all[KINDS[why]] += max(0, count - before)
        if count:
            self._dropped[key, why] = count, time.monotonic()
        else:
            self._dropped.pop((key, why), None)

    def dropped(self) -> tuple[Dropped, ...]:
        """Return what was left out in the last minute, the most first."""
        since = time.monotonic() - REMEMBERED_SECONDS
        self._dropped = {name: one for name, one in self._dropped.items() if one[1] > since}
        found = sorted(self._dropped.items(), key=lambda one: (-one[1][0], one[0]))
        return tuple(Dropped(printable(key), why, count) for (key, why), (count, _) in found)

    # --- reading -------------------------------------------------------------------------------------------------

    def ask(self, commands: Iterable[Sequence[str | int]]) -> list[Any]:
        """Return their replies; None, and a line in `errors`, for a key that is not of our type and for an INFO.

        None as well for a reply that is too long. Raises RedisRefused where Redis refuses any other command, with the
        name of the command and of its key.
        """
        asked = [command if self._may_ask(command) else None for command in commands]
        replies = iter(self._replies([command for command in asked if command is not None]))
        return [None if command is None else self._answer(command, next(replies)) for command in asked]

    def fields(self, hashes: Iterable[tuple[str, int]]) -> list[list[tuple[str, str]]]:
        """Return the fields of each hash, about so many at most."""
        asked = list(hashes)
        replies = self.ask(("HSCAN", key, "0", "COUNT", most) for key, most in asked)
        self.note_rest([key for key, _ in asked], replies)
        return [pairs(reply[1]) if reply else [] for reply in replies]

    def note_rest(self, keys: Sequence[str], pages: Sequence[Any], *, size: str = "HLEN", width: int = 2) -> None:
        """Note how many elements are not on the first page of each scan."""
        cut = [(key, page) for key, page in zip(keys, pages, strict=True) if page and int(page[0])]
        sizes = self.ask((size, key) for key, _ in cut)
        for (key, page), number in zip(cut, sizes, strict=True):
            self.drop(key, TOO_MANY, max(0, (number or 0) - len(page[1]) // width))

    def _may_ask(self, command: Sequence[str | int]) -> bool:
        noted = self._dropped.get((str(command[1]), GIVEN_UP)) if len(command) > 1 else None
        return noted is None or time.monotonic() - noted[1] > REMEMBERED_SECONDS

    def _replies(self, asked: Sequence[Sequence[str | int]]) -> list[Any]:
        replies: list[Any] = []
        given_up = 0
        while len(replies) < len(asked):
            self.connect()
            try:
                replies += self.link.pipeline(asked[len(replies) :])
            except TooLong as error:
                replies += error.received
                key = str(asked[len(replies)][1]) if len(asked[len(replies)]) > 1 else ""
                self.drop(key, GIVEN_UP, 1)
                replies.append(None)
                given_up += 1
                if given_up > GIVEN_UP_MOST:
                    raise
        return replies

    def _answer(self, command: Sequence[str | int], reply: Any) -> Any:
        if isinstance(reply, Exception):
            trouble = printable(f"{' '.join(map(str, command[:2]))}: {reply}")
            if command[0] != "INFO" and "WRONGTYPE" not in str(reply):
                raise RedisRefused(trouble)
            self.errors.append(trouble)
            return None
        if not isinstance(reply, list) or len(command) < 2:
            return cast("Any", reply)
        return self._short(str(command[1]), cast("list[Any]", reply))

    def _short(self, key: str, elements: list[Any]) -> list[Any]:
        """Return a reply with nothing in the place of what is too long."""
        if len(elements) == 2 and isinstance(elements[1], list):  # of a scan
            return [elements[0], self._short(key, cast("list[Any]", elements[1]))]
        long = [i for i, one in enumerate(elements) if isinstance(one, bytes) and len(one) > ELEMENT_BYTES]
        for i in long:
            elements[i] = b""
        if long:
            self.drop(key, TOO_LONG, len(long))
        return elements
