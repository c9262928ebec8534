"""Why an outcome that could not be had from Redis, or not be read, is made here. Used by outcomes.py."""

from __future__ import annotations

from simpledist.errors import BadEnvelope, RedisDown, RedisRefused, Undecodable, Undeliverable, WrongKey
from simpledist.job import Why

UNREAD = (RedisDown, RedisRefused, TimeoutError, Undeliverable, BadEnvelope, Undecodable)
_WHYS: tuple[tuple[type[Exception], Why], ...] = (
    (WrongKey, "key"),
    (RedisDown, "redis_down"),
    (RedisRefused, "redis_refused"),
    (TimeoutError, "timeout"),
    (Undeliverable, "undeliverable"),
)


def why_unread(error: Exception) -> Why:
    """Return the reason that one of UNREAD is."""
    for kind, why in _WHYS:
        if isinstance(error, kind):
            return why
    return "undecodable"
