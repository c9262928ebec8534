"""Statistics of a worker, sent with each heartbeat, for people: nothing decides by them.

The worker fills in the fields (worker/stats.py); the beat carries them as JSON, which Redis keeps as it is; the monitor
reads them into its rows. A new field is a new line here, where the worker fills it in, and where a page shows it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, cast

_MOST = 10**18  # nothing that a worker counts is more


@dataclass(frozen=True, slots=True)
class WorkerStats:
    """Each field is None where it is not known."""

    at_work: int | None = None  # slots that have a job
    memory_bytes: int | None = None  # parent and children, resident
    jobs_done: int | None = None  # since it started
    peak_bytes: int | None = None  # the most that the processes of one slot held; looked at with --memory only

    @property
    def text(self) -> str:
        """Return the fields as they travel."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def read(cls, text: str | None) -> WorkerStats:
        """Return what stands in Redis, which may be anything: what is not a number there is not known."""
        try:
            read: Any = json.loads(text or "{}")
        except (ValueError, RecursionError):
            read = None
        numbers = cast("dict[str, Any]", read) if isinstance(read, dict) else {}
        return cls(**{one.name: _number(numbers.get(one.name)) for one in fields(cls)})


def _number(value: Any) -> int | None:
    return value if type(value) is int and abs(value) <= _MOST else None
