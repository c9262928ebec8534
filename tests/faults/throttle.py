"""A slow link between a role and Redis: so many bytes a second each way, whichever connection they belong to.

It knows no protocol and holds back little: what it has not carried stays with its sender, as on a real link.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from tests.faults.listening import Listening, end

BUFFER_BYTES = 16 * 1024
CARRIED_BYTES = 4096  # at a time
WAIT_SECONDS = 2.0  # the longest wait for a turn, so that a link that becomes fast again soon is


class Direction:
    """One way of the link; `rate` may change at any time, 0 is a link as fast as this machine."""

    def __init__(self, rate: float, ended: threading.Event) -> None:
        self.rate = rate
        self.carried = 0
        self._ended = ended
        self._lock = threading.Lock()
        self._free_at = 0.0

    def at_a_time(self) -> int:
        """How many bytes are carried together: byte by byte where one takes long."""
        return max(1, min(CARRIED_BYTES, round(self.rate / 20))) if self.rate else CARRIED_BYTES

    def carry(self, size: int) -> None:
        """Return once so many bytes have had their turn."""
        with self._lock:
            rate = self.rate
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + (size / rate if rate else 0.0)
            due = min(self._free_at, now + WAIT_SECONDS) - now
            self.carried += size
        if due > 0:
            self._ended.wait(due)


class Throttle(Listening):
    """The link to the Redis at a URL."""

    def __init__(self, redis_url: str, rate: float) -> None:
        super().__init__(BUFFER_BYTES)
        self._redis_url = redis_url
        self.up, self.down = Direction(rate, self._ended), Direction(rate, self._ended)

    def set_rate(self, rate: float) -> None:
        """So many bytes a second from now on, each way."""
        self.up.rate = self.down.rate = rate

    def _took(self, sock: socket.socket) -> None:
        """One way in this thread, the other in a second; both sockets are closed when both have ended."""
        try:
            redis = self._to_redis(self._redis_url)
        except OSError:  # it is away: the role hears that
            self._let_go(sock)
            return
        self._keep(redis)
        down = self._spawn(self._pump, redis, sock, self.down)
        self._pump(sock, redis, self.up)
        down.join()
        self._let_go(sock, redis)

    def _pump(self, source: socket.socket, sink: socket.socket, direction: Direction) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(direction.at_a_time()):
                direction.carry(len(data))
                sink.sendall(data)
        end(source, sink)
