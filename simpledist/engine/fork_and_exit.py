"""Forks and the end of the program: every client is informed, without being kept alive."""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from typing import Protocol

from simpledist.errors import ConfigurationError


class Mortal(Protocol):
    """What a client does then."""

    def after_fork(self) -> None: ...

    def at_exit(self) -> None: ...


class Process:
    """The id of this process, as known without asking the kernel: that takes as long as to sign a short call."""

    id = os.getpid()


_clients: weakref.WeakSet[Mortal] = weakref.WeakSet()


def check_platform() -> None:
    """Raise ConfigurationError where a client cannot live."""
    if sys.platform == "win32":
        raise ConfigurationError("connect(): simpledist runs on Linux and macOS; on Windows, use it under WSL")


def remember(client: Mortal) -> None:
    _clients.add(client)


def living() -> list[Mortal]:
    return list(_clients)


def _after_fork() -> None:
    Process.id = os.getpid()  # first: from now on, who makes a future makes one of this process
    for client in list(_clients):
        client.after_fork()


def _at_exit() -> None:
    for client in list(_clients):
        client.at_exit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
