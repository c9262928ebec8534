"""A big value on its way to Redis, or from it, in slices: each is a command with a deadline of its own.

So nothing small waits longer for the connection than one slice takes, no limit of the server is met by what is merely
big (a command, a reply, a buffer), and a value that Redis does not want is refused before all of it has travelled. A
slice is as long as the wire has shown to carry in `policy.SLICE_SECONDS`. The owner of the Link decides what goes
between two steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from simpledist.buffers import BIG_BYTES, Data, Filling, Part, parts_of
from simpledist.errors import RedisDown, RedisRefused
from simpledist.faultpoints import point


class Wire(Protocol):
    """What is needed of a Link."""

    slice_bytes: int

    @property
    def connected(self) -> bool: ...
    def call(self, *command: str | bytes | int) -> Any: ...
    def pipeline(self, commands: Sequence[Sequence[str | bytes | int]]) -> list[Any]: ...
    def send(self, *command: str | bytes | int) -> None: ...
    def send_parts(self, parts: Iterable[Part], size: int, *, replies: int) -> None: ...
    def receive(self) -> Any: ...
    def receive_into(self, room: Filling, size: int) -> Any: ...
    def saw(self, moved_bytes: int, began: float) -> None: ...


class Upload:
    """SET, a step at a time. The slices gather under a key of their own, made by `by_way_of`; the last one gives it its
    name.

    After RedisDown it can go on, on the same Link when that is connected again: it begins again, because no one knows
    what became of the last slice.
    """

    def __init__(self, wire: Wire, key: str, value: Data, lifetime_ms: int, by_way_of: Callable[[], str]) -> None:
        self._wire = wire
        self._key = key
        self._value = value
        self._lifetime_ms = lifetime_ms
        self._by_way_of = by_way_of
        self._gathering = ""  # the key under which the slices gather
        self._rest: Iterator[Part] = iter(())
        self._put_back: Part = b""
        self._sent = 0

    def run(self) -> None:
        """Send all of it."""
        while not self.step():
            pass

    def step(self) -> bool:
        """Send one slice; return whether the value is there."""
        point("upload.slice")
        if not self._sent:
            self._put_back, self._rest = b"", iter(parts_of(self._value))
            self._gathering = self._by_way_of()
        at, self._sent = self._sent, 0  # until it is answered
        size = min(self._wire.slice_bytes, len(self._value) - at)
        began = time.monotonic()
        if size == len(self._value):
            self._send(("SET", self._key), size, ("PX", self._lifetime_ms))
            self._wire.receive()
            self._wire.saw(size, began)
            return True
        if not at:
            self._send(("SET", self._gathering), size, ("PX", self._lifetime_ms))
            self._wire.receive()
        else:
            self._send(("APPEND", self._gathering), size, (), more=("PEXPIRE", self._gathering, self._lifetime_ms))
            try:
                length = self._wire.receive()
            finally:
                if self._wire.connected:
                    self._wire.receive()
            if length != at + size:
                raise RedisDown(f"Redis has lost the first {at} bytes of a value that was sent to it")
        self._wire.saw(size, began)
        if at + size == len(self._value):
            self._name_it()
            return True
        self._sent = at + size
        return False

    def _name_it(self) -> None:
        try:
            self._wire.call("RENAME", self._gathering, self._key)
        except RedisRefused as error:
            if "no such key" not in str(error):
                raise
            raise RedisDown("Redis has lost a value that was sent to it") from error

    def _send(
        self, head: Sequence[str], size: int, tail: Sequence[str | int], *, more: Sequence[str | int] = ()
    ) -> None:
        """Send a command whose last word before `tail` is the next slice, and perhaps one more command behind it."""
        words = [b"$%d\r\n%b\r\n" % (len(word), word) for word in (str(one).encode() for one in head)]
        begin = b"*%d\r\n%b$%d\r\n" % (len(head) + 1 + len(tail), b"".join(words), size)
        end = b"\r\n" + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in (str(one).encode() for one in tail))
        if more:
            behind = [str(one).encode() for one in more]
            end += b"*%d\r\n" % len(behind) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in behind)
        parts = [begin, *self._next(size), end]
        self._wire.send_parts(parts, len(begin) + size + len(end), replies=2 if more else 1)

    def _next(self, size: int) -> Iterator[Part]:
        """Return the next bytes of the value, without copying them."""
        while size:
            part = memoryview(self._put_back or next(self._rest))
            yield part[:size]
            self._put_back = part[size:]
            size -= min(size, len(part))


class Download:
    """GET, a step at a time; `value` is what was there, None if nothing was, or if it went meanwhile.

    `room`: makes room for so many bytes.
    """

    def __init__(self, wire: Wire, key: str, room: Callable[[int], Filling] = Filling) -> None:
        self._wire = wire
        self._key = key
        self._make_room = room
        self._room: Filling | None = None
        self._size = 0
        self._got = 0
        self.value: Data | None = None

    def run(self) -> Data | None:
        """Read all of it."""
        while not self.step():
            pass
        return self.value

    def step(self) -> bool:
        """Read one slice; return whether that was all. After RedisDown it begins again."""
        began = time.monotonic()
        at, self._got = self._got, 0
        if not at:
            end = self._wire.slice_bytes
            length, first = self._wire.pipeline([("STRLEN", self._key), ("GETRANGE", self._key, 0, end - 1)])
            for reply in (length, first):
                if isinstance(reply, Exception):
                    raise reply
            return self._begins(length, first, began)
        assert self._room is not None
        size = min(self._wire.slice_bytes, self._size - at)
        self._wire.send("GETRANGE", self._key, at, at + size - 1)
        if self._wire.receive_into(self._room, size) is not None:
            return True  # it has gone meanwhile
        self._wire.saw(size, began)
        return self._has(at + size)

    def _begins(self, length: int, first: bytes, began: float) -> bool:
        if not length or len(first) == length <= BIG_BYTES:
            self.value = first or None
            return True
        self._wire.saw(len(first), began)
        self._size, self._room = length, self._make_room(length)
        self._room.put(memoryview(first))
        return self._has(len(first))

    def _has(self, got: int) -> bool:
        assert self._room is not None
        if got < self._size:
            self._got = got
            return False
        self.value = self._room.pieces()
        return True
