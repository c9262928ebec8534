"""Exceptions that are hard to send: those that change on the way, say nothing, or hold what cannot travel."""

from __future__ import annotations

from typing import Any


class Plain(Exception):
    pass


class Trap(Exception):
    """The classic: its __init__ wants other arguments than it passes on."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code, self.reason = code, reason


class Rewriter(Exception):
    """Comes back without an error, and changed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no such {name}")


class Placed(Exception):
    __slots__ = ("where",)

    def __init__(self, text: str, where: str = "") -> None:
        super().__init__(text)
        self.where = where


class Careful(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code, self.reason = code, reason

    def __reduce__(self) -> tuple[Any, ...]:
        return Careful, (self.code, self.reason)


class Disguised(Exception):
    def __reduce__(self) -> tuple[Any, ...]:
        return ValueError, self.args


class NoException(Exception):
    def __reduce__(self) -> tuple[Any, ...]:
        return str, ("not an exception",)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class EvilArgs(Exception):
    @property
    def args(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no args")


class Opaque:
    """Equal to nothing, not even to itself; its text holds its address."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not comparable")

    __hash__ = object.__hash__


class Chained(Exception):
    pass


def with_attribute(value: Any) -> BaseException:
    error: Any = Plain("x")
    error.attribute = value
    return error
