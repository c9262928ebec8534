"""Functions that are not pure, so that it shows which run of them an outcome is from."""

from __future__ import annotations

import os
import select


def count(path: str, until: str = "") -> int:
    """The how-manieth run of all with this file it is; with `until`, ends when that file is there."""
    with open(path, "a") as file:
        file.write("run\n")
    with open(path) as file:
        number = len(file.readlines())
    while until and not os.path.exists(until):
        select.select([], [], [], 0.01)
    return number


def spoil(text: str) -> None:
    """Raise an exception whose text is somebody's."""
    raise ValueError(text)
