"""Functions that fork; in a plain program each returns its argument, once."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pty
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

# Since Python 3.12 a fork in a process with threads is warned of.
warnings.filterwarnings("ignore", "This process", DeprecationWarning)

LONG = 60.0


def _fork(in_copy: Callable[[], object]) -> int:
    """Fork; what `in_copy` raises or exits with, the copy ends with. Returns its status."""
    pid = os.fork()
    if pid == 0:
        in_copy()
        return -1
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def exits(value: int, status: int) -> tuple[int, int]:
    return value, _fork(lambda: sys.exit(status))


def raises(value: int) -> tuple[int, int]:
    return value, _fork(lambda: 1 // 0)


def returns_twice(value: int) -> int:
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    return value


def returns_with_status(value: int) -> tuple[int, int]:
    pid = os.fork()
    return value, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if pid else -1


def says_goodbye(value: int) -> int:
    def leave() -> None:
        sys.stdout.write("left in the buffer")
        sys.exit("last words")

    _fork(leave)
    return value


def forks_in_a_thread(value: int) -> int:
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(_fork(lambda: sys.exit(3))))
    thread.start()
    thread.join()
    return value


def forks_a_terminal(value: int) -> int:
    pid, descriptor = pty.fork()
    if pid == 0:
        raise LookupError("in the copy")
    os.waitpid(pid, 0)
    os.close(descriptor)
    return value


def forks_in_c(value: int) -> int:
    """By a fork that tells Python nothing."""
    pid = ctypes.CDLL(None).fork()
    if pid:
        os.waitpid(pid, 0)
    return value


def raises_in_c(value: int) -> int:
    """By a fork that tells Python nothing, whose copy is done first."""
    pid = ctypes.CDLL(None).fork()
    if pid == 0:
        raise LookupError("in the copy")
    os.waitpid(pid, 0)
    return value


def stops_its_copy(value: int) -> tuple[int, int]:
    pid = os.fork()
    if pid == 0:
        time.sleep(LONG)
        os._exit(9)
    os.kill(pid, signal.SIGTERM)
    return value, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def outlives(value: int, until: str) -> int:
    """Its copy lives on until a file is there."""
    if os.fork() == 0:
        end = time.monotonic() + LONG
        while not Path(until).exists() and time.monotonic() < end:
            time.sleep(0.01)
        raise LookupError("long after")
    return value


def _square(value: int) -> int:
    return value * value


def by_multiprocessing(value: int) -> list[int]:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(_square, range(value))


class ForksWhenPickled:
    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        if (pid := os.fork()) == 0:
            return int, (666,)
        os.waitpid(pid, 0)
        return int, (1,)


def forks_on_its_way(value: int) -> object:
    return [value, ForksWhenPickled()]


def echo(value: bytes) -> bytes:
    return value
