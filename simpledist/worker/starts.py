"""Starts of children: which failed, why, when the next try is due, and what people read of it.

Pure bookkeeping over policy.py's laws: touches no process, time comes in. children.py reports to it, and the loop
(worker.py) offers nothing while it says that no child can start.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from simpledist import policy

WHY_CHARACTERS = 300


@dataclass(slots=True)
class Place:
    """One place of the worker: how its latest children fared."""

    failed: int = 0  # so many in a row ended before they were of use, without a job to blame
    crashed: int = 0  # ... or with the first job that they got
    stuck: bool = False  # it has failed so often that the next child must prove itself first
    due: float = 0.0  # no new child before this
    why: str = ""


@dataclass(slots=True)
class Starts:
    """All places of a worker, and the template that all of them need."""

    count: int
    places: list[Place] = field(init=False)
    template: Place = field(default_factory=Place)
    ever: bool = False  # a child has begun
    _deaths: deque[float] = field(default_factory=deque[float])
    _first_failed_at: float = float("inf")
    _idle_since: float | None = None

    def __post_init__(self) -> None:
        self.places = [Place() for _ in range(self.count)]

    # --- what happened -----------------------------------------------------------------------------------------------

    def proof_seconds(self, number: int) -> float:
        """Note that a child has begun; return how long it must live before it gets a job."""
        self.ever = True
        self.template = Place()
        place = self.places[number]
        return policy.PROOF_SECONDS if place.stuck or place.crashed > policy.STUCK_STARTS else 0.0

    def proved(self, number: int) -> None:
        """Note that it has lived for that long."""
        place = self.places[number]
        place.crashed, place.stuck = 0, False

    def lost(self, number: int, why: str, now: float, *, with_job: bool, of_use: bool) -> None:
        """Note that a child has ended by itself, or could not be started."""
        place = self.places[number]
        if of_use:
            place.failed = place.crashed = 0
        if with_job:
            place.crashed += 1
            place.due = now
        else:
            self._fail(place, why, now)

    def template_failed(self, why: str, now: float) -> None:
        """Note that there is no template: it did not start, or could not import the targets."""
        self._fail(self.template, why, now)

    def template_died(self, now: float) -> bool:
        """Note that a template died although no job is to blame; return whether that was once too often."""
        self._deaths.append(now)
        while now - self._deaths[0] > policy.TEMPLATE_SECONDS:
            self._deaths.popleft()
        return len(self._deaths) >= policy.TEMPLATE_DEATHS

    def _fail(self, place: Place, why: str, now: float) -> None:
        place.failed += 1
        place.stuck = place.failed >= policy.STUCK_STARTS
        place.why = " ".join(why.split())[:WHY_CHARACTERS]
        place.due = now + policy.restart_seconds(place.failed)
        self._first_failed_at = min(self._first_failed_at, now)

    # --- what it means -----------------------------------------------------------------------------------------------

    def hopeless(self, now: float) -> bool:
        """Return whether there never was a child, and there will be none."""
        return not self.ever and self._stuck() and now >= self._first_failed_at + policy.HOPELESS_SECONDS

    def trouble(self, ready: set[int], now: float) -> str:
        """Return one line for people, "" where all is well. `ready`: the places whose child takes jobs."""
        failing = [n for n, place in enumerate(self.places) if place.stuck and n not in ready]
        if ready:
            self._idle_since = None
            if not failing:
                return ""
            return f"{len(failing)} of {self.count} children cannot start: {self.places[failing[0]].why}"
        self._idle_since = now if self._idle_since is None else self._idle_since
        if self._stuck():
            return f"no child can start: {self.why()}"
        if now >= self._idle_since + policy.BEGIN_SECONDS:
            return f"no child has begun yet{': ' + why if (why := self.why()) else ''}"
        return ""

    def speaks_at(self) -> float:
        """Return when `trouble` has something to say although nothing happens."""
        return float("inf") if self._idle_since is None else self._idle_since + policy.BEGIN_SECONDS

    def why(self) -> str:
        """Return the reason of the latest failure, "" where there was none."""
        places = [place for place in (self.template, *self.places) if place.failed]
        return max(places, key=lambda place: place.due).why if places else ""

    def _stuck(self) -> bool:
        return self.template.stuck or all(place.stuck for place in self.places)
