"""A proxy between a role and Redis that knows the protocol: it can spoil the reply to one named request.

Two threads a connection, one each way. `strike("claim", "cut")` lets Redis do the next claim, and loses its reply;
`slow` delays everything; `dark` swallows all bytes both ways, as a cut cable does.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from simpledist.embedded import HOST
from tests.faults.resp import message_end, name_of

Spoiling = Literal["cut", "swallow", "truncate", "garble", "foreign", "delay", "refuse"]
"""What happens to a reply: lost with the connection; lost without a sign; half of it, then the end of the connection;
its first bytes damaged; replaced by a web server's page; late by `seconds`; replaced by an error."""


@dataclass
class Plan:
    """The next `times` replies to a request of this name are spoiled."""

    name: str
    spoiling: Spoiling
    times: int
    seconds: float


@dataclass(eq=False)
class Pair:
    """One connection through the proxy; Redis answers its requests in order."""

    client: socket.socket
    server: socket.socket
    asked: deque[str] = field(default_factory=deque[str])

    def end(self) -> None:
        for sock in (self.client, self.server):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class Proxy:
    """Use it in a `with` block, and give `url` to the role that shall suffer."""

    def __init__(self, redis_url: str) -> None:
        self._redis_url = redis_url
        self._listening = socket.create_server((HOST, 0))
        self._lock = threading.Lock()
        self._plans: list[Plan] = []
        self._pairs: set[Pair] = set()
        self._threads: list[threading.Thread] = []
        self._slow_seconds = 0.0
        self._dark = False
        self._forgotten: set[socket.socket] = set()
        self._ended = threading.Event()
        self.url = f"redis://{HOST}:{self._listening.getsockname()[1]}/0"
        self.struck: list[str] = []  # the names whose replies were spoiled
        self.seen: list[str] = []  # the names of all requests

    def __enter__(self) -> Proxy:
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

    # --- from the test -------------------------------------------------------------------------------------------

    def strike(self, name: str, spoiling: Spoiling, *, times: int = 1, seconds: float = 0.0) -> None:
        """Spoil the next `times` replies to requests of this name; "*" is any."""
        with self._lock:
            self._plans.append(Plan(name, spoiling, times, seconds))

    @property
    def planned(self) -> int:
        """How many replies are still to be spoiled."""
        return sum(plan.times for plan in self._plans)

    def relent(self) -> None:
        """Nothing planned happens any more, and the cable is whole."""
        with self._lock:
            self._plans.clear()
        was_dark, self._slow_seconds, self._dark = self._dark, 0.0, False
        if was_dark:
            self.cut_all()  # bytes were lost on them

    def slow(self, seconds: float) -> None:
        """Every message takes so long from now on, each way."""
        self._slow_seconds = seconds

    def dark(self) -> None:
        """From now on all bytes are lost, and nobody is told: no end of a connection, no refusal."""
        self._dark = True

    def forget_all(self) -> None:
        """Every connection that there is goes dark, as when a router forgets it; new ones are well."""
        with self._lock:
            self._forgotten |= {sock for pair in self._pairs for sock in (pair.client, pair.server)}

    def cut_all(self) -> None:
        """End every connection that there is."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            pair.end()

    # --- in its threads ------------------------------------------------------------------------------------------

    def _spawn(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, name="proxy", daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                client = self._listening.accept()[0]
            except OSError:
                return
            try:
                server = self._to_redis()
            except OSError:
                client.close()
                continue
            pair = Pair(client, server)
            with self._lock:
                self._pairs.add(pair)
            self._spawn(self._serve, pair)
            if self._ended.is_set():
                pair.end()

    def _to_redis(self) -> socket.socket:
        parts = urlsplit(self._redis_url)
        if parts.scheme != "unix":
            return socket.create_connection((parts.hostname or HOST, parts.port or 6379))
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(parts.path)
        except OSError:
            sock.close()
            raise
        return sock

    def _serve(self, pair: Pair) -> None:
        """Requests in this thread, replies in another; both sockets are closed when both have ended."""
        replies = threading.Thread(target=self._replies, args=(pair,), name="proxy", daemon=True)
        replies.start()
        for message in self._messages(pair.client):
            name = name_of(message)
            self.seen.append(name)
            pair.asked.append(name)
            if not self._send(pair.server, message):
                break
        pair.end()
        replies.join()
        pair.client.close()
        pair.server.close()
        with self._lock:
            self._pairs.discard(pair)

    def _replies(self, pair: Pair) -> None:
        for message in self._messages(pair.server):
            plan = self._plan_for(pair.asked.popleft())
            spoiled = message if plan is None else self._spoil(plan, message)
            ends = plan is not None and plan.spoiling in ("cut", "truncate", "foreign")
            if not self._send(pair.client, spoiled) or ends:
                break
        pair.end()

    def _messages(self, sock: socket.socket) -> Iterator[bytes]:
        """Each whole message of one side, until its end."""
        buffer = bytearray()
        with contextlib.suppress(OSError):
            while data := sock.recv(1 << 20):
                if self._dark or sock in self._forgotten:
                    continue
                buffer += data
                while (end := message_end(buffer)) is not None:
                    message = bytes(buffer[:end])
                    del buffer[:end]
                    if self._slow_seconds:
                        self._ended.wait(self._slow_seconds)
                    yield message

    def _send(self, sock: socket.socket, data: bytes) -> bool:
        if self._dark or sock in self._forgotten:
            return True
        try:
            sock.sendall(data)
        except OSError:
            return False
        return True

    def _plan_for(self, name: str) -> Plan | None:
        with self._lock:
            for plan in self._plans:
                if plan.name in (name, "*"):
                    plan.times -= 1
                    if plan.times <= 0:
                        self._plans.remove(plan)
                    self.struck.append(name)
                    return plan
        return None

    def _spoil(self, plan: Plan, message: bytes) -> bytes:
        if plan.spoiling in ("cut", "swallow"):
            return b""
        if plan.spoiling == "truncate":
            return message[: max(1, len(message) // 2)]
        if plan.spoiling == "garble":
            return os.urandom(4) + message[4:]
        if plan.spoiling == "foreign":
            return b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"
        if plan.spoiling == "refuse":
            return b"-NOPERM this user has no permissions to run this command\r\n"
        self._ended.wait(plan.seconds)
        return message
