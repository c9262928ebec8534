"""Values and exceptions that raise where they are pickled, or where one process, the client, unpickles them."""

from __future__ import annotations

import os
import sys
from typing import Any


def _made(what: str, home: int) -> Touchy:
    if os.getpid() == home:
        _raise(what)
    return Touchy(what, home)


def _raise(what: str) -> None:
    if what == "interrupt":
        raise KeyboardInterrupt
    if what == "generator":
        raise GeneratorExit
    sys.exit(3)


class Touchy:
    """Raises where process `home` unpickles it."""

    def __init__(self, what: str, home: int) -> None:
        self.what, self.home = what, home

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (self.what, self.home)


class Clinging:
    """Raises where it is pickled."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __reduce__(self) -> tuple[Any, ...]:
        _raise(self.what)
        return Clinging, (self.what,)


def clinging(value: Clinging) -> str:
    return value.what


def touchy(what: str, home: int) -> Touchy:
    return Touchy(what, home)


def touchy_error(what: str, home: int) -> None:
    raise ValueError(Touchy(what, home))
