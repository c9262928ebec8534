"""Values and exceptions that raise where one process, the client, decodes them."""

from __future__ import annotations

import os
import sys
from typing import Any


def _made(what: str, home: int) -> Touchy:
    if os.getpid() == home:
        if what == "interrupt":
            raise KeyboardInterrupt
        if what == "generator":
            raise GeneratorExit
        sys.exit(3)
    return Touchy(what, home)


class Touchy:
    """Raises where process `home` unpickles it."""

    def __init__(self, what: str, home: int) -> None:
        self.what, self.home = what, home

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (self.what, self.home)


def touchy(what: str, home: int) -> Touchy:
    return Touchy(what, home)


def touchy_error(what: str, home: int) -> None:
    raise ValueError(Touchy(what, home))
