"""Rates from counters that only rise: their difference over the last few seconds.

Knows no terminal and no Redis; `top` gives it snapshots.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from simpledist.monitor import FunctionState, Snapshot

OVER_SECONDS = 5.0
REMEMBERED = 120


@dataclass(frozen=True, slots=True)
class Rates:
    """Of one function, or of all: calls that ended, calls that ran locally, calls that raised, each a second."""

    calls: float = 0.0
    local: float = 0.0
    raised: float = 0.0


@dataclass(frozen=True, slots=True)
class _Sample:
    time: float
    totals: Mapping[str, tuple[int, int, int]]


class Meter:
    """The snapshots of the last seconds; used by one thread."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque()
        self.calls: deque[float] = deque(maxlen=REMEMBERED)  # a second, of all functions, one a snapshot

    def add(self, snapshot: Snapshot) -> None:
        """Take a snapshot of a Redis that answered; start again where Redis was emptied."""
        sample = _Sample(snapshot.time, {one.function: _totals(one) for one in snapshot.functions})
        if self._samples and (sample.time <= self._samples[-1].time or _fell(self._samples[-1], sample)):
            self._samples.clear()
        self._samples.append(sample)
        while len(self._samples) > 2 and sample.time - self._samples[1].time >= OVER_SECONDS:
            self._samples.popleft()
        self.calls.append(self.all().calls)

    def all(self) -> Rates:
        """Return the rates of all functions together."""
        each = self.each().values()
        return Rates(sum(one.calls for one in each), sum(one.local for one in each), sum(one.raised for one in each))

    def each(self) -> dict[str, Rates]:
        """Return the rates of each function."""
        if len(self._samples) < 2:
            return {}
        first, last = self._samples[0], self._samples[-1]
        seconds = last.time - first.time
        return {
            function: Rates(
                *((new - old) / seconds for new, old in zip(totals, first.totals.get(function, totals), strict=True))
            )
            for function, totals in last.totals.items()
        }


def _totals(function: FunctionState) -> tuple[int, int, int]:
    tally = function.tally
    return tally.ended, sum(tally.local.values()), tally.raised


def _fell(before: _Sample, after: _Sample) -> bool:
    return any(total < before.totals.get(function, total) for function, total in after.totals.items())
