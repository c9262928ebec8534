"""An exception with everything that hangs on it: what led to it, its notes, and what pickle forgets of it.

`taken_from` makes plain parts of it, `put_together` the exception again. Pickle keeps type, arguments and `__dict__`;
causes, contexts, slots and fields of C (`AttributeError.name`) are kept here. The exceptions stand in one list,
however they refer to each other, so that long chains need no deep stack. Knows no codec.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, NamedTuple, cast

MOST_EXCEPTIONS = 10_000
_NOWHERE = -1
_ABSENT = object()
# Which of CPython's fields are no more than arguments in other words is not asked: what comes back right is not set.
_FIELDS = (MemberDescriptorType, GetSetDescriptorType)


class Facts(NamedTuple):
    """What is known of one exception apart from itself; numbers are positions in the list."""

    cause: int
    context: int
    suppress: bool
    fields: dict[str, Any]


Parts = tuple[list[BaseException], list[Facts]]


def taken_from(error: BaseException) -> Parts:
    """Return the exception and all that it refers to, itself first, and the facts of each. Raises ValueError."""
    found = [error]
    places = {id(error): 0}
    for one in found:
        for other in _linked(one):
            if id(other) not in places:
                places[id(other)] = len(found)
                found.append(other)
        if len(found) > MOST_EXCEPTIONS:
            raise ValueError(f"it leads to more than {MOST_EXCEPTIONS} others")

    def place(one: BaseException | None) -> int:
        return _NOWHERE if one is None else places[id(one)]

    return found, [
        Facts(place(one.__cause__), place(one.__context__), one.__suppress_context__, fields_of(one)) for one in found
    ]


def put_together(parts: Parts) -> BaseException:
    """Return the exception that `taken_from` was given. Raises IndexError and the like where the parts do not fit."""
    found, facts = parts
    for one, (cause, context, suppress, fields) in zip(found, facts, strict=True):
        one.__cause__ = None if cause == _NOWHERE else found[cause]
        one.__context__ = None if context == _NOWHERE else found[context]
        one.__suppress_context__ = suppress
        for name, value in fields.items():
            if getattr(one, name, _ABSENT) is not value:
                _set(one, name, value)
    return found[0]


class Returned:
    """An exception that is not raised but returned: comes back as the exception, with all that hangs on it."""

    def __init__(self, error: BaseException) -> None:
        self._parts = taken_from(error)

    def __reduce__(self) -> tuple[Any, ...]:
        return put_together, (self._parts,)


def lowest_cause(error: BaseException) -> BaseException:
    """Return the exception in the chain of causes that has no cause itself."""
    seen = {id(error)}
    while error.__cause__ is not None and id(error.__cause__) not in seen:
        error = error.__cause__
        seen.add(id(error))
    return error


def fields_of(error: BaseException) -> dict[str, Any]:
    """Return all but the arguments: attributes with notes, slots, and fields of exceptions that are written in C."""
    fields = dict(vars(error))
    for kind in type(error).__mro__[:-1]:
        for name, descriptor in vars(kind).items():
            if not isinstance(descriptor, _FIELDS) or name == "args" or name.startswith("__"):
                continue
            if (value := getattr(error, name, _ABSENT)) is not _ABSENT:
                fields[name] = value
    return fields


def _set(error: BaseException, name: str, value: Any) -> None:
    try:
        setattr(error, name, value)
    except (AttributeError, TypeError):
        return  # a field that only its own code may set: `survives_round_trip` sees that it differs


def _linked(error: BaseException) -> Iterable[BaseException]:
    """Return the exceptions that this one names: its cause and context, its group, its arguments and attributes."""
    for one in (error.__cause__, error.__context__):
        if one is not None:
            yield one
    around: list[Any] = [*error.args, *vars(error).values(), getattr(error, "exceptions", ())]
    for one in around:
        if isinstance(one, BaseException):
            yield one
        elif isinstance(one, (tuple, list)):
            for member in cast("tuple[Any, ...]", one):
                if isinstance(member, BaseException):
                    yield member
