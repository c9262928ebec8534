"""Functions whose runs can be counted: each leaves a line in the log that the environment names."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import time
import zlib
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

LOG_VARIABLE = "SIMPLEDIST_TEST_RUNS"


class Wrong(Exception):
    """What `work` raises for every seventh number."""


def value_of(n: int) -> str:
    """The one right outcome of `work(n)`: belongs to no other call."""
    return f"value of {n}"


def work(n: int, seconds: float = 0.0) -> str:
    note("begins", n)
    select.select([], [], [], seconds)  # libfaketime breaks time.sleep
    if n % 7 == 6:
        raise Wrong(n)
    note("ends", n)
    return value_of(n)


def linger(n: int, until: str) -> str:
    """Runs until a file is there: the test says when."""
    note("begins", n)
    _wait_for(until)
    return value_of(n)


def length(n: int, text: bytes) -> int:
    note("begins", n)
    select.select([], [], [], 0.5)
    return len(text)


def big(n: int, size: int) -> bytes:
    note("begins", n)
    return n.to_bytes(8, "big") + bytes(size)


def weigh(n: int, data: bytes) -> tuple[int, int, int]:
    """Which call, and what its argument is: its length and checksum."""
    note("begins", n)
    return n, len(data), zlib.crc32(data)


def altered(n: int, array: Any) -> tuple[int, int, int]:
    """Which call, and what its array is: its length and checksum once this has written to it, as it may."""
    note("begins", n)
    array[n % len(array)] ^= 255
    return n, len(array), zlib.crc32(array)


def looked_up(n: int, table: dict[int, str]) -> tuple[int, int, str]:
    """Which call, and what its table is: its length, and what it has for this number."""
    note("begins", n)
    return n, len(table), table[n % len(table)]


def hold_gil(n: int, seconds: float) -> int:
    """In C, with the interpreter's lock in hand: no thread of this process runs meanwhile."""
    note("begins", n)
    ctypes.PyDLL(None).usleep(round(seconds * 1e6))
    return n


def die(n: int, how: str) -> NoReturn:
    """Kills its process, or the one that started it, or its group; nothing outside workers and throw-away children."""
    assert os.environ.get("SIMPLEDIST_NESTED"), "this would kill the tests"
    note("begins", n)
    if how == "exit":
        os._exit(7)
    elif how == "segfault":
        ctypes.string_at(0)
    elif how == "parent":
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(1.0)
        os._exit(7)
    os.killpg(0, signal.SIGKILL)
    raise AssertionError("unreachable")


def crash(n: int) -> NoReturn:
    note("begins", n)
    os._exit(7)


def leave_an_heir(n: int, until: str) -> str:
    """The first time, its process dies while one that it forked lives on, with a copy of every descriptor."""
    note("begins", n)
    if _first(n):
        if os.fork():
            os._exit(7)
        _wait_for(until)
        os._exit(0)
    return value_of(n)


def close_everything(n: int, until: str) -> str:
    """The first time, its process lives on without the channel to its worker."""
    note("begins", n)
    if _first(n):
        os.closerange(3, 256)
        _wait_for(until)
    return value_of(n)


def pid() -> int:
    return os.getpid()


def probe(n: int) -> int:
    return n * n


interruptions: list[int] = []  # signals; a decoding of `interrupting` takes one and meets it


class Interrupting:
    """To be read it may need more than one try."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return decoded, (self.n,)


def decoded(n: int) -> Interrupting:
    if interruptions:
        signal.raise_signal(interruptions.pop())
    return Interrupting(n)


def interrupting(n: int) -> Interrupting:
    time.sleep(0.3)
    return Interrupting(n)


def note(what: str, n: int) -> None:
    """One line, written whole: what, which call, which process, when."""
    path = os.environ.get(LOG_VARIABLE)
    if path:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, f"{what} {n} {os.getpid()} {time.time()}\n".encode())
        finally:
            os.close(descriptor)


def _wait_for(file: str) -> None:
    """For a minute at most."""
    for _ in range(6000):
        if Path(file).exists():
            return
        time.sleep(0.01)


def _first(n: int) -> bool:
    return runs(Path(os.environ[LOG_VARIABLE])).get(n) == 1


def begins(path: Path) -> list[tuple[int, int, float]]:
    """Each run: which call, which process, when."""
    if not path.exists():
        return []
    lines = [line.split() for line in path.read_text().splitlines()]
    return [(int(n), int(pid), float(at)) for what, n, pid, at in lines if what == "begins"]


def runs(path: Path) -> dict[int, int]:
    """How often each call began."""
    return dict(Counter(n for n, _, _ in begins(path)))
