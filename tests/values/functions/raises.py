"""Functions that raise, by name: exceptions of every kind. Python 3.10 and later."""

# Each case is one expression, and many are wrong on purpose.
# pyright: basic, reportConstantRedefinition=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

import asyncio
import builtins
import concurrent.futures
import decimal
import errno
import functools
import json
import math
import os
import re
import struct
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from tests.values.functions.kinds import (
    Becomes,
    Colour,
    Frozen,
    Pair,
    Plain,
    RaisesBack,
    RaisesOut,
    caught,
    with_attributes,
)


class KeywordOnly(Exception):
    def __init__(self, a: Any, *, b: Any) -> None:
        super().__init__(a)
        self.b = b


class OtherArguments(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Empty(Exception):
    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__()


class SlottedError(Exception):
    __slots__ = ("where",)

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.where = "here"


class ReducedError(Exception):
    """Its own reduce drops what was added."""

    def __reduce__(self) -> tuple[Any, ...]:
        return ReducedError, self.args


class NamedError(Exception):
    @property
    def twice(self) -> Any:
        return self.args * 2


class Both(KeyError, AttributeError): ...


class NoText(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class OwnBase(BaseException): ...


def noted(error: BaseException, *notes: str) -> BaseException:
    cast_error: Any = error
    cast_error.__notes__ = list(notes)
    return error


def _from(cause: BaseException | None) -> NoReturn:
    raise ValueError("outer") from cause


def _during(suppress: bool = False) -> NoReturn:
    try:
        raise KeyError("inner")
    except KeyError:
        if suppress:
            raise ValueError("outer") from None
        raise ValueError("outer")  # noqa: B904 - the context is what is looked at


def _chain(length: int) -> NoReturn:
    try:
        if length:
            _chain(length - 1)
        raise ValueError("first")
    except Exception as error:
        raise RuntimeError(length) from error


def _raised(error: BaseException) -> NoReturn:
    raise error


def _group(*members: Any, text: str = "many") -> BaseException:
    kind: Any = getattr(builtins, "BaseExceptionGroup", None)
    return kind(text, members) if kind is not None else ValueError(text, members)


def _caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def _json(text: str) -> Any:
    return json.loads(text)


def _exit(code: Any) -> NoReturn:
    sys.exit(code)


def _stop(value: Any) -> NoReturn:
    raise StopIteration(value)


RAISES: dict[str, Callable[[], Any]] = {
    f"builtin {name}": functools.partial(lambda kind: _raised(kind("text", 1)), kind)
    for name, kind in sorted(vars(builtins).items())
    if isinstance(kind, type)
    and issubclass(kind, Exception)
    and not issubclass(kind, (UnicodeError, Warning, RecursionError, MemoryError, ImportError))
    and "Group" not in name
    and name not in ("EnvironmentError", "IOError")
}
RAISES |= {
    "zero": lambda: 1 // 0,
    "key": lambda: {}["k"],  # type: ignore[index]
    "index": lambda: [][3],
    "type": lambda: len(3),  # type: ignore[arg-type]
    "arguments": lambda: Pair(),  # type: ignore[call-arg]
    "attribute": lambda: None.missing,  # type: ignore[attr-defined]
    "attribute of object": lambda: Plain(3).missing,  # type: ignore[attr-defined]
    "attribute of module": lambda: math.missing,  # type: ignore[attr-defined]
    "attribute of what is not pickled": lambda: threading.Lock().missing,  # type: ignore[attr-defined]
    "attribute set": lambda: setattr(3, "x", 1),
    "name": lambda: missing_name,  # type: ignore[name-defined] # noqa: F821
    "import": lambda: __import__("no_such_module_at_all"),
    "import from": lambda: exec("from math import nothing_there", {}),
    "syntax": lambda: compile("a b", "file.py", "exec"),
    "indentation": lambda: compile(" a\nb", "file.py", "exec"),
    "os": lambda: open("/nonexistent/x"),  # noqa: SIM115
    "os rename": lambda: os.rename("/nonexistent/x", "/nonexistent/y"),
    "os with number": lambda: _raised(OSError(errno.EPIPE, "pipe")),
    "os alone": lambda: _raised(OSError("only text")),
    "decode": lambda: b"\xff".decode(),
    "encode": lambda: "\ud800".encode(),
    "json": lambda: _json("{"),
    "struct": lambda: struct.unpack("i", b""),
    "regex": lambda: re.compile("("),
    "decimal": lambda: decimal.Decimal("x"),
    "recursion": lambda: functools.reduce(lambda f, _: lambda: f(), range(5000), int)(),
    "memory": lambda: _raised(MemoryError("mine")),
    "stop": lambda: _stop(None),
    "stop with value": lambda: _stop({"a": 1}),
    "exit": lambda: _exit(3),
    "exit text": lambda: _exit("bye"),
    "exit none": lambda: _exit(None),
    "interrupt": lambda: _raised(KeyboardInterrupt("k")),
    "generator exit": lambda: _raised(GeneratorExit("g")),
    "own base": lambda: _raised(OwnBase(1)),
    "cancelled": lambda: _raised(asyncio.CancelledError("c")),
    "future cancelled": lambda: _raised(concurrent.futures.CancelledError()),
    "asyncio timeout": lambda: _raised(asyncio.TimeoutError("mine")),
    "broken pool": lambda: _raised(concurrent.futures.BrokenExecutor("b")),
    "keyword only": lambda: _raised(KeywordOnly(1, b=2)),
    "other arguments": lambda: _raised(OtherArguments(1, "a")),
    "no arguments kept": lambda: _raised(Empty(4)),
    "slotted": lambda: _raised(SlottedError("a")),
    "slotted changed": lambda: _raised(with_attributes(SlottedError("a"), where=[1])),
    "reduced": lambda: _raised(with_attributes(ReducedError("a"), more=5)),
    "attributes": lambda: _raised(with_attributes(ValueError("a"), code=5, inner=Plain(2))),
    "attribute that cannot travel": lambda: _raised(with_attributes(ValueError("a"), lock=threading.Lock())),
    "changed arguments": lambda: _raised(with_attributes(ValueError("a"), args=("b", 2))),
    "changed stop": lambda: _raised(with_attributes(StopIteration(1), value=2)),
    "changed exit": lambda: _raised(with_attributes(SystemExit(1), code=2)),
    "changed file": lambda: _raised(with_attributes(OSError(2, "no", "a"), filename="b")),
    "changed name": lambda: _raised(with_attributes(NameError("n"), name="z")),
    "property": lambda: _raised(NamedError(1)),
    "two bases": lambda: _raised(Both("a")),
    "no text": lambda: _raised(NoText("x")),
    "notes": lambda: _raised(noted(ValueError("a"), "one", "two\nlines")),
    "notes of another kind": lambda: _raised(noted(ValueError("a"), 3)),  # type: ignore[arg-type]
    "cause": lambda: _from(KeyError("cause")),
    "cause none": lambda: _from(None),
    "cause with attributes": lambda: _from(with_attributes(OSError(2, "x"), more=[1])),
    "cause with notes": lambda: _from(noted(KeyError("c"), "n")),
    "cause that cannot travel": lambda: _from(OtherArguments(1, "a")),
    "cause of cause": lambda: _from(_caused(KeyError("c"), TypeError("t"))),
    "context": _during,
    "context suppressed": lambda: _during(True),
    "long chain": lambda: _chain(60),
    "error in arguments": lambda: _raised(ValueError(KeyError("inner"), [TypeError(1)])),
    "caught in arguments": lambda: _raised(ValueError(caught())),
    "group": lambda: _raised(_group(ValueError(1), KeyError("k"))),
    "nested groups": lambda: _raised(_group(_group(ValueError(1), text="in"), noted(TypeError(2), "n"))),
    "group with causes": lambda: _raised(_caused(_group(caught(), caught(TypeError)), KeyError("all"))),
    "group with odd member": lambda: _raised(_group(OtherArguments(1, "a"))),
    "nan argument": lambda: _raised(ValueError(math.nan, -0.0)),
    "object argument": lambda: _raised(ValueError(Plain(3), Frozen(1), Colour.RED)),
    "lock argument": lambda: _raised(ValueError(threading.Lock())),
    "view argument": lambda: _raised(ValueError(memoryview(b"abc"))),
    "becoming argument": lambda: _raised(ValueError(Becomes())),
    "exiting argument": lambda: _raised(ValueError(RaisesBack(SystemExit))),
    "exiting out argument": lambda: _raised(ValueError(RaisesOut(SystemExit))),
    "array argument": lambda: _raised(ValueError(np.arange(3))),
    "huge text": lambda: _raised(ValueError("x" * 200_000)),
    "surrogate": lambda: _raised(ValueError("\ud800")),
    "warning": lambda: _raised(DeprecationWarning("old")),
    "unicode by hand": lambda: _raised(UnicodeDecodeError("utf-8", b"abc", 0, 1, "why")),
}
