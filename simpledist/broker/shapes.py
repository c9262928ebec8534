"""Table of what Redis answers to each plain command that is used: anything else comes from no Redis, and is refused.

Of verbs (scripts) parsing.py reads the answers. Knows commands and types, no keys and no meaning. Used by link.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from simpledist.errors import RedisRefused

Shape = Callable[[Any, int], bool]  # a reply, and how many words its command has

_BYTES = frozenset((bytes,))
_BYTES_OR_NONE = frozenset((bytes, type(None)))


def _integer(reply: Any, _: int) -> bool:
    return type(reply) is int


def _text(reply: Any, _: int) -> bool:
    return type(reply) is bytes


def _text_or_none(reply: Any, _: int) -> bool:
    return reply is None or type(reply) is bytes


def _texts(reply: Any, _: int) -> bool:
    return type(reply) is list and _BYTES.issuperset(map(type, cast("list[Any]", reply)))


def _popped(reply: Any, words: int) -> bool:
    """Return whether it is an element, or a list of them where the command names a count."""
    return reply is None or (_text(reply, words) if words == 2 else _texts(reply, words))


def _pairs(reply: Any, words: int) -> bool:
    return _texts(reply, words) and len(reply) % 2 == 0


def _fields(reply: Any, words: int) -> bool:
    """Return whether it is a value, or none, for each field that the command names behind its key."""
    return (
        type(reply) is list
        and len(cast("list[Any]", reply)) == words - 2
        and _BYTES_OR_NONE.issuperset(map(type, cast("list[Any]", reply)))
    )


def _clock(reply: Any, words: int) -> bool:
    return _texts(reply, words) and len(reply) == 2 and all(one.isdigit() and len(one) < 16 for one in reply)


def _page(reply: Any, words: int) -> bool:
    if type(reply) is not list or len(cast("list[Any]", reply)) != 2:
        return False
    cursor, found = cast("list[Any]", reply)
    return type(cursor) is bytes and cursor.isdigit() and _texts(found, words)


def _page_of_pairs(reply: Any, words: int) -> bool:
    return _page(reply, words) and len(reply[1]) % 2 == 0


SHAPES: dict[str, Shape] = {
    "TIME": _clock,
    "INFO": _text,
    "GET": _text_or_none,
    "GETRANGE": _text,
    "HGET": _text_or_none,
    "ZSCORE": _text_or_none,
    "HMGET": _fields,
    "HGETALL": _pairs,
    "HKEYS": _texts,
    "HRANDFIELD": _texts,
    "SMEMBERS": _texts,
    "LRANGE": _texts,
    "ZRANGE": _texts,
    "ZREVRANGE": _texts,
    "LPOP": _popped,
    "SCAN": _page,
    "SSCAN": _page,
    "HSCAN": _page_of_pairs,
    **dict.fromkeys(("EXISTS", "HLEN", "SCARD", "PTTL", "STRLEN", "HSTRLEN", "ZCARD"), _integer),
}


def checked(command: Sequence[Any], reply: Any) -> Any:
    """Return a reply that Redis may give to this command. Raises RedisRefused for any other."""
    shape = SHAPES.get(command[0])
    if shape is not None and not shape(reply, len(command)):
        raise RedisRefused(f"what Redis answers to {command[0]} cannot be read: is it a Redis?")
    return reply
