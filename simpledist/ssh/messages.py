"""Lines of the launcher, checked: the other machine may send anything.

Pure. What is no line of the launcher is output, of a login script for example. What is one and cannot be so raises
BadHost: with a path of its own choice a host could have ssh connect it to other places than the Redis of the caller.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

from simpledist.printable import printable
from simpledist.ssh.launcher import MARK, PLAIN, SOCKET_PATH_BYTES

LINE_BYTES = 65536
VERSION_CHARACTERS = 20


class BadHost(Exception):
    """Its launcher says what no launcher says."""


@dataclass(frozen=True, slots=True)
class Here:
    """The launcher runs. `socket`: where the tunnel is to end; `wants_files`: ours are not there yet."""

    python: str
    socket: str
    wants_files: bool


@dataclass(frozen=True, slots=True)
class Unpacked:
    """Our files are there."""


@dataclass(frozen=True, slots=True)
class Started:
    """The worker runs."""

    pid: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The worker has ended with this exit code; negative: a signal killed it."""

    code: int


Event = Here | Unpacked | Started | Ended


def event_of(line: str) -> Event | None:
    """Return what a line of stdout says; None for one that is no event. Raises BadHost."""
    if not line.startswith(MARK):
        return None
    try:
        found: Any = json.loads(line[len(MARK) :])
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadHost("it sent an event that cannot be read")
    match cast("dict[str, Any]", found):
        case {"event": "here", "python": str(python), "socket": str(socket), "wants_files": bool(wants)}:
            if not PLAIN.fullmatch(socket) or not socket.startswith("/") or len(socket) > SOCKET_PATH_BYTES:
                raise BadHost("it named a path for the socket that no launcher makes")
            return Here(printable(python, VERSION_CHARACTERS), socket, wants)
        case {"event": "unpacked"}:
            return Unpacked()
        case {"event": "started", "pid": int(pid)}:
            return Started(pid)
        case {"event": "ended", "code": int(code)}:
            return Ended(code)
        case _:
            raise BadHost("it sent an event that is none of a launcher's")
