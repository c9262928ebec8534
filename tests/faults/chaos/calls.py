"""What callers call, one method a kind, and what must come of it."""

from __future__ import annotations

import concurrent.futures
import itertools
import random
import threading
import time
import zlib
from collections.abc import Iterator
from typing import Any

import numpy

import simpledist
from tests.faults.chaos.book import Book
from tests.faults.functions import elsewhere, work
from tests.faults.history import Entry, offered

POOL, FIRST = 40, 10**9  # so many numbers, below every caller's own, are called again and again: joined and cached
CACHE_SECONDS = 2.0
BUDGET_SECONDS = 1.0
SIZES = (100_000, 100_000, 1_000_000, 1_500_000)  # of big values; the last is over what a small server takes


class Caller(threading.Thread):
    """Calls of one thread, one kind after the other, until `stopping`; its numbers are no other caller's."""

    def __init__(self, client: simpledist.Client, book: Book, first: int, chance: random.Random) -> None:
        super().__init__(name=f"caller-{first}", daemon=True)
        self.stopping = False
        self._client = client
        self._book = book
        self._numbers: Iterator[int] = itertools.count(first)
        self._chance = chance
        self._array = _array(chance)
        self._table = self._lend()
        self._kinds = {
            self.plain: 8,
            self.hurried: 3,
            self.bunch: 6,
            self.mapped: 3,
            self.shared: 3,
            self.cancelled: 3,
            self.big: 1,
            self.heavy: 1,
            self.repeated: 2,
            self.lent: 2,
            self.shipped: 2,
            self.crashing: 0.5,
        }

    def run(self) -> None:
        while not self.stopping:
            self._chance.choices(list(self._kinds), list(self._kinds.values()))[0]()
            time.sleep(self._chance.uniform(0.0, 0.05))

    # --- kinds -------------------------------------------------------------------------------------------------------

    def plain(self) -> None:
        """A call as of the function itself."""
        self._call("plain", self._seconds())

    def hurried(self) -> None:
        """One whose remote budget may be too short for it."""
        self._call("hurried", self._chance.choice((0.0, 0.05, BUDGET_SECONDS)), timeout=BUDGET_SECONDS)

    def bunch(self) -> None:
        """Futures, waited for one after the other."""
        self._all("bunch", offered(self._client, "work", work.work), self._some(1, 25), self._seconds())

    def shared(self) -> None:
        """Calls that others make as well: joined, or answered by a value that is kept."""
        cache = self._chance.choice((None, CACHE_SECONDS))
        function = offered(self._client, "work", work.work, join=True, cache=cache)
        numbers = [self._chance.randrange(POOL) for _ in range(self._chance.randint(1, 8))]
        self._all("cached" if cache else "joined", function, numbers, 0.02)

    def mapped(self) -> None:
        """A map whose calls travel in batches; the exceptions come at their places."""
        numbers = self._some(20, 80)
        entries = [self._book.begin("mapped", n) for n in numbers]
        outcomes = offered(self._client, "work", work.work).map(numbers, chunksize=self._chance.choice(("auto", 10)))
        for entry in entries:
            try:
                came = next(outcomes)
            except Exception as error:  # noqa: BLE001 - it is judged
                came = error
            self._book.end(entry, came)

    def cancelled(self) -> None:
        """Given up while it waits or runs; where it runs here already, it ends as any other."""
        n = next(self._numbers)
        entry = self._book.begin("cancelled", n)
        future = offered(self._client, "work", work.work).submit(n, 1.0)
        self._book.holds(entry, future)
        time.sleep(self._chance.uniform(0.0, 0.3))
        if future.cancel():
            entry.due = "cancelled"
        self._end(entry, future)

    def big(self) -> None:
        """A value that travels beside the verbs."""
        n, size = next(self._numbers), self._chance.choice(SIZES)
        entry = self._book.begin("big", n, due=n.to_bytes(8, "big") + bytes(size))
        self._wait(entry, offered(self._client, "big", work.big).submit(n, size))

    def heavy(self) -> None:
        """The same for an argument."""
        n, data = next(self._numbers), self._chance.randbytes(self._chance.choice(SIZES))
        entry = self._book.begin("heavy", n, due=(n, len(data), zlib.crc32(data)))
        self._wait(entry, offered(self._client, "weigh", work.weigh).submit(n, data))

    def repeated(self) -> None:
        """An array that comes again, and that each call writes to; now and then its caller does, or takes another."""
        if self._chance.random() < 0.2:
            self._array = _array(self._chance)
        function = offered(self._client, "altered", work.altered)
        calls: list[tuple[Entry, Any]] = []
        for n in self._some(1, 6):
            if self._chance.random() < 0.2:
                self._array[self._chance.randrange(len(self._array))] ^= 255
            entry = self._book.begin("repeated", n, due=(n, *_altered(n, self._array)))
            calls.append((entry, function.submit(n, self._array)))
            self._book.holds(*calls[-1])
        self._end_all(calls)

    def lent(self) -> None:
        """A table that calls share, for a while."""
        if self._chance.random() < 0.03:  # children keep what they decoded, up to a bound that is never reached here
            self._client.unshare(self._table)
            self._table = self._lend()
        function = offered(self._client, "looked_up", work.looked_up)
        calls: list[tuple[Entry, Any]] = []
        for n in self._some(1, 6):
            due = n, len(self._table), self._table[n % len(self._table)]
            entry = self._book.begin("lent", n, due=due)
            calls.append((entry, function.submit(n, self._table)))
            self._book.holds(*calls[-1])
        self._end_all(calls)

    def _lend(self) -> dict[int, str]:
        mark = self._chance.random()
        return self._client.share({n: f"{mark} {n}" for n in range(self._chance.choice((100, 1_500)))})

    def shipped(self) -> None:
        """Functions that no worker offers travel with their modules: two programs' worth, so that children change."""
        if self._chance.random() < 0.5:
            self._all("shipped", offered(self._client, "unoffered", work.work), self._some(1, 10), self._seconds())
            return
        n = next(self._numbers)
        entry = self._book.begin("shipped", n, due=work.value_of(n))
        self._wait(entry, offered(self._client, "value", elsewhere.value).submit(n))

    def crashing(self) -> None:
        """A function that kills any child of a worker, and is well at home."""
        n = next(self._numbers)
        entry = self._book.begin("crashing", n, due=work.value_of(n))
        self._wait(entry, offered(self._client, "crash", work.value_of).submit(n))

    # --- their common parts ------------------------------------------------------------------------------------------

    def _seconds(self) -> float:
        return self._chance.choice((0.0, 0.0, 0.01, 0.05, 0.2))

    def _some(self, least: int, most: int) -> list[int]:
        return list(itertools.islice(self._numbers, self._chance.randint(least, most)))

    def _call(self, kind: str, seconds: float, *, timeout: float | None = None) -> None:
        n = next(self._numbers)
        function = offered(self._client, "work", work.work, timeout=timeout)
        # Where the budget is spent, the function runs here, for as long as it takes.
        entry = self._book.begin(kind, n, budget=None if timeout is None else timeout + seconds)
        try:
            came = function(n, seconds)
        except Exception as error:  # noqa: BLE001 - it is judged
            came = error
        self._book.end(entry, came)

    def _all(self, kind: str, function: Any, numbers: list[int], seconds: float) -> None:
        calls: list[tuple[Entry, Any]] = []
        for n in numbers:
            entry = self._book.begin(kind, n)
            calls.append((entry, function.submit(n, seconds)))
            self._book.holds(*calls[-1])
        self._end_all(calls)

    def _end_all(self, calls: list[tuple[Entry, Any]]) -> None:
        for entry, future in calls:
            self._end(entry, future)

    def _wait(self, entry: Entry, future: Any) -> None:
        self._book.holds(entry, future)
        self._end(entry, future)

    def _end(self, entry: Entry, future: Any) -> None:
        try:
            came = future.exception() or future.result()
        except concurrent.futures.CancelledError:
            came = "cancelled"
        self._book.end(entry, came, future.info)


def _array(chance: random.Random) -> Any:
    return numpy.frombuffer(bytearray(chance.randbytes(chance.choice((1_000_000, 1_200_000)))), numpy.uint8)


def _altered(n: int, array: Any) -> tuple[int, int]:
    copy = array.copy()
    copy[n % len(copy)] ^= 255
    return len(copy), zlib.crc32(copy)
