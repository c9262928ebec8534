"""Counters and what is computed from them: histograms and quantiles, sums of minutes, bins for charts.

Knows no Redis: rows.py and history.py bring the numbers as `_stats.lua` wrote them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from simpledist import policy

BOUNDS_SECONDS = tuple(bound / 1000 for bound in policy.BOUNDS_MS)
LOCAL = "local:"
DIGITS = 19  # nothing that is counted has so many


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many durations fell into each interval: `counts[i]` were at most BOUNDS_SECONDS[i], the last ones longer."""

    counts: tuple[int, ...] = (0,) * (len(BOUNDS_SECONDS) + 1)
    sum_seconds: float = 0.0

    @property
    def count(self) -> int:
        """Return how many durations there are."""
        return sum(self.counts)

    @property
    def mean_seconds(self) -> float | None:
        """Return the mean duration, None without any."""
        return self.sum_seconds / self.count if self.count else None

    def quantile(self, share: float) -> float | None:
        """Return the seconds that this share of durations did not exceed, interpolated within its interval."""
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
        """Return local runs by why, the most frequent first."""
        found = [(name[len(LOCAL) :], n) for name, n in self.numbers.items() if name.startswith(LOCAL) and n]
        return dict(sorted(found, key=lambda one: (-one[1], one[0])))

    @property
    def ended(self) -> int:
        """Return the calls that ended, on workers or at clients; a job may hold many calls (a batch)."""
        return self.returned + self.raised + sum(self.local.values())

    @property
    def returned(self) -> int:
        """Return the calls whose function returned on a worker."""
        return self["returned"]

    @property
    def raised(self) -> int:
        """Return the calls whose function raised on a worker."""
        return self["raised"]

    def histogram(self, what: str) -> Histogram:
        """Return the histogram of "run" or "wait"."""
        counts = tuple(self[f"{what}:{i}"] for i in range(1, len(BOUNDS_SECONDS) + 2))
        return Histogram(counts, self[f"{what}_ms"] / 1000)


def added(tallies: Iterable[Tally]) -> Tally:
    """Sum the counters; of gauges (`max_*`) keep the highest."""
    total: Counter[str] = Counter()
    for tally in tallies:
        for name, number in tally.numbers.items():
            total[name] = max(total[name], number) if name.startswith("max_") else total[name] + number
    return Tally(dict(total))


def summed_gauges(tallies: Iterable[Tally]) -> Tally:
    """Sum the same minute of different functions: queues add up too, of the oldest waits the oldest counts."""
    total: Counter[str] = Counter()
    for tally in tallies:
        for name, number in tally.numbers.items():
            total[name] = max(total[name], number) if name == "max_wait_ms" else total[name] + number
    return Tally(dict(total))


def minute_row(text: str) -> tuple[int, Tally] | None:
    """Read `<minute> <name>=<number> ...`; return None for any other text."""
    minute, _, rest = text.partition(" ")
    if not minute.isdecimal() or len(minute) >= DIGITS:
        return None
    return int(minute), numbers(rest)


def numbers(text: str) -> Tally:
    """Read `<name>=<number> ...`; skip other words."""
    found: dict[str, int] = {}
    for word in text.split(" "):
        name, _, number = word.rpartition("=")
        if name and number.isdecimal() and len(number) < DIGITS:
            found[name] = int(number)
    return Tally(found)


@dataclass(frozen=True, slots=True)
class Bin:
    """A stretch of time in a chart: its begin (Unix seconds), its length, and what it added."""

    start: float
    seconds: float
    tally: Tally

    @property
    def calls_per_second(self) -> float:
        """Return how many calls ended a second."""
        return self.tally.ended / self.seconds


def bins(minutes: Mapping[int, Tally], last: int, count: int, width: int) -> tuple[Bin, ...]:
    """Return `count` bins of `width` minutes, aligned to multiples of it; the last bin holds the minute `last`."""
    end = (last // width + 1) * width
    return tuple(
        Bin(
            first * 60.0,
            width * 60.0,
            added(minutes[minute] for minute in range(first, first + width) if minute in minutes),
        )
        for first in range(end - count * width, end, width)
    )
