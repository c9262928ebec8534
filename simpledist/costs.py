"""Costs of calls: what a client knows of a function's times, and when a run at the client is cheaper (`"auto"`).

Pure: times come in as arguments. A function runs here as a trial only if its calls were short elsewhere: one that takes
an hour is not run in its caller's process to find out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

SAFE_SECONDS = 0.002  # what takes so long elsewhere may be tried here
EXPLORE_EVERY = 256  # one call in so many goes the way that seems slower, so that the estimates stay alive
HANDLING_SECONDS = 5e-6  # what a call in a batch costs its client apart from serialising, both ways
LOCAL_BATCH_SECONDS = 0.01  # a map that runs here asks so often whether it still should


@dataclass(frozen=True, slots=True)
class Costs:
    """Moving averages of one function, in seconds; None: not seen yet.

    `here` and `there`: a run in this process, on a worker. `trip`: what a remote call takes apart from its run (both
    ways, waiting in the queue, serialising). `serialising`: the arguments of one call of a map.
    """

    here: float | None = None
    there: float | None = None
    trip: float | None = None
    serialising: float | None = None
    decisions: int = 0

    def ran_here(self, seconds: float) -> Costs:
        return replace(self, here=_average(self.here, seconds))

    def ran_there(self, seconds: float, trip: float | None = None) -> Costs:
        """Note one run on a worker; `trip` is None where no caller waited for this one call."""
        there = _average(self.there, seconds)
        return replace(self, there=there, trip=self.trip if trip is None else _average(self.trip, trip))

    def serialised(self, seconds: float) -> Costs:
        return replace(self, serialising=_average(self.serialising, seconds))

    def decided(self) -> Costs:
        return replace(self, decisions=self.decisions + 1)

    def cheaper_here(self) -> bool:
        """Return whether a call whose caller waits for it is done sooner at its client."""
        if self.trip is None or self.there is None:
            return False
        here = self._run_here()
        explores = self.decisions % EXPLORE_EVERY == EXPLORE_EVERY - 1
        if explores and here is not None and here > self.trip:
            return self.there <= SAFE_SECONDS
        return not explores and here is not None and here <= self.trip

    def cheaper_here_in_a_map(self) -> bool:
        """Return whether running a call in this process costs it less than sending it in a batch."""
        here = self._run_here()
        if here is None:
            return False
        if self.here is None:
            return True  # short enough to be tried
        return here <= HANDLING_SECONDS + 2 * (self.serialising or 0.0)

    def _run_here(self) -> float | None:
        """Return the expected run time at the client; None if it is unknown and must not be tried."""
        if self.here is not None:
            return self.here
        return self.there if self.there is not None and self.there <= SAFE_SECONDS else None


def _average(old: float | None, new: float) -> float:
    return new if old is None else old + (new - old) / 8
