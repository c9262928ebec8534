"""Checks of the operating system: one line where something that simpledist needs is missing.

The rule: what every path needs is demanded here; what only makes a path faster or safer is looked for where it is used.
So fork is not demanded: a worker spawns its children where it cannot fork them, which takes longer, and the throw-away
child has no shield. Knows names of the standard library only. Called by the command lines before they do anything.
"""

from __future__ import annotations

import importlib.util
import os
import select
import signal
import sys

from simpledist.errors import ConfigurationError

NEEDED = (
    (os, ("posix_spawn", "set_blocking", "waitstatus_to_exitcode")),
    (select, ("poll",)),
    (signal, ("SIGKILL", "pthread_sigmask")),
)
MODULES = ("fcntl", "resource", "termios")


def missing() -> list[str]:
    """Return the names of what this system lacks; none on Linux and macOS."""
    names = [f"{module.__name__}.{name}" for module, wanted in NEEDED for name in wanted if not hasattr(module, name)]
    return names + [module for module in MODULES if not _there(module)]


def demand() -> None:
    """Raise ConfigurationError, with what is missing and what to do, where this system will not do."""
    if names := missing():
        raise ConfigurationError(
            f"simpledist runs on Linux and macOS; this system ({sys.platform}) lacks {', '.join(names)}: "
            "on Windows use WSL (Windows Subsystem for Linux)"
        )


def _there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # it is marked as missing
        return False
