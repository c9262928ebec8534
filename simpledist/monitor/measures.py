"""Reckoning with counters: histograms and their quantiles, minutes and what they add up to, bins for charts.

Knows no Redis: rows.py and history.py bring the numbers, as `_stats.lua` wrote them down.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from simpledist import policy

BOUNDS_SECONDS = tuple(bound / 1000 for bound in policy.BOUNDS_MS)
LOCAL = "local:"


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many durations fell into each interval: `counts[i]` were at most BOUNDS_SECONDS[i]; the last, longer."""

    counts: tuple[int, ...] = (0,) * (len(BOUNDS_SECONDS) + 1)
    sum_seconds: float = 0.0

    @property
    def count(self) -> int:
        return sum(self.counts)

    @property
    def mean_seconds(self) -> float | None:
        return self.sum_seconds / self.count if self.count else None

    def quantile(self, share: float) -> float | None:
        """The duration that this share did not exceed, in seconds, drawn straight through its interval."""
        wanted, below = share * self.count, 0
        if not self.count:
            return None
        for i, number in enumerate(self.counts):
            if number and below + number >= wanted:
                low = BOUNDS_SECONDS[i - 1] if i else 0.0
                high = BOUNDS_SECONDS[min(i, len(BOUNDS_SECONDS) - 1)]
                return low + (high - low) * (wanted - below) / number if high > low else high
            below += number
        return BOUNDS_SECONDS[-1]


@dataclass(frozen=True, slots=True)
class Tally:
    """Counters and gauges by name, of a minute or of many; names as in docs/redis-keys.md (`meta`)."""

    numbers: Mapping[str, int] = field(default_factory=dict[str, int])

    def __getitem__(self, name: str) -> int:
        return self.numbers.get(name, 0)

    @property
    def local(self) -> dict[str, int]:
        """Local runs by why, most first."""
        found = [(name[len(LOCAL) :], n) for name, n in self.numbers.items() if name.startswith(LOCAL) and n]
        return dict(sorted(found, key=lambda one: (-one[1], one[0])))

    @property
    def ended(self) -> int:
        """Calls that came to an end, here or there; a job may hold many calls (a chunk)."""
        return self.returned + self.raised + sum(self.local.values())

    @property
    def returned(self) -> int:
        """Calls whose function returned on a worker."""
        return self["returned"]

    @property
    def raised(self) -> int:
        """Calls whose function raised on a worker."""
        return self["raised"]

    def histogram(self, what: str) -> Histogram:
        """Of "run" or "wait"."""
        counts = tuple(self[f"{what}:{i}"] for i in range(1, len(BOUNDS_SECONDS) + 2))
        return Histogram(counts, self[f"{what}_ms"] / 1000)


def added(tallies: Iterable[Tally]) -> Tally:
    """Their counters summed; of gauges (`max_*`) the highest."""
    total: Counter[str] = Counter()
    for tally in tallies:
        for name, number in tally.numbers.items():
            total[name] = max(total[name], number) if name.startswith("max_") else total[name] + number
    return Tally(dict(total))


def summed_gauges(tallies: Iterable[Tally]) -> Tally:
    """As `added`, for the same minute of different functions: queues add up, the oldest wait is the oldest."""
    total: Counter[str] = Counter()
    for tally in tallies:
        for name, number in tally.numbers.items():
            total[name] = max(total[name], number) if name == "max_wait_ms" else total[name] + number
    return Tally(dict(total))


def minute_row(text: str) -> tuple[int, Tally] | None:
    """`<minute> <name>=<number> ...`, or None for what no script of ours has written."""
    minute, _, rest = text.partition(" ")
    if not minute.isdecimal():
        return None
    return int(minute), numbers(rest)


def numbers(text: str) -> Tally:
    """`<name>=<number> ...`; other words are passed over."""
    found: dict[str, int] = {}
    for word in text.split(" "):
        name, _, number = word.rpartition("=")
        if name and number.isdecimal() and len(number) < 19:
            found[name] = int(number)
    return Tally(found)


@dataclass(frozen=True, slots=True)
class Bin:
    """A stretch of time in a chart: when it began (Unix seconds), how long it is, what happened in it."""

    start: float
    seconds: float
    tally: Tally

    @property
    def calls_per_second(self) -> float:
        return self.tally.ended / self.seconds


def bins(minutes: Mapping[int, Tally], last: int, count: int, width: int) -> tuple[Bin, ...]:
    """`count` bins of `width` minutes, the last of which holds the minute `last`; aligned to multiples of width."""
    end = (last // width + 1) * width
    return tuple(
        Bin(
            first * 60.0,
            width * 60.0,
            added(minutes[minute] for minute in range(first, first + width) if minute in minutes),
        )
        for first in range(end - count * width, end, width)
    )
