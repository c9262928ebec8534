"""Functions that travel with their call: the one function that a worker with `--any` offers for them.

Owns its name, which carries the Python minor as a version: code of another minor is not loaded, such a call runs at its
client. Imported by clients and, as a target, by workers' children.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

# The dot keeps it apart from every function that is offered under its own name.
FUNCTION = f"simpledist.any@{sys.version_info.major}.{sys.version_info.minor}"
TARGET = "simpledist.any=simpledist.shipped:run@" + FUNCTION.partition("@")[2]


def run(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call what came with the call."""
    return function(*args, **kwargs)


def run_each(function: Callable[..., Any], calls: list[tuple[Any, ...]]) -> list[Any]:
    """Call it once for each of `calls`: several short calls that travel as one."""
    return [function(*args) for args in calls]
