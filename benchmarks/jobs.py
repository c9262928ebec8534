"""The functions that every peer runs. Plain Python, importable in each peer's own environment."""

from __future__ import annotations

import time
from typing import Any


def nothing() -> None:
    """What a call costs by itself."""


def increment(number: int) -> int:
    return number + 1


def microsecond(number: int) -> int:
    """Takes about 1 us, on a machine of 2026."""
    for _ in range(110):
        pass
    return number + 1


def rest(seconds: float) -> None:
    """Work that needs no CPU of the machine that measures."""
    time.sleep(seconds)


def echo(value: Any) -> Any:
    return value


JOBS: dict[str, Any] = {"nothing": nothing, "increment": increment, "rest": rest, "echo": echo}
