"""One connection to Redis, with our rules instead of the library's.

redis-py re-sends commands by itself since 6.0 and breaks blocking pops by a 5 s socket timeout since 8.0; a re-sent pop
or push is silent loss or duplication. So: no library retries, a timeout for each call, and whatever goes wrong between
the send and the full read drops the connection; the verb is then sent again by its role, with its nonce.

Owned by one thread at a time (roles lock or confine it). Every method raises RedisDown or RedisRefused, nothing else.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from simpledist import sentinel_url
from simpledist.errors import RedisDown, RedisRefused
from simpledist.pieces import BIG_BYTES, Data, Filling, parts_of

if TYPE_CHECKING:
    from simpledist.broker.sentinel import Sentinels

# A call whose budget is spent while Redis hangs is to end within 2 s after it: what it waits for takes less than that.
COMMAND_TIMEOUT_SECONDS = 1.5
BIG_TIMEOUT_SECONDS = 10.0
OLDEST_SERVER = (6, 2)

_LINE_BYTES = 32  # the longest line in front of a value

Argument = str | bytes | memoryview | int | float


def library() -> Any:
    """redis-py, behind connection.py: loaded when it is first needed, for that takes longer than all of ours.

    A program that only wraps functions does without, and so does a worker's child that imports such a module.
    """
    return import_module("simpledist.broker.connection")


class Link:
    """A connection that is either whole or closed; `identity` is `<run id>:<client id>`, or "" where unknown."""

    def __init__(
        self,
        url: str,
        *,
        name: str = "simpledist",
        stays_here: bool = False,
        make_connection: Callable[[], Any] | None = None,
    ) -> None:
        self._sentinels: Sentinels | None = None
        if sentinel_url.names_sentinels(url):
            self._sentinels = import_module("simpledist.broker.sentinel").Sentinels(
                url, name=name, stays_here=stays_here
            )
        self._url, self._name = url, name
        self._make_connection = make_connection or self._connection_now
        self._connection: Any = None
        self._timeout = COMMAND_TIMEOUT_SECONDS
        self._unread = 0  # replies that were asked for and not read yet
        self.identity = ""
        self.version = ""

    @property
    def connected(self) -> bool:
        return self._connection is not None

    @property
    def run_id(self) -> str:
        return self.identity.partition(":")[0]

    def connect(self) -> None:
        """Connect afresh and learn who we are; refuses a Redis older than 6.2.

        Where the URL names Sentinels, they are asked each time, and a Redis that is no primary (yet) is down.
        """
        self.close()
        connection = self._make_connection()
        try:
            connection.connect()
        except (library().RedisError, OSError, ValueError) as error:
            raise library().translated(error) from error
        except BaseException:  # Ctrl-C
            connection.disconnect()
            raise
        self._connection = connection
        self._timeout = COMMAND_TIMEOUT_SECONDS
        self._unread = 0
        client_id, info, *replication = self.pipeline(
            [("CLIENT", "ID"), ("INFO", "server"), *([("INFO", "replication")] if self._sentinels else [])]
        )
        facts = facts_of(info)
        self.version = facts.get("redis_version", "")
        if _number(self.version) < OLDEST_SERVER:
            version = self.version
            self.close()
            raise RedisRefused(f"Redis {version} is too old: simpledist needs 6.2 or newer")
        if replication and facts_of(replication[0]).get("role", "master") != "master":
            self.close()
            raise RedisDown("the Redis that Sentinel names is still a replica")
        run_id = facts.get("run_id", "")
        self.identity = f"{run_id}:{client_id}" if run_id and isinstance(client_id, int) else ""

    def close(self) -> None:
        connection, self._connection = self._connection, None
        self.identity = ""
        if connection is not None:
            try:
                connection.disconnect()
            except (library().RedisError, OSError):
                return

    def fileno(self) -> int:
        """The socket's descriptor, for a selector."""
        if self._connection is None or self._connection._sock is None:
            raise RedisDown("not connected to Redis")
        return self._connection._sock.fileno()

    def call(self, *command: Argument, timeout: float = COMMAND_TIMEOUT_SECONDS) -> Any:
        """Send one command and read its reply."""
        self.send(*command, timeout=timeout)
        return self.receive(timeout=timeout)

    def pipeline(
        self, commands: Sequence[Sequence[Argument]], *, timeout: float = COMMAND_TIMEOUT_SECONDS
    ) -> list[Any]:
        """Send many commands at once; a refused one gives its RedisRefused as its reply."""
        connection = self._open(timeout, to_send=len(commands))
        try:
            _write(connection, b"".join(library().packed(tuple(command)) for command in commands))
        except BaseException as error:
            raise self._broken(error) from error
        replies: list[Any] = []
        for _ in commands:
            try:
                replies.append(self.receive(timeout=timeout))
            except RedisRefused as error:
                replies.append(error)
        return replies

    def send(self, *command: Argument, timeout: float = COMMAND_TIMEOUT_SECONDS) -> None:
        """Send one command; its reply must be read by `receive` before anything else is sent."""
        try:
            data = library().packed(command)
        except BaseException as error:
            raise self._broken(error) from error
        self.send_packed(data, timeout=timeout)

    def send_packed(self, command: bytes, *, timeout: float = COMMAND_TIMEOUT_SECONDS) -> None:
        """The same of one that was `packed` before."""
        connection = self._open(timeout, to_send=1)
        try:
            _write(connection, command)
        except BaseException as error:
            raise self._broken(error) from error

    def receive(self, *, timeout: float = COMMAND_TIMEOUT_SECONDS) -> Any:
        """Read one reply, for at most `timeout` seconds of silence."""
        connection = self._open(timeout)
        try:
            reply = connection.read_response()
            self._unread -= 1
            return reply
        except library().ResponseError as error:
            self._unread -= 1
            refusal = library().translated(error)
            if isinstance(refusal, RedisDown):
                self.close()
            raise refusal from error
        except BaseException as error:
            raise self._broken(error) from error

    def receive_within(self, seconds: float) -> tuple[bool, Any]:
        """Read one reply if it comes so soon: (True, reply), or (False, None) and it is still outstanding."""
        connection = self._open(seconds)
        try:
            reply = connection.read_response(disconnect_on_error=False)
        except library().TimeoutError:
            return False, None
        except BaseException as error:
            raise self._broken(error) from error
        self._unread -= 1
        return True, reply

    def readable(self) -> bool:
        """Whether the next reply, or the connection's end, is there: what came with the last one shows on no poll."""
        connection = self._open(COMMAND_TIMEOUT_SECONDS)
        try:
            return connection.can_read(0)  # old versions leave the timeout as it was made: as it is now
        except BaseException as error:
            raise self._broken(error) from error

    def put(self, key: str, value: Data, lifetime_ms: int) -> None:
        """SET a big value that is forgotten after so long; it is sent as it lies, the library would copy it twice."""
        connection = self._open(BIG_TIMEOUT_SECONDS, to_send=1)
        sock = getattr(connection, "_sock", None)
        try:
            if not isinstance(sock, socket.socket):
                connection.send_command("SET", key, bytes(value), "PX", lifetime_ms)
            else:
                name, lifetime = key.encode(), str(lifetime_ms).encode()
                sock.sendall(b"*5\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n" % (len(name), name, len(value)))
                for part in parts_of(value):
                    sock.sendall(part)
                sock.sendall(b"\r\n$2\r\nPX\r\n$%d\r\n%b\r\n" % (len(lifetime), lifetime))
        except BaseException as error:
            raise self._broken(error) from error
        self.receive(timeout=BIG_TIMEOUT_SECONDS)

    def fetch(self, key: str) -> Data | None:
        """GET a value, which lands in pieces if it is big."""
        self.send("GET", key, timeout=BIG_TIMEOUT_SECONDS)
        connection = self._open(BIG_TIMEOUT_SECONDS)
        sock = getattr(connection, "_sock", None)
        # What is no big value (an error, nothing, a small one; TLS, where one cannot peek) is the library's to read.
        if type(sock) is not socket.socket:
            return self.receive(timeout=BIG_TIMEOUT_SECONDS)
        try:
            line, end, _ = sock.recv(_LINE_BYTES, socket.MSG_PEEK).partition(b"\r\n")
            if not end or not line.startswith(b"$") or int(line[1:]) <= BIG_BYTES:
                return self.receive(timeout=BIG_TIMEOUT_SECONDS)
            sock.recv(len(line) + len(end))
            value = Filling(int(line[1:]))
            while not value.full:
                value.filled(_some(sock.recv_into(value.rest())))
            for _ in end:
                _some(len(sock.recv(1)))
            self._unread -= 1
            return value.pieces()
        except (RedisDown, RedisRefused):
            raise
        except BaseException as error:
            raise self._broken(error) from error

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

        `then` is a blocking command, packed, that goes out behind it in one write; its reply is left to be received.
        With one outstanding nothing can be sent any more: a server that does not have the script refuses it.
        """
        if then:
            connection = self._open(timeout, to_send=2)
            try:
                _write(connection, library().packed(("EVALSHA", sha, 1, key, *arguments)) + then)
            except BaseException as error:
                raise self._broken(error) from error
            return self.receive(timeout=timeout)
        try:
            return self.call("EVALSHA", sha, 1, key, *arguments, timeout=timeout)
        except RedisRefused as error:
            if not isinstance(error.__cause__, library().NoScriptError):
                raise
        return self.call("EVAL", text, 1, key, *arguments, timeout=timeout)

    def _connection_now(self) -> Any:
        url = self._sentinels.primary() if self._sentinels is not None else self._url
        return library().connection_to(url, name=self._name, seconds=COMMAND_TIMEOUT_SECONDS)

    def _open(self, timeout: float, *, to_send: int = 0) -> Any:
        if self._connection is None:
            raise RedisDown("not connected to Redis")
        if to_send and self._unread:
            # An interrupt came between a send and its receive: that reply would answer the next command.
            self.close()
            raise RedisDown("a reply on this connection was never read")
        self._unread += to_send
        if timeout != self._timeout:
            sock = getattr(self._connection, "_sock", None)
            if isinstance(sock, socket.socket):
                sock.settimeout(timeout)
            self._timeout = timeout
        return self._connection

    def _broken(self, error: BaseException) -> BaseException:
        """Drop the connection: half a reply may be on it. KeyboardInterrupt and its like pass through."""
        self.close()
        return library().translated(error) if isinstance(error, Exception) else error


def packed(*command: Argument) -> bytes:
    """A command as it travels, for one that is sent often."""
    return library().packed(command)


def _write(connection: Any, data: bytes) -> None:
    sock = getattr(connection, "_sock", None)
    if isinstance(sock, socket.socket):
        sock.sendall(data)
    else:
        connection.send_packed_command([data])


def _some(count: int) -> int:
    if not count:
        raise ConnectionError("the connection ended within a value")
    return count


def _number(version: str) -> tuple[int, ...]:
    """A version to compare; one that cannot be read counts as new enough."""
    try:
        return tuple(int(part) for part in version.split(".")[:2]) if version else OLDEST_SERVER
    except ValueError:
        return OLDEST_SERVER


def evicts(info: Any) -> str:
    """By which policy a full Redis throws keys away, from its `INFO memory`; "" for none, and where it hides that."""
    policy = facts_of(info).get("maxmemory_policy", "noeviction")
    return "" if policy == "noeviction" else policy


def facts_of(info: Any) -> dict[str, str]:
    """The facts of an INFO; none where it was refused."""
    if not isinstance(info, bytes):
        return {}
    lines = info.decode("utf-8", "replace").splitlines()
    return {key: value for key, colon, value in (line.partition(":") for line in lines) if colon}
