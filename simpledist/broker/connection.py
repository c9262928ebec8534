"""One redis-py connection with our rules instead of the library's, and its errors as ours.

Used by link.py and sentinel.py, which own what is made here. redis-py reads the URL and makes the socket; what is sent
and read on it is link.py's.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from importlib import import_module
from typing import Any, cast

import redis
import redis.exceptions
from redis import RedisError, ResponseError, TimeoutError
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.retry import Retry

from simpledist.config import url_options
from simpledist.errors import RedisDown, RedisRefused

__all__ = [
    "NoScript",
    "RedisError",
    "ResponseError",
    "TimeoutError",
    "connection_to",
    "meaning_of",
    "packed",
    "translated",
    "unopened",
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


def connection_to(url: str, *, name: str, seconds: float) -> Any:
    """Return one that is not connected; each step has `seconds`. Raises RedisRefused: the URL cannot be used."""
    return _connection(url, {"client_name": name}, seconds)


def unopened(url: str, *, name: str, seconds: float) -> tuple[Any, list[tuple[str, ...]]]:
    """Return a connection that only connects, and the commands that then open it: who we are, our name, the database.

    redis-py would wait for each of their answers, and each byte of an answer may take `seconds`.
    """
    connection = _connection(url, {"redis_connect_func": _greets_nobody}, seconds)
    user: str | None = getattr(connection, "username", None)
    password: str | None = getattr(connection, "password", None)
    opening: list[tuple[str, ...]] = []
    if user or password:
        opening.append(("AUTH", *([user] if user else []), password or ""))
    if connection.db:
        opening.append(("SELECT", str(connection.db)))
    return connection, [*opening, ("CLIENT", "SETNAME", name)]


def _greets_nobody(_: Any) -> None:
    """Say nothing to a server that was just connected to."""


def _connection(url: str, own: dict[str, Any], seconds: float) -> Any:
    try:
        url_options.check_files(url.partition("?")[2])
        return _made(url, own, seconds)
    except (redis.RedisError, TypeError, ValueError) as error:
        raise RedisRefused(f"the Redis URL cannot be used: {error}") from error


def _made(url: str, own: dict[str, Any], seconds: float) -> Any:
    pool: Any = cast(Any, redis.ConnectionPool).from_url(url)
    settings: dict[str, Any] = {
        **pool.connection_kwargs,
        "socket_timeout": seconds,
        "socket_connect_timeout": seconds,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_timeout": False,
        "retry_on_error": [],
        "health_check_interval": 0,
        "decode_responses": False,
        "protocol": 2,
        **own,
    }
    if not issubclass(pool.connection_class, redis.UnixDomainSocketConnection):
        settings["socket_keepalive"] = True
        settings["socket_keepalive_options"] = _keepalive()
    settings.pop("connection_class", None)
    # redis-py 8 offers to follow a server that moves, for the pool that we do not use, and demands hiredis for it.
    settings = {name: value for name, value in settings.items() if not name.startswith("maint_notifications")}
    connection: Any = pool.connection_class(**settings)
    # No CLIENT SETINFO: it tells nothing that the name does not, and Redis 6.2 notes it in ACL LOG as a breach.
    connection.lib_name = connection.lib_version = connection.driver_info = None
    return connection


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
