"""A mark on every process that a job starts, by which they are found when their child has ended.

Knows only this process' limits and /proc. A process group holds what a job starts, but not what makes a session of its
own, and an orphan no longer says whose it was. A resource limit is inherited by every fork and every program. The
kernel has not enforced RLIMIT_LOCKS since Linux 2.4, so its soft value is free to carry a number. Where the limit or
/proc is missing, nothing is found, and the process groups alone must do (remains.py).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import resource
from collections.abc import Iterator
from pathlib import Path

_RLIMIT_LOCKS = 10
_LINE = b"Max file locks"
_SERIAL_BITS = 26
_TOKEN_BITS = 36
_PROC = Path("/proc")


def new_serials() -> Iterator[int]:
    """Return the numbers of a template's children: 1, 2, 3 ..."""
    return itertools.cycle(range(1, 1 << _SERIAL_BITS))


def new_token() -> int:
    """Return a number that no other template of this machine has, in all likelihood."""
    return random.SystemRandom().randrange(1, 1 << _TOKEN_BITS)


def put_on(token: int, serial: int) -> bool:
    """Mark this process, and all that it starts from now on, as part of one child (serial 0: of the template).

    Returns whether the mark can be seen from outside.
    """
    value = token << _SERIAL_BITS | serial
    with contextlib.suppress(OSError, ValueError):  # this system has no such limit, or a lower one
        resource.setrlimit(_RLIMIT_LOCKS, (value, resource.getrlimit(_RLIMIT_LOCKS)[1]))
    return bears(os.getpid(), token, serial)


def bearers(token: int) -> Iterator[tuple[int, int]]:
    """Yield (pid, serial) of every process that bears a mark with this token, but for zombies."""
    if not _PROC.is_dir():
        return
    for name in os.listdir(_PROC):
        if name.isdigit() and (serial := _serial(int(name), token)) is not None and not _is_zombie(int(name)):
            yield int(name), serial


def bears(pid: int, token: int, serial: int) -> bool:
    """Return whether this very process bears the mark now."""
    return _serial(pid, token) == serial


def _serial(pid: int, token: int) -> int | None:
    _, found, rest = _read(pid, "limits").partition(_LINE)
    word = rest.split(None, 1)[0] if found else b""
    if not word.isdigit():
        return None
    value = int(word)
    return value & ((1 << _SERIAL_BITS) - 1) if value >> _SERIAL_BITS == token else None


def _is_zombie(pid: int) -> bool:
    state = _read(pid, "stat").rpartition(b")")[2].split()
    return not state or state[0] in (b"Z", b"X")


def _read(pid: int, name: str) -> bytes:
    """Read a small file of a process; nothing where it has ended, or is not ours to look at."""
    try:
        descriptor = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
