"""What is fixed for all calls of one function: its name, the local function and its options.

Knows no client and no Redis. Made by `worker_function`, executors and joblib's backend; each call points to one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from simpledist import wire
from simpledist.engine.sharing import Sharing
from simpledist.job import Policy


@dataclass(frozen=True, slots=True, eq=False)
class FunctionSpec:
    """One function as one program uses it. `function` is its qualified name, `local` the last resort."""

    function: str
    local: Callable[..., Any]
    _: KW_ONLY
    codec: str = "pickle"
    timeout: float | None = None  # seconds that a call may spend on the cluster
    max_queue: int | None = None  # with so many jobs queued, further calls run at their client
    policy: Policy = "remote"
    sharing: Sharing | None = None
    fingerprint: str = field(init=False)  # of the local function's code

    def __post_init__(self) -> None:
        object.__setattr__(self, "fingerprint", wire.fingerprint(self.local))
