"""Which calls stay here, by their function's policy or because nobody takes them, and what those came to.

Owns no thread and no connection: it decides by what outcomes and absence have seen. Called by functions and maps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simpledist.job import Why
from simpledist.placement import Costs
from simpledist.policy import Experience

if TYPE_CHECKING:
    from simpledist.client.function import WorkerFunction
    from simpledist.client.outcomes import Outcomes


class Staying:
    """Any thread may ask. `away` says why no call travels at all, if so."""

    def __init__(self, outcomes: Outcomes, away: Callable[[], Why | None]) -> None:
        self._outcomes = outcomes
        self._away = away

    def why(self, function: WorkerFunction[..., Any]) -> Why | None:
        """Why a call of a function whose policy is not "remote" is to run here; None: it travels."""
        if function.policy == "local":
            return "local"
        return "cheaper" if self._decided(function.function).cheaper_here() else None

    def why_in_map(self, function: WorkerFunction[..., Any], since: float) -> Why | None:
        """Why calls of a map that began at `since` are to run in its caller's loop; None: they go out.

        Where nobody takes them that is for short ones: others wait in the backlog of local runs, and a worker may come.
        Nor for those that are shared: their outcome may be there without any worker.
        """
        if function.policy == "local":
            return "local"
        name = function.function
        if function.chunks and self.short(function):
            why = self._away() or self._outcomes.absence.of(name, since)
            if why is not None:
                return why
        if function.policy == "auto" and self._decided(name).cheaper_here_in_a_map():
            return "cheaper"
        return None

    def short(self, function: WorkerFunction[..., Any]) -> bool:
        """Whether its runs in this process were seen to be short."""
        seen = self._outcomes.here.get(function.function)
        return seen is not None and seen.short()

    def run(self, function: WorkerFunction[..., Any], why: Why, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A plain call that stays: nothing but the call, its count and its time."""
        began = time.perf_counter()
        try:
            return function.local(*args, **kwargs)
        finally:
            self.took(function.function, time.perf_counter() - began)
            self.ran(function.function, why, 1)

    def ran(self, function: str, why: Why, calls: int) -> None:
        """So many calls stayed."""
        self._outcomes.session.count_local(function, why, calls)

    def took(self, function: str, seconds: float) -> None:
        """A call that stayed took so long."""
        outcomes = self._outcomes
        outcomes.here[function] = outcomes.here.get(function, Experience()).ran(1, seconds)
        if (costs := outcomes.costs.get(function)) is not None:
            outcomes.costs[function] = costs.ran_here(seconds)

    def _decided(self, function: str) -> Costs:
        costs = self._outcomes.costs.get(function, Costs()).decided()
        self._outcomes.costs[function] = costs
        return costs
