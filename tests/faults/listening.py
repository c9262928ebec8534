"""What stands between a role and Redis, or in its place: it listens, and has a thread for each connection."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from simpledist.embedded import HOST

L = TypeVar("L", bound="Listening")


class Listening:
    """Use it in a `with` block, and give `url` to the role; a subclass says what `_took` does with a connection.

    `_open`: the sockets to be ended with it, guarded by `_lock`. `buffer_bytes`: of what is received, if not as usual.
    """

    def __init__(self, buffer_bytes: int | None = None) -> None:
        self._buffer_bytes = buffer_bytes
        self._listening = self._sized(socket.socket())
        self._listening.bind((HOST, 0))
        self._listening.listen(128)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._ended = threading.Event()
        self.url = f"redis://{HOST}:{self._listening.getsockname()[1]}/0"

    def __enter__(self: L) -> L:
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut_all()
        for thread in self._threads:
            thread.join(10)

    def cut_all(self) -> None:
        """End every connection that there is."""
        with self._lock:
            sockets = list(self._open)
        end(*sockets)

    def _took(self, sock: socket.socket) -> None:
        """Serve a connection, in a thread of its own, to its end."""
        raise NotImplementedError

    # --- for those that are built on it ----------------------------------------------------------------------------

    def _keep(self, *sockets: socket.socket) -> None:
        """Note what is to be ended with this one; end it where that is over."""
        with self._lock:
            self._open.update(sockets)
        if self._ended.is_set():
            end(*sockets)

    def _let_go(self, *sockets: socket.socket) -> None:
        """Close what has ended."""
        with self._lock:
            self._open.difference_update(sockets)
        for sock in sockets:
            sock.close()

    def _spawn(self, target: Callable[..., object], *arguments: Any) -> threading.Thread:
        thread = threading.Thread(target=target, args=arguments, name=type(self).__name__.lower(), daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _to_redis(self, url: str) -> socket.socket:
        """Return a connection to Redis. Raises OSError."""
        parts = urlsplit(url)
        sock = self._sized(socket.socket(socket.AF_UNIX if parts.scheme == "unix" else socket.AF_INET))
        try:
            sock.connect(parts.path if parts.scheme == "unix" else (parts.hostname or HOST, parts.port or 6379))
        except OSError:
            sock.close()
            raise
        return sock

    def _sized(self, sock: socket.socket) -> socket.socket:
        if self._buffer_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer_bytes)
        return sock

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                sock = self._listening.accept()[0]
            except OSError:
                continue
            self._keep(sock)
            self._spawn(self._took, sock)


def end(*sockets: socket.socket) -> None:
    """End connections both ways; whatever waits for them wakes."""
    for sock in sockets:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
