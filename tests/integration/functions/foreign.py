"""Functions for workers of any Python, with code among their arguments and results."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

Call = Callable[[Any], Any]


def python() -> str:
    """The minor that runs it."""
    return ".".join(platform.python_version_tuple()[:2])


def apply(function: Call, argument: Any) -> Any:
    return function(argument)


def adds(number: int) -> Call:
    """Code that travels by value: a closure."""

    def add(other: int) -> int:
        return number + other

    return add


def make(kind: str) -> Any:
    """Something with code in it, as `used` takes it; "nothing": without any."""

    class Adder:
        def __init__(self, number: int) -> None:
            self.number = number

        def __call__(self, other: int) -> int:
            return self.number + other

    made: dict[str, Any] = {
        "function": adds(1),
        "class": Adder(1),
        "among others": [1, "text", Adder(1)],
        "nothing": None,
    }
    return made[kind]


def used(made: Any) -> int:
    if made is None:
        return 0
    call: Call = made if callable(made) else made[-1]
    return call(41)


def fail() -> None:
    raise ValueError(adds(1))
