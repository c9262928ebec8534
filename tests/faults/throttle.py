"""A slow link between a role and Redis: so many bytes a second each way, whichever connection they belong to.

It knows no protocol and holds back little: what it has not carried stays with its sender, as on a real link.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from urllib.parse import urlsplit

from simpledist.embedded import HOST

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


class Throttle:
    """Use it in a `with` block, and give `url` to the role that is to be behind it."""

    def __init__(self, redis_url: str, rate: float) -> None:
        self._redis_url = redis_url
        self._ended = threading.Event()
        self.up, self.down = Direction(rate, self._ended), Direction(rate, self._ended)
        self._listening = socket.socket()
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self._listening.bind((HOST, 0))
        self._listening.listen()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.url = f"redis://{HOST}:{self._listening.getsockname()[1]}/0"

    def __enter__(self) -> Throttle:
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for one in (self._listening, *tuple(self._sockets)):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._listening.close()

    def set_rate(self, rate: float) -> None:
        """So many bytes a second from now on, each way."""
        self.up.rate = self.down.rate = rate

    def _spawn(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, name="throttle", daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                ours = self._listening.accept()[0]
            except OSError:
                continue
            try:
                theirs = self._to_redis()
            except OSError:  # it is away: whoever asks is told so
                ours.close()
                continue
            self._sockets |= {ours, theirs}
            self._spawn(self._serve, ours, theirs)
            if self._ended.is_set():
                ours.shutdown(socket.SHUT_RDWR)

    def _serve(self, ours: socket.socket, theirs: socket.socket) -> None:
        """One way in this thread, the other in a second; both sockets are closed when both have ended."""
        down = threading.Thread(target=self._pump, args=(theirs, ours, self.down), name="throttle", daemon=True)
        down.start()
        self._pump(ours, theirs, self.up)
        down.join()
        self._sockets -= {ours, theirs}
        ours.close()
        theirs.close()

    def _to_redis(self) -> socket.socket:
        parts = urlsplit(self._redis_url)
        sock = socket.socket(socket.AF_UNIX if parts.scheme == "unix" else socket.AF_INET)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        try:
            sock.connect(parts.path if parts.scheme == "unix" else (parts.hostname or HOST, parts.port or 6379))
        except OSError:
            sock.close()
            raise
        return sock

    def _pump(self, source: socket.socket, sink: socket.socket, direction: Direction) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(direction.at_a_time()):
                direction.carry(len(data))
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
