"""Exceptions that say more about the machine, or the process, than about the function that raised them.

A worker may be short of memory, lack a module, or have a smaller recursion limit than the caller: at home the function
would have come to another outcome. Such an exception is never a caller's outcome: the call runs at the client, under
the client's own limits. Pure; asked by running.py.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

_OF_THE_MACHINE = (MemoryError, ImportError, RecursionError)
_FULL = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOSPC, errno.EDQUOT, errno.ENOBUFS))
_MOST_EXCEPTIONS = 100  # of one chain are looked at


def limit_of_the_machine(error: BaseException) -> BaseException | None:
    """Return the exception in the chain of `error` that another process might not have met, None if there is none.

    The chain counts too: `except RecursionError: raise ValueError(n)` tells of the same limit.
    """
    return next((one for one in _chain(error) if _is_a_limit(one)), None)


def _is_a_limit(error: BaseException) -> bool:
    if isinstance(error, _OF_THE_MACHINE):
        return True
    if isinstance(error, OSError):
        return error.errno in _FULL
    kind = type(error)
    if kind is ValueError:  # sys.set_int_max_str_digits
        text = _text(error)
        return text.startswith("Exceeds the limit (") and "integer string conversion" in text
    return kind is RuntimeError and _text(error).startswith("can't start new thread")


def _text(error: BaseException) -> str:
    return error.args[0] if error.args and isinstance(error.args[0], str) else ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield every exception that led to this one, and those in a group."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting and len(seen) < _MOST_EXCEPTIONS:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        members: Any = getattr(one, "exceptions", ())
        waiting += (one.__context__, one.__cause__)
        if isinstance(members, tuple):
            waiting += (member for member in members if isinstance(member, BaseException))  # pyright: ignore
