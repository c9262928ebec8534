"""Functions whose outcome is that of a limit of their process."""

from __future__ import annotations

import sys


def depth(levels: int) -> int:
    return 0 if levels == 0 else 1 + depth(levels - 1)


def digits(number: int) -> int:
    return len(str(10**number))


def from_digits(number: int) -> bool:
    return int("1" * number) > 0


def depth_wrapped(levels: int) -> int:
    try:
        return depth(levels)
    except RecursionError as error:
        raise ValueError(levels) from error


def depth_hidden(levels: int) -> int:
    try:
        return depth(levels)
    except RecursionError:
        raise ValueError(levels) from None


def full(number: int) -> None:
    raise OSError(number, "as if")


def endless() -> None:
    endless()


def limit() -> int:
    return sys.getrecursionlimit()
