"""A stream over a connection of the library, which sends and reads on it: fakeredis' has no socket of its own.

Takes the place of a Stream in link.py, without deadlines: what is in this very process answers at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from simpledist.broker.stream import Meanwhile
from simpledist.buffers import Filling, Part
from simpledist.errors import RedisDown, RedisRefused
from simpledist.interruption import by_signal


class LibraryStream:
    """The methods of Stream, on a connection of redis-py or fakeredis."""

    def __init__(self, connection: Any) -> None:
        self.meanwhile: Meanwhile | None = None
        self.until = float("inf")
        self.used_at = time.monotonic()
        self._connection = connection

    @classmethod
    def opened(cls, connection: Any) -> LibraryStream:
        """Return the stream of a connection, connected. Raises RedisDown or RedisRefused."""
        library: Any = import_module("simpledist.broker.connection")
        try:
            connection.connect()
        except (library.RedisError, OSError, ValueError) as error:
            if by_signal(error):
                raise
            raise library.translated(error) from error
        return cls(connection)

    def close(self) -> None:
        self._connection.disconnect()

    def fileno(self) -> int:
        raise RedisDown("this connection has no descriptor")

    def write(self, data: bytes, _seconds: float) -> None:
        self._connection.send_packed_command([data])

    def write_parts(self, parts: Iterable[Part], _size: int, seconds: float) -> None:
        self.write(b"".join(parts), seconds)

    def read(self, _seconds: float) -> Any:
        """Return the reply; a refusal is returned as what it means."""
        library: Any = import_module("simpledist.broker.connection")
        self.used_at = time.monotonic()
        try:
            return self._connection.read_response()
        except library.ResponseError as error:
            refusal: RedisDown | RedisRefused = library.translated(error)
            return refusal

    def read_within(self, seconds: float) -> tuple[bool, Any]:
        return True, self.read(seconds)

    def readable(self) -> bool:
        return bool(self._connection.can_read(0))

    def fill(self, room: Filling, size: int, seconds: float) -> Any:
        reply = self.read(seconds)
        if isinstance(reply, bytes) and len(reply) == size:
            room.put(memoryview(reply))
            return None
        return reply
