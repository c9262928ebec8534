"""Jobs that wait or run at a client for want of a worker, as its nudges carry them: Redis keeps the text as it is.

No ledger shows these jobs: where no worker may have a call, `submit` enters nothing. The client fills in the fields
(engine/demand.py), the monitor reads them (monitor/demand.py).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

FUNCTIONS_MOST = 100  # of one client
NOTHING = "-"  # nothing waits or runs here any more
_MOST = 1e9  # jobs, or milliseconds


@dataclass(frozen=True, slots=True)
class AtClient:
    """Jobs of one function at one client, or at several together; `mean_ms`: how long one takes there, if known."""

    waiting: int = 0
    running: float = 0.0  # on average since the last nudges: short ones are parts of one
    mean_ms: float | None = None

    @property
    def jobs(self) -> int:
        """Return how many there are; a part of one counts as one."""
        return self.waiting + math.ceil(self.running)


NO_JOBS = AtClient()


def text_of(functions: Mapping[str, AtClient]) -> str:
    """Return these functions as they travel."""
    return json.dumps({name: asdict(one) for name, one in functions.items()}, separators=(",", ":"))


def read(row: str) -> tuple[int, dict[str, AtClient]] | None:
    """Return when a client said so (ms of Redis' clock), and its functions; None for what no client wrote."""
    try:
        fields: Any = json.loads(row)
        at, functions = fields["at"], fields["functions"]
        if type(at) is not int or not isinstance(functions, dict):
            return None
        named = list(cast("dict[str, Any]", functions).items())[:FUNCTIONS_MOST]
        return at, {name: _at_client(one) for name, one in named}
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None


def _at_client(fields: Any) -> AtClient:
    mean = fields.get("mean_ms")
    return AtClient(
        round(_number(fields["waiting"])), _number(fields["running"]), None if mean is None else _number(mean)
    )


def _number(value: Any) -> float:
    """Return a number as we write it; raises TypeError."""
    if type(value) not in (int, float) or not 0 <= value <= _MOST:
        raise TypeError
    return float(value)
