"""Whose Redis answers on this machine; asked where no key was named.

Link asks once it has connected, before it sends anything. What another user's Redis makes up is not decoded, because
our user's key did not sign it; but that Redis reads what we send, and can drop it. So a Unix socket of another ordinary
user is refused, and a port of one is warned of, once. The Redis of a system user (root, redis) serves all users.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from ipaddress import IPv4Address, IPv6Address, ip_address

from simpledist.errors import RedisRefused
from simpledist.printable import logger

log = logger("simpledist")

ORDINARY = 501 if sys.platform == "darwin" else 1000  # user ids from here on are people's
UNKNOWN = 65534  # what a container sees of users that it does not know
LISTENING = "0A"
MOST_LINES = 10_000
REMEDY = "use your own (simpledist redis --port PORT), or give both users the same key (--secret-file FILE)"

_warned: set[tuple[str, int]] = set()


def check(sock: socket.socket, warn: Callable[[str], object] = log.warning) -> None:
    """Raise RedisRefused for a Unix socket of another ordinary user; warn, once a process, of a port of one."""
    if sock.family == socket.AF_UNIX:
        owner = _of_socket(sock)
        if owner is not None and _other_person(owner):
            raise RedisRefused(f"the socket {sock.getpeername()} belongs to user {_named(owner)}: {REMEDY}")
        return
    try:
        host, port = sock.getpeername()[:2]
    except OSError:
        return  # closed already: the first command tells
    if (host, port) in _warned:
        return
    _warned.add((host, port))
    owner = _of_port(host, port)
    if owner is not None and _other_person(owner):
        warn(
            f"the Redis at {host}:{port} belongs to user {_named(owner)}, who can read and drop calls and results, but "
            f"not forge them; {REMEDY}"
        )


def _other_person(owner: int) -> bool:
    return owner >= ORDINARY and owner not in (UNKNOWN, os.geteuid())


def _of_socket(sock: socket.socket) -> int | None:
    """Return the user of the process that listens; where the system does not tell, the owner of the file."""
    try:
        if hasattr(socket, "SO_PEERCRED"):
            size = struct.calcsize("3i")
            return struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[1]
        return os.stat(sock.getpeername()).st_uid
    except OSError:
        return None


def _of_port(host: str, port: int) -> int | None:
    """Return the user that listens on a port of this machine; None where the system does not tell."""
    wanted = _unmapped(ip_address(host.partition("%")[0]))
    everywhere: int | None = None
    for address, its_port, owner in _listeners():
        if its_port != port:
            continue
        if address == wanted:
            return owner
        if address.is_unspecified:
            everywhere = owner
    return everywhere


def _listeners() -> Iterator[tuple[IPv4Address | IPv6Address, int, int]]:
    """Return (address, port, user id) of each listening socket, as Linux lists them."""
    for name in ("tcp", "tcp6"):
        try:
            with open(f"/proc/net/{name}", encoding="ascii") as file:
                for _, line in zip(range(MOST_LINES), file, strict=False):
                    words = line.split()
                    if len(words) > 7 and words[3] == LISTENING:
                        address, _, port = words[1].partition(":")
                        yield _address(address), int(port, 16), int(words[7])
        except (OSError, ValueError):
            continue


def _address(text: str) -> IPv4Address | IPv6Address:
    """Return an address that the kernel writes word by word, each as a number of this machine."""
    words = [int(text[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(text), 8)]
    return _unmapped(ip_address(b"".join(words)))


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    return getattr(address, "ipv4_mapped", None) or address


def _named(user: int) -> str:
    try:
        return f"{user} ({import_module('pwd').getpwuid(user).pw_name})"
    except KeyError:
        return str(user)
