"""Specification of one function, fixed for all its calls: its name, the local function and its options.

Knows no client and no Redis. Made by `worker_function`, executors and joblib's backend; each call points to one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any

from simpledist.broker.records import Terms
from simpledist.engine.limited import Limited
from simpledist.engine.own_code import Match, OwnCode
from simpledist.engine.sharing import Sharing
from simpledist.engine.tally import Tally
from simpledist.job import ANY, Policy, Priority


@dataclass(frozen=True, slots=True, eq=False)
class FunctionSpec:
    """One function as one program uses it. `function` is its qualified name, `local` the last resort."""

    function: str
    local: Callable[..., Any]
    _: KW_ONLY
    codec: str = "pickle"
    timeout: float | None = None  # seconds that a call may spend on the cluster
    hard_timeout: float | None = None  # seconds after which a run of it is ended, wherever it runs
    max_queue: int | None = None  # with so many jobs queued, further calls run at their client
    policy: Policy = "remote"
    sharing: Sharing | None = None
    match: Match = None  # which other code may serve its calls: none ("code"), any ("name"), that of another function
    priority: Priority = "normal"
    needs: tuple[str, ...] = ()  # tags that a worker must have, sorted
    ships: bool = True  # a worker with `--any` may have its calls where no worker has the function
    strict: bool = False  # as "code", but a function without a digest goes by its name
    lane: str = field(init=False)  # its calls are counted under this name: the function, or fib+gpu
    limited: Limited | None = field(init=False)  # with a hard timeout
    here: Callable[..., Any] = field(init=False)  # what is called where a call runs at its client
    code: OwnCode = field(init=False)
    terms: Terms = field(init=False)  # the options that Redis goes by
    tally: Tally = field(init=False, default_factory=Tally)

    @property
    def target(self) -> str:
        """Return the target of a worker that offers it: `fns:fib`, or MODULE:fib where it has no place."""
        return target_of(self.function, self.local)

    @property
    def worker_arguments(self) -> str:
        """Return what starts a worker that serves it: `fns:fib --tag gpu`."""
        return self.target + "".join(f" --tag {tag}" for tag in self.needs)

    def __post_init__(self) -> None:
        object.__setattr__(self, "code", OwnCode(self.function, self.match, strict=self.strict, tags=self.needs))
        object.__setattr__(self, "terms", Terms(max_queue=self.max_queue))
        object.__setattr__(self, "lane", self.code.key.lane)
        limit = None if self.hard_timeout is None else Limited(self.function, self.local, self.hard_timeout)
        object.__setattr__(self, "limited", limit)
        object.__setattr__(self, "here", limit or self.local)


def target_of(function: str, local: Callable[..., Any]) -> str:
    """Return the target of a worker that offers a local function under this name: `fns:fib`, `sum=fns:add@2`."""
    name, at, version = function.partition("@")
    if name == ANY:
        return "--any"
    place: Any = getattr(local, "__module__", None)
    attribute: Any = getattr(local, "__qualname__", None)
    if place == "__main__":
        place = Path(getattr(sys.modules.get("__main__"), "__file__", None) or "").stem
    if not (place and isinstance(place, str) and isinstance(attribute, str) and "<" not in attribute):
        return f"MODULE:{name}{at}{version}"
    alias = "" if attribute.rpartition(".")[2] == name else f"{name}="
    return f"{alias}{place}:{attribute}{at}{version}"
