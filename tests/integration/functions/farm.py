"""Functions that the integration tests' workers offer: good ones, slow ones and those that break things."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil

import simpledist


def fib(n: int) -> int:
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def echo(value: Any) -> Any:
    return value


def total(buffer: Any) -> int:
    return int(sum(buffer))


def apply(function: Any, *args: Any) -> Any:
    return function(*args)


def with_executor(pool: Any, numbers: list[int]) -> list[int]:
    return list(pool.map(abs, numbers))


def with_client(client: Any, number: int) -> tuple[int, str]:
    future = simpledist.worker_function(client, "fib", fib).submit(number)
    value = future.result()
    assert future.info is not None
    return value, str(future.info.why)


def stop(value: Any) -> None:
    raise StopIteration(value)


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def pid() -> int:
    return os.getpid()


def fail(kind: str) -> None:
    kinds = {"value": ValueError, "key": KeyError, "memory": MemoryError, "import": ImportError}
    raise {**kinds, "interrupt": KeyboardInterrupt}[kind](kind)


class Fussy(Exception):
    """An exception that cannot be pickled back: its constructor wants more than its args."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def fuss(code: int) -> None:
    raise Fussy(code, "fussy")


def die(how: str | list[str]) -> None:
    how = how if isinstance(how, str) else how[0]
    if how == "exit":
        os._exit(3)
    elif how == "segfault":
        ctypes.string_at(0)
    else:
        os.kill(os.getpid(), 9)


def die_on_worker(home: int) -> str:
    """Kills every process but `home` and its throw-away child: a function that only workers cannot bear."""
    above = psutil.Process().parents()[:2]
    if home not in (os.getpid(), *(one.pid for one in above)):
        os._exit(4)
    return "at home"


def nested(n: int) -> tuple[int, str | None]:
    client = simpledist.connect()
    inner = simpledist.worker_function(client, "fib", fib)
    future = inner.submit(n)
    value = future.result()
    return value, future.info.why if future.info else None


def log_run(folder: str, name: str, seconds: float) -> str:
    """Leaves a line for each time it began, so that tests can count."""
    with Path(folder, name).open("a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(seconds)
    return name


def sleep_and_echo(seconds: float, value: Any) -> list[Any]:
    time.sleep(seconds)
    return [value]


def slow_fail(folder: str, name: str, seconds: float) -> None:
    log_run(folder, name, seconds)
    raise LookupError(name)


def speak(text: str) -> str:
    print(text)
    return text


def zeros(number: int) -> bytes:
    return bytes(number)


def lock() -> Any:
    """Its value cannot be pickled."""
    return threading.Lock()


def raise_with(argument: str) -> None:
    raise ValueError(argument)


def die_once_with(mark: str, value: bytes) -> bytes:
    """Kills its process the first time, which leaves `mark` behind."""
    if not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def act(folder: str, name: str, what: str) -> str:
    """Leaves a line that it began; then: quick, so many seconds of sleep, wait (for `go`), die or raise."""
    with Path(folder, "acts").open("a") as file:
        file.write(f"{name}\n")
    for word in what.split():
        if word == "die":
            os._exit(3)
        if word == "raise":
            raise ValueError(name)
        end = time.monotonic() + 30
        while word == "wait" and time.monotonic() < end and not Path(folder, "go").exists():
            time.sleep(0.01)
        if word not in ("quick", "wait"):
            time.sleep(float(word))
    return name


def log_and_raise(folder: str, name: str) -> None:
    """Leaves a line for each time it ran, and raises."""
    with Path(folder, name).open("a") as file:
        file.write(f"{os.getpid()}\n")
    raise ValueError("as it should")


class Thing:
    """Of a module that only workers have under this name."""


def thing() -> Thing:
    return Thing()


def hold(megabytes: int, seconds: float) -> tuple[int, int]:
    """Holds so much memory for so long."""
    held = bytearray(megabytes * 2**20)
    held[::4096] = bytes([1]) * len(held[::4096])
    time.sleep(seconds)
    return os.getpid(), len(held) >> 20


def hold_below(folder: str, megabytes: int, seconds: float) -> str:
    """Has a process of its own hold it."""
    program = f"import time; held = b'x' * {megabytes << 20}; time.sleep({seconds})"
    with subprocess.Popen([sys.executable, "-c", program]) as process, Path(folder, "pids").open("a") as file:
        file.write(f"{process.pid}\n")
        file.flush()
        process.wait()
    return "done"


_kept: list[bytes] = []


def leak(megabytes: int) -> int:
    """Keeps so much memory more each time."""
    _kept.append(os.urandom(1) * (megabytes << 20))
    time.sleep(0.4)
    return os.getpid()


def short_of_memory(caller: int) -> int:
    """A worker's child is short of memory; a process below the caller is not."""
    if caller not in (os.getpid(), *(one.pid for one in psutil.Process().parents()[:2])):
        raise MemoryError("a limit of the worker")
    return os.getpid()
