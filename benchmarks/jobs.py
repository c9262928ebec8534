"""The functions that every peer runs. Plain Python, importable in each peer's own environment."""

from __future__ import annotations

import os
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


def total(array: Any, number: int) -> int:
    """Read one byte of each page of an array: what is measured is not the function."""
    return int(array[::4096].sum()) + number if len(array) > 8 else number


class Model:
    """An object that takes so many seconds to unpickle; `mark` says which unpickling it comes from."""

    def __init__(self, seconds: float, mark: str = "") -> None:
        self.seconds = seconds
        self.mark = mark

    def __reduce__(self) -> Any:
        return unpickled, (self.seconds,)


def unpickled(seconds: float) -> Model:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
    return Model(seconds, os.urandom(8).hex())


def mark_of(model: Model, number: int) -> str:
    return model.mark


JOBS: dict[str, Any] = {"nothing": nothing, "increment": increment, "rest": rest, "echo": echo}
WITH_DATA: dict[str, Any] = {"total": total, "mark_of": mark_of}
