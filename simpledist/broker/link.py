"""One connection to Redis, with our rules instead of the library's.

redis-py re-sends commands by itself since 6.0 and breaks blocking pops by a 5 s socket timeout since 8.0; a re-sent pop
or push is silent loss or duplication. So: no library retries, a deadline for each command (stream.py), and whatever
goes wrong between the send and the full read drops the connection; the verb is then sent again by its role, with its
nonce.
A big value travels in slices (slices.py): nothing waits longer than one of them takes.

Owned by one thread at a time (roles lock or confine it). Every method raises RedisDown or RedisRefused, nothing else.
"""

from __future__ import annotations

import functools
import re
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any, TypeVar

from simpledist import policy
from simpledist.broker import server_owner, shapes
from simpledist.broker.library_stream import LibraryStream
from simpledist.broker.resp import ErrorReply, TooLong, new_reader
from simpledist.broker.stream import Meanwhile, Stream
from simpledist.buffers import Filling, Part
from simpledist.config import sentinel_url
from simpledist.errors import RedisDown, RedisRefused
from simpledist.interruption import by_signal

OLDEST_SERVER = (6, 2)

# The right to bring the text of a script is missing, and not one that the script itself needs.
_NO_EVAL = re.compile(r"NOPERM .*'eval' command")

Argument = str | bytes | memoryview | int | float

R = TypeVar("R")


@functools.cache
def library() -> Any:
    """redis-py, behind connection.py: loaded when it is first needed, for that takes longer than all of ours.

    A program that only wraps functions does without, and so does a worker's child that imports such a module.
    """
    return import_module("simpledist.broker.connection")


class Link:
    """A connection that is either whole or closed; `identity` is `<run id>:<client id>`, or "" where unknown.

    With `stays_here` no key was named: server_owner.py looks whose Redis it is, and refuses another user's socket;
    `warn` is called with what it says of a port.
    With `renews` it connects again by itself before it is used after IDLE_CONNECTION_SECONDS. `meanwhile` is called
    now and then while a command takes long, and may end it by raising. A reply of more than `most_bytes` ends the
    connection, so that no one who writes to Redis fills our memory.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str = "simpledist",
        stays_here: bool = False,
        renews: bool = False,
        most_bytes: int = policy.REPLY_BYTES_MOST,
        warn: Callable[[str], object] = server_owner.log.warning,
        make_connection: Callable[[], Any] | None = None,
    ) -> None:
        self._find_primary: Callable[[], str] | None = None  # asks Sentinels for its URL
        if sentinel_url.names_sentinels(url):
            sentinel = import_module("simpledist.broker.sentinel")
            self._find_primary = sentinel.Sentinels(url, name=name, stays_here=stays_here).primary
        self._url, self._name, self._renews, self._stays_here = url, name, renews, stays_here
        self._make_connection, self._most_bytes, self._warn = make_connection, most_bytes, warn
        self._stream: Stream | LibraryStream | None = None
        self.connected = False  # whether there is a stream, on which we are known: asked many times for each command
        self._number = -1  # the descriptor of its socket, once it was asked for
        self._unread = 0  # replies that were asked for and not read yet
        self._until = float("inf")
        self.meanwhile: Meanwhile | None = None
        self.bring_scripts: Callable[[], None] | None = None  # to a server that lacks one; else each brings its own
        self.slice_bytes = policy.SLICE_BYTES_FIRST  # as the speed of this wire was last seen
        self._trip_seconds = float("inf")  # the quickest way there and back that was seen
        self.identity = ""
        self.version = ""

    @property
    def run_id(self) -> str:
        return self.identity.partition(":")[0]

    @property
    def idle_seconds(self) -> float:
        """Return for how long it has not been used."""
        return 0.0 if self._stream is None else time.monotonic() - self._stream.used_at

    def bound(self, until: float) -> None:
        """Let no command wait beyond this moment (time.monotonic()), whatever the wire does; infinity: as long as each
        may."""
        self._until = until
        if self._stream is not None:
            self._stream.until = until

    def connect(self) -> None:
        """Connect afresh and learn who we are; refuses a Redis older than 6.2.

        Where the URL names Sentinels, they are asked each time, and a Redis that is no primary (yet) is down.
        """
        self.close()
        left = self._until - time.monotonic()
        if left <= 0:
            raise RedisDown("there was no time left to connect to Redis")
        stream, opening = self._dialled(min(policy.COMMAND_TIMEOUT_SECONDS, left))
        stream.until, stream.meanwhile = self._until, self.meanwhile
        try:
            self._do(self._introduce, stream, opening)
        except BaseException:
            stream.close()
            raise
        # Last: what was torn away before it has said who we are, in which database, must send nothing else.
        self._unread, self._number, self._stream = 0, -1, stream
        self.connected = True

    def _introduce(self, stream: Stream | LibraryStream, opening: Sequence[Sequence[Argument]]) -> None:
        """Say who we are, and learn who answers."""
        replication = [("INFO", "replication")] if self._find_primary else []
        commands = [*opening, ("CLIENT", "ID"), ("INFO", "server"), *replication]
        began = time.monotonic()
        replies = library().exchanged(stream, commands, policy.COMMAND_TIMEOUT_SECONDS)
        self._trip_seconds = min(self._trip_seconds, time.monotonic() - began)
        for command, reply in zip(commands, replies, strict=True):
            lasting = isinstance(reply, RedisRefused) and (command[0] in ("AUTH", "SELECT") or "NOAUTH" in str(reply))
            if lasting or isinstance(reply, RedisDown):
                raise reply
        client_id, info = replies[len(opening) : len(opening) + 2]
        facts = facts_of(info)
        self.version = facts.get("redis_version", "")
        if _number(self.version) < OLDEST_SERVER:
            raise RedisRefused(f"Redis {self.version} is too old: simpledist needs 6.2 or newer")
        if replication and facts_of(replies[-1]).get("role", "master") != "master":
            raise RedisDown("the Redis that Sentinel names is still a replica")
        run_id = facts.get("run_id", "")
        self.identity = f"{run_id}:{client_id}" if run_id and isinstance(client_id, int) else ""

    def close(self) -> None:
        self.connected, self._number = False, -1  # first: Ctrl-C may come between the two
        stream, self._stream = self._stream, None
        self.identity = ""
        if stream is not None:
            stream.close()

    def __del__(self) -> None:
        if stream := getattr(self, "_stream", None):
            stream.close()

    def fileno(self) -> int:
        """Return the socket's descriptor, for a selector."""
        if self._number < 0:
            self._number = self._open().fileno()
        return self._number

    # --- commands ------------------------------------------------------------------------------------------------

    def call(self, *command: Argument, timeout: float = policy.COMMAND_TIMEOUT_SECONDS) -> Any:
        """Send one command and read its reply."""
        self.send(*command, timeout=timeout)
        return self._checked(command, self.receive(timeout=timeout))

    def pipeline(
        self, commands: Sequence[Sequence[Argument]], *, timeout: float = policy.COMMAND_TIMEOUT_SECONDS
    ) -> list[Any]:
        """Send many commands at once; a refused one gives its RedisRefused as its reply."""
        stream = self._open(to_send=len(commands))
        self._do(stream.write, self._do(_joined, commands), timeout)
        replies: list[Any] = []
        for command in commands:
            try:
                reply = self.receive(timeout=timeout)
            except RedisRefused as error:
                replies.append(error)
            except TooLong as error:
                error.received = replies
                raise
            else:
                replies.append(self._checked(command, reply))
        return replies

    def send(self, *command: Argument, timeout: float = policy.COMMAND_TIMEOUT_SECONDS) -> None:
        """Send one command; its reply must be read by `receive` before anything else is sent."""
        data = self._do(library().packed, command)
        self.send_packed(data, timeout=timeout)

    def send_packed(self, command: bytes, *, replies: int = 1, timeout: float = policy.COMMAND_TIMEOUT_SECONDS) -> None:
        """Send one or several commands that were `packed` before."""
        stream = self._open(to_send=replies)
        self._do(stream.write, command, timeout)

    def send_parts(self, parts: Iterable[Part], size: int, *, replies: int) -> None:
        """Send commands that come in parts, `size` bytes together."""
        stream = self._open(to_send=replies)
        self._do(stream.write_parts, parts, size, policy.COMMAND_TIMEOUT_SECONDS)

    def receive(self, *, timeout: float = policy.COMMAND_TIMEOUT_SECONDS) -> Any:
        """Read one reply, for at most `timeout` seconds without progress (see stream.py)."""
        stream = self._open()
        reply = self._do(stream.read, timeout)
        return self._answered(reply)

    def receive_within(self, seconds: float) -> tuple[bool, Any]:
        """Read one reply if it comes so soon: (True, reply), or (False, None) and it is still outstanding."""
        stream = self._open()
        came, reply = self._do(stream.read_within, seconds)
        return (True, self._answered(reply)) if came else (False, None)

    def receive_into(self, room: Filling, size: int) -> Any:
        """Read a value of so many bytes into `room`; None where it came, else what came in its place."""
        stream = self._open()
        reply = self._do(stream.fill, room, size, policy.COMMAND_TIMEOUT_SECONDS)
        return self._answered(reply)

    def readable(self) -> bool:
        """Return whether the next reply, or the end, is there. What came with the last reply shows on no poll."""
        stream = self._open()
        return self._do(stream.readable)

    def saw(self, moved_bytes: int, began: float) -> None:
        """Note how many bytes have moved since `began` (time.monotonic()): so fast is this wire."""
        seconds = time.monotonic() - began
        self._trip_seconds = min(self._trip_seconds, seconds)
        self.slice_bytes = policy.next_slice_bytes(self.slice_bytes, moved_bytes, seconds - self._trip_seconds)

    def evaluate(
        self,
        sha: str,
        text: str,
        key: str,
        arguments: Sequence[Argument],
        *,
        timeout: float,
        then: bytes = b"",
    ) -> Any:
        """Run a script by its SHA-1; sends the text only to a server that does not have it.

        Raises RedisDown where our user may not send it: a distributor brings it soon (docs/acl.md).

        `then` is a blocking command, packed, that goes out behind it in one write; its reply is left to be received.
        With one outstanding nothing can be sent any more: a server that does not have the script refuses it.
        """
        data = self._do(library().packed, ("EVALSHA", sha, 1, key, *arguments))
        if then:
            self.send_packed(data + then, replies=2, timeout=timeout)
            return self.receive(timeout=timeout)
        began = time.monotonic() if len(data) >= policy.SLICE_BYTES_LEAST else None
        try:
            self.send_packed(data, timeout=timeout)
            reply = self.receive(timeout=timeout)
        except RedisRefused as error:
            if not isinstance(error, library().NoScript):
                raise
            return self._evaluate_text(sha, text, (1, key, *arguments), timeout)
        if began is not None:
            self.saw(len(data), began)
        return reply

    def _evaluate_text(self, sha: str, text: str, words: Sequence[Argument], timeout: float) -> Any:
        """Run a script that the server did not have."""
        if self.bring_scripts is not None:
            self.bring_scripts()
            try:
                return self.call("EVALSHA", sha, *words, timeout=timeout)
            except RedisRefused as error:
                if not isinstance(error, library().NoScript):
                    raise
        try:
            return self.call("EVAL", text, *words, timeout=timeout)
        except RedisRefused as error:
            if not _NO_EVAL.match(str(error)):
                raise
            raise RedisDown(
                f"Redis lacks a script of ours until a distributor brings it, see docs/acl.md ({error})"
            ) from error

    def _dialled(self, seconds: float) -> tuple[Stream | LibraryStream, Sequence[Sequence[Argument]]]:
        """Return a new stream, and the commands that open it."""
        if self._make_connection is not None:
            return LibraryStream.opened(self._make_connection()), ()
        url = self._find_primary() if self._find_primary is not None else self._url
        sock, opening = library().dialled(url, name=self._name, seconds=seconds)
        if self._stays_here:
            self._check_owner(sock)
        return Stream(sock, new_reader(), self._most_bytes), opening

    def _check_owner(self, sock: socket.socket) -> None:
        """Raise RedisRefused where another user of this machine serves us: nothing was sent yet, no password either."""
        try:
            server_owner.check(sock, self._warn)
        except BaseException:
            sock.close()
            raise

    def _open(self, *, to_send: int = 0) -> Stream | LibraryStream:
        stream = self._stream
        if stream is None:
            raise RedisDown("not connected to Redis")
        if not to_send:
            return stream
        if self._unread:
            # An interrupt came between a send and its receive: that reply would answer the next command.
            self.close()
            raise RedisDown("a reply on this connection was never read")
        if self._renews and time.monotonic() - stream.used_at > policy.IDLE_CONNECTION_SECONDS:
            self.connect()
            stream = self._open()
        self._unread = to_send
        return stream

    def _answered(self, reply: Any) -> Any:
        """Return a reply that was read, or raise what it refuses."""
        self._unread -= 1
        if not isinstance(reply, Exception):
            return reply
        if isinstance(reply, ErrorReply):
            reply = library().meaning_of(str(reply))
        if isinstance(reply, RedisDown):
            self.close()
        if isinstance(reply, (RedisDown, RedisRefused)):
            raise reply
        return reply

    def _checked(self, command: Sequence[Argument], reply: Any) -> Any:
        """Return a reply of the kind that Redis gives to this command; whatever else answers is left at once."""
        if self._make_connection is not None:  # fakeredis has kinds of its own
            return reply
        try:
            return shapes.checked(command, reply)
        except RedisRefused:
            self.close()
            raise

    def _do(self, step: Callable[..., R], *args: Any) -> R:
        """Take a step of a command; what goes wrong in it drops the connection, for half a reply may be on it.

        What a signal handler raises passes as it is: Ctrl-C, or the TimeoutError of an alarm.
        """
        try:
            return step(*args)
        except (RedisDown, RedisRefused):
            self.close()
            raise
        except BaseException as error:
            self.close()
            if not isinstance(error, Exception) or by_signal(error):
                raise
            raise library().translated(error) from error


def _joined(commands: Sequence[Sequence[Argument]]) -> bytes:
    """Return commands as they travel, in one piece."""
    return b"".join(library().packed(tuple(command)) for command in commands)


def packed(*command: Argument) -> bytes:
    """Return a command as it travels, for one that is sent often."""
    return library().packed(command)


def _number(version: str) -> tuple[int, ...]:
    """Return a version to compare; one that cannot be read counts as new enough."""
    try:
        return tuple(int(part) for part in version.split(".")[:2]) if version else OLDEST_SERVER
    except ValueError:
        return OLDEST_SERVER


def evicts(info: Any) -> str:
    """Return the policy by which a full Redis evicts keys, from its `INFO memory`; "" for none, or if it hides that."""
    policy = facts_of(info).get("maxmemory_policy", "noeviction")
    return "" if policy == "noeviction" else policy


def facts_of(info: Any) -> dict[str, str]:
    """Return the facts of an INFO; none if it was refused."""
    if not isinstance(info, bytes):
        return {}
    lines = info.decode("utf-8", "replace").splitlines()
    return {key: value for key, colon, value in (line.partition(":") for line in lines) if colon}
