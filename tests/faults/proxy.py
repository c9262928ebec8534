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

from tests.faults.listening import Listening, end
from tests.faults.resp import name_of, whole_messages

Spoiling = Literal["cut", "swallow", "truncate", "garble", "foreign", "delay", "refuse"]
"""What happens to a reply: lost with the connection; lost without a sign; half of it, then the end of the connection;
its first bytes damaged; replaced by a web server's page; late by `seconds`, or `until` then; replaced by an error."""


@dataclass
class Plan:
    """The next `times` replies to a request of this name are spoiled."""

    name: str
    spoiling: Spoiling
    times: int
    seconds: float
    until: threading.Event


@dataclass(eq=False)
class Pair:
    """One connection through the proxy; Redis answers its requests in order."""

    client: socket.socket
    server: socket.socket
    asked: deque[str] = field(default_factory=deque[str])


class Proxy(Listening):
    """Between a role that shall suffer and the Redis at a URL."""

    def __init__(self, redis_url: str) -> None:
        super().__init__()
        self._redis_url = redis_url
        self._plans: list[Plan] = []
        self._slow_seconds = 0.0
        self._dark = False
        self._forgotten: set[socket.socket] = set()
        self.struck: list[str] = []  # the names whose replies were spoiled
        self.seen: list[str] = []  # the names of all requests

    # --- from the test -------------------------------------------------------------------------------------------

    def strike(
        self,
        name: str,
        spoiling: Spoiling,
        *,
        times: int = 1,
        seconds: float = 0.0,
        until: threading.Event | None = None,
    ) -> None:
        """Spoil the next `times` replies to requests of this name; "*" is any."""
        with self._lock:
            self._plans.append(Plan(name, spoiling, times, seconds, until or self._ended))

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
        """From now on all bytes are lost, and no side learns of it: no end of a connection, no refusal."""
        self._dark = True

    def forget_all(self) -> None:
        """Every connection that there is goes dark, as when a router forgets it; new ones are well."""
        with self._lock:
            self._forgotten |= self._open

    # --- in its threads ------------------------------------------------------------------------------------------

    def _took(self, sock: socket.socket) -> None:
        """Requests in this thread, replies in another; both sockets are closed when both have ended."""
        try:
            pair = Pair(sock, self._to_redis(self._redis_url))
        except OSError:
            self._let_go(sock)
            return
        self._keep(pair.server)
        replies = self._spawn(self._replies, pair)
        for message in self._messages(pair.client):
            name = name_of(message)
            self.seen.append(name)
            pair.asked.append(name)
            if not self._send(pair.server, message):
                break
        end(pair.client, pair.server)
        replies.join()
        self._let_go(pair.client, pair.server)

    def _replies(self, pair: Pair) -> None:
        for message in self._messages(pair.server):
            plan = self._plan_for(pair.asked.popleft())
            spoiled = message if plan is None else self._spoil(plan, message)
            ends = plan is not None and plan.spoiling in ("cut", "truncate", "foreign")
            if not self._send(pair.client, spoiled) or ends:
                break
        end(pair.client, pair.server)

    def _messages(self, sock: socket.socket) -> Iterator[bytes]:
        """Each whole message of one side, until its end."""
        for message in whole_messages(self._heard(sock)):
            if self._slow_seconds:
                self._ended.wait(self._slow_seconds)
            yield message

    def _heard(self, sock: socket.socket) -> Iterator[bytes]:
        with contextlib.suppress(OSError):
            while data := sock.recv(1 << 20):
                if not self._dark and sock not in self._forgotten:
                    yield data

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
        plan.until.wait(plan.seconds)
        return message
