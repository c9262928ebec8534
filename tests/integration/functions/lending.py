"""Functions of the tests of shared objects: what they get, how often it was decoded, and what they do to it."""

from __future__ import annotations

import os
import signal
import zlib
from typing import Any, cast

from simpledist import shipped

_decoded = 0


class Model:
    """Counts, in each process, how often one of it was decoded."""

    def __init__(self, rows: list[int], padding: bytes = b"") -> None:
        self.rows = rows
        self.padding = padding

    def __reduce__(self) -> Any:
        return _made, (self.rows, self.padding)


class Plain:
    """Something that takes weak references."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _made(rows: list[int], padding: bytes) -> Model:
    global _decoded
    _decoded += 1
    return Model(rows, padding)


def predict(model: Model, x: int) -> tuple[int, int, int, int]:
    """Return the value, and of this process its id, how often a model was decoded, and the id of this one."""
    return model.rows[x % len(model.rows)], os.getpid(), _decoded, id(model)


def total(*parts: Any, **named: Any) -> int:
    """Return the sum of all numbers in there, at any depth."""
    return sum(map(_sum, (*parts, *named.values())))


def _sum(value: Any) -> int:
    if isinstance(value, int):
        return value
    if isinstance(value, Model):
        return sum(value.rows)
    if isinstance(value, Plain):
        return _sum(value.value)
    if isinstance(value, bytes):
        return len(value)
    items = cast("Any", value.values() if isinstance(value, dict) else value)
    return sum(_sum(int(one) if not isinstance(one, (int, list, tuple, dict, Model, bytes)) else one) for one in items)


def write(array: Any) -> None:
    array[0] = 1


def grow(rows: list[int]) -> int:
    rows.append(1)
    return len(rows)


def are_same(one: Any, other: Any) -> bool:
    return one is other


def identity(value: Any) -> int:
    return id(value)


def kills_workers(value: Any) -> int:
    """End the process, where that is a worker's."""
    if shipped.on_worker:
        os.kill(os.getpid(), signal.SIGKILL)
    return _sum(value)


def raised(array: Any, by: int = 1) -> tuple[float, int]:
    """Change the array in place; return what its first number is then, and the id of this process."""
    array[0] += by
    return float(array[0]), os.getpid()


def described(*values: Any) -> list[tuple[str, bool | None, int, int]]:
    """Return of each its type, whether it can be written to, its length, and a hash of its bytes."""
    return [_described(one) for one in values]


def _described(value: Any) -> tuple[str, bool | None, int, int]:
    flags = getattr(value, "flags", None)
    return type(value).__name__, None if flags is None else flags.writeable, len(value), zlib.crc32(bytes(value))


def identity_here(value: Any) -> tuple[int, int]:
    return os.getpid(), id(value)
