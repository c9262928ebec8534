"""Refusals of this worker, and what follows: it passes over a lane for a while, or withdraws a function.

A worker that lacks a module, or holds another key, would take every job and fail it at once. So a refused job goes to
another worker first, if there is one, and this one leaves the lane alone for a second (`pass` on its control list).
Only where another one then brings an outcome was the refusal this worker's fault: that is a strike (`strike` on the
list). Three strikes withdraw the function here, for longer each time. A distribution that this worker lacks is no
strike where the function came with its call: calls of other programs do not need it. Withdrawn is also a function whose
jobs do not fit into the rest of the worker's life (life.py). Used by the loop's one thread; knows no Redis.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from simpledist import policy
from simpledist.broker.lane import function_of
from simpledist.broker.records import Held
from simpledist.code.distributions import known_as, missing_module
from simpledist.job import ANY
from simpledist.policy import Standing
from simpledist.printable import logger
from simpledist.worker.life import Bounds, Life

log = logger("simpledist.worker")

MOST_MISSING = 50  # modules that the row names


@dataclass
class RefusalCount:
    """Refusals of one function for one reason; `since_log` of them are in no line of the log yet."""

    why: str
    error: str = ""
    count: int = 0
    last_ms: int = 0
    since_log: int = 0
    logged: float = float("-inf")


class Refusals:
    """Counts, strikes and pauses by function, and the lanes that are passed over."""

    def __init__(self, pass_seconds: float = policy.TIMINGS.pass_seconds, life: Life | None = None) -> None:
        self._pass_seconds = pass_seconds
        self._life = life or Life(Bounds())
        self._counts: dict[tuple[str, str], RefusalCount] = {}
        self._standings: defaultdict[str, Standing] = defaultdict(Standing)
        self._passed: dict[str, float] = {}  # lane -> until when, time.monotonic()
        self.missing: dict[str, int] = {}  # module that an import did not find -> when it last did not, Unix ms

    # --- what happened -------------------------------------------------------------------------------------------

    def refused(self, held: Held, why: str, error: str) -> None:
        """Count it, and say so: the first of its kind at once, then once a minute with a count."""
        counted = self._counts.setdefault((held.function, why), RefusalCount(why))
        now = time.monotonic()
        counted.error, counted.count, counted.last_ms = error, counted.count + 1, round(time.time() * 1000)
        counted.since_log += 1
        lacks = self._lacks_another(missing_module(error), counted.last_ms)
        if lacks:
            log.warning("job %s (%s) is refused: %s: %s: %s", held.id, held.function, why, error, lacks)
        elif now - counted.logged < policy.RETELL_SECONDS:
            return
        elif counted.count == 1:
            log.warning("job %s (%s) is refused: %s: %s", held.id, held.function, why, error)
        else:
            count = counted.since_log
            log.warning("function %s: %d more jobs refused, the last: %s: %s", held.function, count, why, error)
        counted.logged, counted.since_log = now, 0

    def _lacks_another(self, module: str, now_ms: int) -> str:
        """Note a module that is missing ("" for none); return what is to be said of it, once."""
        is_new = module not in self.missing
        if not module or (is_new and len(self.missing) >= MOST_MISSING):
            return ""
        self.missing[module] = now_ms
        return f"this worker lacks {known_as(module)}; calls that need it run elsewhere" if is_new else ""

    def served(self, held: Held) -> None:
        """Forget strikes for its function: with an outcome, refusals before it were not this worker's fault."""
        if self._standings:
            self._standings.pop(held.function, None)

    def pass_over(self, lane: str) -> None:
        """Leave a lane alone for a while."""
        self._passed[lane] = time.monotonic() + self._pass_seconds

    def strike(self, lane: str) -> None:
        """Count a strike: another worker brought an outcome of a job that this one had refused."""
        function, now = function_of(lane), time.monotonic()
        if function.partition("@")[0] == ANY and self._lacked_a_module(function):
            return
        standing = self._standings[function] = self._standings[function].struck(now)
        if standing.strikes == 0:
            reasons = [f"{one.why}: {one.error}" for (name, _), one in self._counts.items() if name == function]
            log.warning(
                "function %s is withdrawn for %.0f s: other workers do what this one refuses (%s)",
                function,
                standing.withdrawn_until - now,
                reasons[-1] if reasons else "no reason known",
            )

    def _lacked_a_module(self, function: str) -> bool:
        """Return whether its last refusal was for want of a module: calls of other programs do not need that one."""
        last = max(
            (one for (name, _), one in self._counts.items() if name == function),
            default=None,
            key=lambda one: one.last_ms,
        )
        return last is not None and missing_module(last.error) != ""

    # --- what follows --------------------------------------------------------------------------------------------

    def withdrawn(self) -> frozenset[str]:
        """Return the functions that this worker does not offer at present."""
        too_long = self._life.too_long()
        if not self._standings:
            return too_long
        now = time.monotonic()
        return too_long.union(name for name, standing in self._standings.items() if now < standing.withdrawn_until)

    def taken(self, lanes: Sequence[str]) -> Sequence[str]:
        """Return those of these lanes from which jobs are taken at present."""
        if not self._passed and not self._standings and not self._life.is_timed:
            return lanes
        now, withdrawn = time.monotonic(), self.withdrawn()
        self._passed = {lane: until for lane, until in self._passed.items() if now < until}
        return [lane for lane in lanes if lane not in self._passed and function_of(lane) not in withdrawn]

    def next_change(self) -> float:
        """Return when a lane or a function comes back, time.monotonic()."""
        if not self._passed and not self._standings:
            return float("inf")
        now = time.monotonic()
        times = [*self._passed.values(), *(one.withdrawn_until for one in self._standings.values())]
        return min((at for at in times if at > now), default=float("inf"))

    def row(self) -> dict[str, dict[str, Any]]:
        """Return what the worker's row says of it: by function the latest reason, how often, and when."""
        row: dict[str, dict[str, Any]] = {}
        for (function, _), counted in sorted(self._counts.items(), key=lambda item: item[1].last_ms):
            count = counted.count + row.get(function, {}).get("count", 0)
            row[function] = {"why": counted.why, "error": counted.error[:100], "count": count, "last": counted.last_ms}
        return row

    @property
    def last_ms(self) -> int:
        """Return when a job was last refused; 0: never."""
        return max((counted.last_ms for counted in self._counts.values()), default=0)
