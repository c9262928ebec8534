"""simpledist: call a pure function as if it were local; it runs on whatever worker is free, or here.

The public names: `connect`, `worker_function`, `function`, `Client`, `WorkerFunction`, `Future`, `Info`, `Stats`,
`track`, `errors`. They load when they are first used, so that a worker's child pays for nothing that it does not need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simpledist import errors
    from simpledist.client.client import Client, connect
    from simpledist.client.function import WorkerFunction
    from simpledist.client.options import function, worker_function
    from simpledist.client.progress import track
    from simpledist.engine.future import Future
    from simpledist.job import Info, Stats

__all__ = [
    "Client",
    "Future",
    "Info",
    "Stats",
    "WorkerFunction",
    "__version__",
    "connect",
    "errors",
    "function",
    "track",
    "worker_function",
]

__version__ = "0.2.0"

_HOMES = {
    "Client": "simpledist.client.client",
    "connect": "simpledist.client.client",
    "WorkerFunction": "simpledist.client.function",
    "function": "simpledist.client.options",
    "worker_function": "simpledist.client.options",
    "Future": "simpledist.engine.future",
    "Info": "simpledist.job",
    "Stats": "simpledist.job",
    "track": "simpledist.client.progress",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name == "errors":
        return import_module("simpledist.errors")
    raise AttributeError(f"module 'simpledist' has no attribute {name!r}")
