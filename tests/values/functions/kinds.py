"""Classes and objects of every kind, of which values and exceptions are made. Python 3.10 and later."""

# Many are wrong on purpose.
# pyright: basic, reportConstantRedefinition=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

import dataclasses
import enum
import io
import struct
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn


class Plain:
    def __init__(self, x: Any = 1) -> None:
        self.x = x


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self) -> None:
        self.a = 1


class SlottedChild(Slotted):
    __slots__ = ("__dict__", "c")

    def __init__(self) -> None:
        super().__init__()
        self.c, self.more = 3, 4


@dataclasses.dataclass
class Data:
    a: int
    b: list[int] = dataclasses.field(default_factory=list[int])


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    a: int
    b: tuple[int, ...] = (1, 2)


class Pair(NamedTuple):
    left: int
    right: Any = None


class Colour(enum.Enum):
    RED = 1
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


class Flags(enum.Flag):
    A = 1
    B = 2


class MyInt(int): ...


class MyFloat(float): ...


class MyStr(str): ...


class MyBytes(bytes): ...


class MyTuple(tuple[Any, ...]): ...


class MyList(list[Any]): ...


class MyDict(dict[Any, Any]): ...


class MySet(set[Any]): ...


class Becomes:
    """Comes back as something else."""

    def __reduce__(self) -> tuple[Any, ...]:
        return int, (5,)


class RaisesOut:
    def __init__(self, kind: type[BaseException]) -> None:
        self.kind = kind

    def __reduce__(self) -> NoReturn:
        raise self.kind("no way out")


class RaisesBack:
    def __init__(self, kind: type[BaseException]) -> None:
        self.kind = kind

    def __reduce__(self) -> tuple[Any, ...]:
        return _throw, (self.kind,)


def _throw(kind: type[BaseException]) -> NoReturn:
    raise kind("no way back")


class Meta(type): ...


class WithMeta(metaclass=Meta): ...


class Callable_:
    def __call__(self) -> int:
        return 1

    def method(self) -> int:
        return 2

    @classmethod
    def of_class(cls) -> int:
        return 3


def with_attributes(target: Any, **attributes: Any) -> Any:
    for name, value in attributes.items():
        setattr(target, name, value)
    return target


def recursive_list() -> list[Any]:
    one: list[Any] = [1]
    one.append(one)
    return one


def recursive_dict() -> dict[str, Any]:
    one: dict[str, Any] = {}
    one["self"] = one
    return one


def recursive_object() -> Plain:
    one = Plain()
    one.x = [one]
    return one


def shared() -> list[Any]:
    one = [1]
    return [one, one]


def local_class() -> Any:
    class Local:
        def __init__(self) -> None:
            self.x = 1

    return Local()


def local_enum() -> Any:
    return enum.Enum("Made", "ONE TWO").ONE  # type: ignore[attr-defined]


def closure() -> Callable[[int], int]:
    factor = 3
    return lambda n: n * factor


def generator() -> Any:
    yield from (1, 2)


def half_read() -> Any:
    one = iter([1, 2, 3])
    next(one)
    return one


def bytes_io() -> io.BytesIO:
    one = io.BytesIO(b"abcdef")
    one.seek(3)
    return one


def string_io() -> io.StringIO:
    one = io.StringIO("abcdef")
    one.seek(2)
    return one


def caught(kind: type[BaseException] = ValueError) -> BaseException:
    try:
        try:
            raise KeyError("first")
        except KeyError as first:
            raise kind("second") from first
    except kind as second:
        return second


def nan(bits: int) -> float:
    return struct.unpack(">d", bits.to_bytes(8, "big"))[0]
