"""A server that speaks just enough of the Redis protocol to misbehave as a test wants: half replies, silence."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, cast

import hiredis

from simpledist.broker import Link

INFO = b"run_id:abc\r\nredis_version:7.0.0\r\n"


def bulk(data: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(data), data)


class ScriptedServer:
    """Answers each command by `replies` (first words -> raw bytes; None: not at all), else +OK; `seen` lists them.

    A reply that is cut short, and one that ends with HANG_UP, is followed by the end of the connection. At each PAUSE
    in a reply it waits a moment; one that `drips` sends what is longer than a line byte by byte.
    """

    HANG_UP = b"<hang up>"
    PAUSE = b"<pause>"
    PAUSE_SECONDS = 0.15

    def __init__(self, replies: Mapping[str, bytes | None], *, drips: bool = False) -> None:
        self._drips = drips
        self._ended = threading.Event()
        self._replies = {"CLIENT ID": b":7\r\n", "INFO": bulk(INFO), **replies}
        self.seen: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for one in (self._listener, *self._connections):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # wakes the thread, which closing would not
        self._thread.join()
        for one in (self._listener, *self._connections):
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            try:
                self._serve(connection)
            except OSError:
                continue

    def _serve(self, connection: socket.socket) -> None:
        reader = hiredis.Reader()
        while data := connection.recv(65536):
            reader.feed(data)
            while (command := cast("list[bytes] | bool", reader.gets())) is not False:
                assert isinstance(command, list)
                words: list[str] = [word.decode() for word in command]
                self.seen.append(" ".join(words))
                name = " ".join(words[:2]) if " ".join(words[:2]) in self._replies else words[0]
                reply: Any = self._replies.get(name, b"+OK\r\n")
                if reply is None:
                    continue
                self._send(connection, reply.removesuffix(self.HANG_UP))
                if reply.endswith(self.HANG_UP):
                    connection.shutdown(socket.SHUT_RDWR)
                    return

    def _send(self, connection: socket.socket, reply: bytes) -> None:
        if self._drips and len(reply) > 64:
            reply = self.PAUSE.join(bytes([byte]) for byte in reply)
        for number, part in enumerate(reply.split(self.PAUSE)):
            if number and self._ended.wait(self.PAUSE_SECONDS):
                return
            connection.sendall(part)


def connected(server: ScriptedServer) -> Link:
    """Return a link to the server, which has forgotten what the link said to connect."""
    link = Link(server.url, name="tests")
    link.connect()
    server.seen.clear()
    return link
