"""A connected socket by redis-py with our rules instead of the library's, and the library's errors as ours.

Used by link.py and sentinel.py, which own what is made here. redis-py reads the URL and knows TLS; which address is
tried, and what is sent and read, is ours.
"""

from __future__ import annotations

import functools
import inspect
import re
import socket
import threading
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, cast

import redis
import redis.connection
import redis.exceptions
from redis import RedisError, ResponseError
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.retry import Retry

from simpledist.broker.resp import ErrorReply
from simpledist.config import url_options
from simpledist.errors import RedisDown, RedisRefused
from simpledist.interruption import by_signal

__all__ = [
    "NoScript",
    "RedisError",
    "ResponseError",
    "dialled",
    "exchanged",
    "meaning_of",
    "packed",
    "translated",
]

# The kernel probes a connection that is idle for so long, and gives it up when no answer comes. What was sent
# and is not acknowledged for LOST_SECONDS is lost as well: the wire is cut, whatever we wait for.
KEEPALIVE_SECONDS, KEEPALIVE_AGAIN_SECONDS, KEEPALIVE_TIMES = 30, 10, 3
LOST_SECONDS = 20


class NoScript(RedisRefused):
    """Redis does not have the script of this SHA-1 (yet)."""


# A tuple of words as a command that travels.
Packing = Callable[[tuple[Any, ...]], bytes]


def _packing_of_library() -> Packing:
    connection: Any = redis.Connection()  # is never connected
    return lambda words: b"".join(connection.pack_command(*words))


def _packing_of_hiredis() -> Packing:
    pack: Packing = cast(Any, import_module("hiredis")).pack_command

    def packed(words: tuple[Any, ...]) -> bytes:
        # Numbers as text: hiredis takes their `repr`, which looks for signals, and crashes where a handler raises then.
        return pack(tuple([str(word) if word.__class__ in _NUMBERS else word for word in words]))

    return packed


_NUMBERS = frozenset((int, float))
# redis-py asks what each word is, and takes three times as long as hiredis; it needs hiredis as little as we do.
packed: Packing
try:
    packed = _packing_of_hiredis()
except ImportError:
    packed = _packing_of_library()

# Replies that mean "not this server, or not now": drop the connection and come again.
_PASSING = (
    "LOADING",
    "BUSY",
    "READONLY",
    "UNBLOCKED",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "NOREPLICAS",
)
_PASSING_CLASSES = (
    redis.ReadOnlyError,
    redis.BusyLoadingError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.MasterDownError,
    redis.exceptions.TryAgainError,
)
# redis-py strips the first word of those errors that it has a class for; denials.py and people go by that word.
_STRIPPED: tuple[tuple[type[Exception], str], ...] = (
    (redis.exceptions.MovedError, "MOVED"),
    (redis.exceptions.AskError, "ASK"),
    (redis.exceptions.MasterDownError, "MASTERDOWN"),
    (redis.exceptions.ClusterDownError, "CLUSTERDOWN"),
    (redis.exceptions.TryAgainError, "TRYAGAIN"),
    (redis.exceptions.ClusterCrossSlotError, "CROSSSLOT"),
    (redis.BusyLoadingError, "LOADING"),
    (redis.ReadOnlyError, "READONLY"),
    (redis.exceptions.NoPermissionError, "NOPERM"),
    (redis.exceptions.OutOfMemoryError, "OOM"),
)
# redis-py calls these a broken connection, but they stay until somebody acts.
_LASTING = ("Invalid Database", "Error setting client name")
# Redis 6.2 puts the error that a script met behind its own words.
_IN_SCRIPT = re.compile(r"^(?:ERR )?Error running script .*?: -(?=[A-Z]+ )")


def dialled(url: str, *, name: str, seconds: float) -> tuple[socket.socket, list[tuple[str, ...]]]:
    """Return a connected socket, and the commands that then open it: who we are, our name, the database.

    redis-py would wait for each of their answers, and each byte of an answer may take `seconds`. Each address of the
    host has `seconds`. Raises RedisDown; RedisRefused where the URL cannot be used.
    """
    try:
        url_options.check_files(url.partition("?")[2])
        read = _read(url)
    except (redis.RedisError, TypeError, ValueError) as error:
        raise RedisRefused(f"the Redis URL cannot be used: {error}") from error
    try:
        sock = _connected(read, seconds)
    except Exception as error:
        if by_signal(error):
            raise
        raise translated(error) from error
    user: str | None = getattr(read, "username", None)
    password: str | None = getattr(read, "password", None)
    opening: list[tuple[str, ...]] = []
    if user or password:
        opening.append(("AUTH", *([user] if user else []), password or ""))
    if read.db:
        opening.append(("SELECT", str(read.db)))
    return sock, [*opening, ("CLIENT", "SETNAME", name)]


def _connected(read: Any, seconds: float) -> socket.socket:
    """Return a socket that is connected to where a URL says.

    redis-py's own loop over addresses takes what a signal handler raises in it, a TimeoutError, for an address that
    does not answer, and goes on to the next.
    """
    if isinstance(read, redis.UnixDomainSocketConnection):
        return _connected_to(read.path, socket.AF_UNIX, 0, seconds)
    failed: OSError | None = None
    found = socket.getaddrinfo(read.host, read.port, read.socket_type, socket.SOCK_STREAM)
    for family, _, protocol, _, address in found:
        try:
            sock = _connected_to(address, family, protocol, seconds)
        except OSError as error:
            if by_signal(error):
                raise
            failed = error
        else:
            return read.wrapped(sock) if isinstance(read, _WithTLS) else sock
    raise failed or OSError(f"{read.host} has no address")


def _connected_to(address: Any, family: int, protocol: int, seconds: float) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM, protocol)
    try:
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _keepalive().items():
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
        sock.settimeout(seconds)
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


class _Given(redis.Connection):
    """A connection that is given its socket by `given`, connected."""

    given = threading.local()

    def _connect(self) -> socket.socket:
        return self.given.sock


class _WithTLS(redis.SSLConnection, _Given):
    """redis-py's TLS over a socket that it is given: it wraps what the next class in line connects."""

    def wrapped(self, sock: socket.socket) -> socket.socket:
        """Return the socket, with TLS spoken on it."""
        self.given.sock = sock
        try:
            return self._connect()
        except BaseException:
            sock.close()
            raise


@functools.lru_cache(maxsize=32)
def _read(url: str) -> Any:
    """Return what redis-py reads in a URL, as a connection of its that is never connected."""
    settings: dict[str, Any] = {
        **_library.parse_url(url),
        "retry": Retry(NoBackoff(), 0),
        "retry_on_timeout": False,
        "retry_on_error": [],
        "health_check_interval": 0,
        "decode_responses": False,
        "protocol": 2,
    }
    settings.pop("max_connections", None)  # of a pool
    if "driver_info" in inspect.signature(_library.AbstractConnection).parameters:
        settings["driver_info"] = None  # else it looks for its own version in all of sys.path
    kind = settings.pop("connection_class", redis.Connection)
    if kind is redis.SSLConnection and settings.get("ssl_cert_reqs") != "none":
        settings.setdefault("ssl_check_hostname", True)  # redis-py 5 takes a certificate for any host
    return (_WithTLS if kind is redis.SSLConnection else kind)(**settings)


_library = cast(Any, redis.connection)


@functools.lru_cache(maxsize=1)
def _keepalive() -> dict[int, int]:
    """Options of TCP, as far as this system has them."""
    wanted = {
        "TCP_KEEPIDLE": KEEPALIVE_SECONDS,
        "TCP_KEEPALIVE": KEEPALIVE_SECONDS,  # its name on macOS
        "TCP_KEEPINTVL": KEEPALIVE_AGAIN_SECONDS,
        "TCP_KEEPCNT": KEEPALIVE_TIMES,
        "TCP_USER_TIMEOUT": LOST_SECONDS * 1000,
    }
    return {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}


def exchanged(stream: Any, commands: Sequence[tuple[Any, ...]], seconds: float) -> list[Any]:
    """Send commands on a new stream and return their replies; of a refused one, what that means."""
    stream.write(b"".join(map(packed, commands)), seconds)
    replies = [stream.read(seconds) for _ in commands]
    return [meaning_of(str(reply)) if isinstance(reply, ErrorReply) else reply for reply in replies]


def meaning_of(text: str) -> RedisDown | RedisRefused:
    """Return what an error of Redis means: try again later (RedisDown), or a person has to act first (RedisRefused).

    Its text is that of Redis: denials.py has the words for people.
    """
    said = _IN_SCRIPT.sub("", text)
    if said.startswith("NOSCRIPT"):
        return NoScript(text)
    if said.startswith(_PASSING):
        return RedisDown(text)
    return RedisRefused(text)


def translated(error: Exception) -> RedisDown | RedisRefused:
    """Return what an error of redis-py, or of a socket, means."""
    text = _text(error)
    if isinstance(error, (redis.AuthenticationError, redis.exceptions.AuthorizationError)):
        return RedisRefused(f"Redis refuses our user or password: {text}")
    if isinstance(error, NoScriptError):
        return NoScript(text)
    if isinstance(error, _PASSING_CLASSES):
        return RedisDown(text)
    if text in _LASTING:
        return RedisRefused(text)
    return meaning_of(text) if isinstance(error, redis.ResponseError) else RedisDown(text)


def _text(error: Exception) -> str:
    """Return an error's own text, with the word of Redis in front of it that redis-py strips."""
    text = str(error) or type(error).__name__
    word = next((word for kind, word in _STRIPPED if isinstance(error, kind)), "")
    return text if not word or text.startswith(word) else f"{word} {text}"
