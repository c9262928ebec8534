"""Serves the dashboard by waitress, so that no client's connections keep others from it. Knows no page.

Connections that send nothing are closed soon, and one address holds a bounded number of them, whatever it sends:
for one more, its oldest that waits for no answer is closed. So a browser behind the address of an attacker is served
too, and so is a proxy, which brings all its clients from one address. Called by the distributor.
"""

from __future__ import annotations

import logging
import socket
from importlib import import_module
from ipaddress import IPv6Address, ip_address
from typing import Any

MOST_OF_AN_ADDRESS = 100
IPV6_BITS_OF_OTHERS = 64  # one customer has all addresses of IPv6 that differ in the rest
SETTINGS = {
    "threads": 4,
    "ident": None,
    "channel_timeout": 10,
    "cleanup_interval": 2,
    "connection_limit": 1000,
    "asyncore_use_poll": True,
}

_HTTPChannel: Any = import_module("waitress.channel").HTTPChannel


class _Channel(_HTTPChannel):
    """A connection that makes room among those of its address when it begins. Used by waitress' one thread."""

    def __init__(self, server: Any, sock: socket.socket, addr: Any, *rest: Any, **named: Any) -> None:
        # Before waitress enters it: a new one looks at all the others, and reads no address again.
        self.origin = _origin(addr)
        _HTTPChannel.__init__(self, server, sock, addr, *rest, **named)
        its: list[Any] = [one for one in server.active_channels.values() if one.origin == self.origin]
        if len(its) > MOST_OF_AN_ADDRESS:
            waiting = [one for one in its if not one.requests]
            min(waiting, key=lambda one: one.creation_time).handle_close()


def create_server(app: Any, listener: socket.socket) -> Any:
    """Return a server of `app` on a socket that listens, ready to run."""
    logging.getLogger("waitress").setLevel(logging.ERROR)
    server: Any = import_module("waitress").create_server(app, sockets=[listener], **SETTINGS)
    server.channel_class = _Channel
    return server


def _origin(addr: Any) -> str:
    """Return what tells one client from another: its address, of IPv6 the network of one customer."""
    try:
        address = ip_address(addr[0].partition("%")[0])
    except ValueError:
        return str(addr[0])
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(int(address) >> IPV6_BITS_OF_OTHERS)
