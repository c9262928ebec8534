"""One redis-py connection with our rules instead of the library's, and its errors as ours.

Used by link.py and sentinel.py, which own what is made here. Knows no command.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from typing import Any, cast

import redis
import redis.exceptions
from redis import RedisError, ResponseError, TimeoutError
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.retry import Retry

from simpledist.errors import RedisDown, RedisRefused

__all__ = ["NoScriptError", "RedisError", "ResponseError", "TimeoutError", "connection_to", "packed", "translated"]

# A tuple of words as a command that travels.
Packing = Callable[[tuple[Any, ...]], bytes]


def _packing_of_library() -> Packing:
    connection: Any = redis.Connection()  # is never connected
    return lambda words: b"".join(connection.pack_command(*words))


# redis-py asks what each word is, and takes three times as long as hiredis; it needs hiredis as little as we do.
packed: Packing
try:
    packed = cast(Any, import_module("hiredis")).pack_command
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
# Redis 6.2 puts the error that a script met behind its own words.
_IN_SCRIPT = re.compile(r"Error running script .*?: -(?=[A-Z]+ )")


def connection_to(url: str, *, name: str, seconds: float) -> Any:
    """An unconnected one; `seconds` is its timeout of every step. Raises RedisRefused: the URL cannot be used."""
    try:
        return _made(url, name, seconds)
    except (redis.RedisError, TypeError, ValueError) as error:
        raise RedisRefused(f"the Redis URL cannot be used: {error}") from error


def _made(url: str, name: str, seconds: float) -> Any:
    pool: Any = cast(Any, redis.ConnectionPool).from_url(url)
    settings: dict[str, Any] = {
        **pool.connection_kwargs,
        "socket_timeout": seconds,
        "socket_connect_timeout": seconds,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_timeout": False,
        "retry_on_error": [],
        "health_check_interval": 0,
        "client_name": name,
        "decode_responses": False,
        "protocol": 2,
    }
    if not issubclass(pool.connection_class, redis.UnixDomainSocketConnection):
        settings["socket_keepalive"] = True
    settings.pop("connection_class", None)
    # redis-py 8 offers to follow a server that moves, for the pool that we do not use, and demands hiredis for it.
    settings = {name: value for name, value in settings.items() if not name.startswith("maint_notifications")}
    connection: Any = pool.connection_class(**settings)
    # No CLIENT SETINFO: it tells nothing that the name does not, and Redis 6.2 notes it in ACL LOG as a breach.
    connection.lib_name = connection.lib_version = connection.driver_info = None
    return connection


def translated(error: Exception) -> RedisDown | RedisRefused:
    """Whether to come again (RedisDown), or somebody has to act first (RedisRefused)."""
    text = str(error) or type(error).__name__
    if isinstance(error, (redis.AuthenticationError, redis.exceptions.AuthorizationError)):
        return RedisRefused(f"Redis refuses our user or password: {text}")
    if isinstance(error, redis.ResponseError):
        # redis-py strips the first word of those errors that it has a class for.
        if _IN_SCRIPT.sub("", text).startswith(_PASSING) or isinstance(error, _PASSING_CLASSES):
            return RedisDown(text)
        return RedisRefused(text)
    return RedisDown(text)
