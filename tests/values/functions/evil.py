"""Values and arguments whose pickles do harm to anyone who loads them."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

loaded: list[str] = []  # in a client's own process


def _do(what: str, home: int) -> None:
    """What loading such a value does: everywhere but in process `home`, where it fails a test and no more."""
    if os.getpid() == home:
        loaded.append(what)
        raise AssertionError("loaded in the client's own process")
    if what == "exit":
        os._exit(7)
    elif what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "close":
        os.closerange(3, 256)
    elif what == "sys.exit":
        sys.exit(7)
    elif what == "interrupt":
        raise KeyboardInterrupt
    elif what == "sleep":
        time.sleep(60)


class Evil:
    """Does harm where it is unpickled."""

    def __init__(self, what: str, home: int) -> None:
        self.what, self.home = what, home

    def __reduce__(self) -> tuple[Any, ...]:
        return _do, (self.what, self.home)


class EvilToPickle:
    """Does harm where it is pickled."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __reduce__(self) -> tuple[Any, ...]:
        _do(self.what, 0)
        return int, ()


def kind_of(value: object) -> str:
    return type(value).__name__


def evil(what: str, home: int) -> Evil:
    return Evil(what, home)


def nested_evil(what: str, home: int) -> dict[str, list[Evil]]:
    return {"a": [Evil(what, home)]}


def deep_evil(what: str, home: int) -> list[Any]:
    return [[[[[[Evil(what, home)]]]]]]


def late_evil(what: str, home: int) -> list[Any]:
    return [*range(1000), Evil(what, home)]


def big_evil(what: str, home: int) -> list[Any]:
    return [bytes(300_000), "x" * 300_000, Evil(what, home)]


def innermost(value: Any) -> Any:
    """Return the last item of the last item ... of a list."""
    return innermost(value[-1]) if isinstance(value, list) else value


def evil_to_pickle(what: str) -> EvilToPickle:
    return EvilToPickle(what)


def evil_error(what: str, home: int) -> None:
    raise ValueError(Evil(what, home))


def dies_at_work(value: object, home: int) -> str:
    if os.getpid() != home:
        os._exit(3)
    return "at home"


def where(folder: str) -> list[str]:
    """Kills each process that has not yet noted itself, then names what it imported from `folder`."""
    mark = Path(folder, "runs")
    mark.touch()
    runs = mark.read_text()
    mark.write_text(runs + "x")
    if len(runs) < 2:
        os._exit(3)
    return [name for name, module in sys.modules.items() if (getattr(module, "__file__", "") or "").startswith(folder)]
