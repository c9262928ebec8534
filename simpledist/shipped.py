"""Functions that travel with their call: the one function that a worker with `--any` offers for them.

Its name carries the Python minor as a version: code of another minor is not loaded, such a call runs at its client.
Owns what is imported wherever such a call runs. Imported by clients and, as a target, by children.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from simpledist import policy, wire
from simpledist.errors import MissingBlob, ModuleMissing, Undecodable
from simpledist.job import ANY

FUNCTION = f"{ANY}@{sys.version_info.major}.{sys.version_info.minor}"
TARGET = f"{ANY}=simpledist.shipped:run@" + FUNCTION.partition("@")[2]

on_worker = False  # in a worker's child
folder = ""  # there: where the modules are that came with its calls

_carried: tuple[str, ...] = ()


def carry(module: str) -> None:
    """Import `module` from now on wherever a call of this program runs that travels with its function.

    For modules that register something when they are imported: the function counts on it and does not name it.
    """
    global _carried
    if module not in _carried:
        _carried = (*_carried, module)


def arguments(
    function: Callable[..., Any], args: tuple[Any, ...] | bytes, kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments with which a worker's `run` makes this call; bytes: its own, encoded when it was made."""
    return ((function, args, kwargs, _carried) if _carried else (function, args, kwargs)), {}


def run(
    function: Callable[..., Any],
    args: tuple[Any, ...] | bytes,
    kwargs: dict[str, Any],
    modules: tuple[str, ...] = (),
) -> Any:
    """Call what came with the call.

    A module or a file that is missing on a worker is not the function's doing: ModuleMissing sends the call to its
    client, whose machine may have it. A FileNotFoundError without a number is not one of the system's. So does a
    function that writes next to its modules, which it may at its client.
    """
    for module in modules:
        if module not in sys.modules:
            # Where it is missing, a function that needs it says so itself.
            with contextlib.suppress(ImportError):
                import_module(module)
    if isinstance(args, bytes):
        args, kwargs = _decoded(args)
    if not on_worker:
        return function(*args, **kwargs)
    try:
        return function(*args, **kwargs)
    except ModuleNotFoundError as error:
        raise ModuleMissing(str(error)) from error
    except FileNotFoundError as error:
        if error.errno is None:
            raise
        raise ModuleMissing(f"{policy.FILE_MISSING}: {error}") from error
    except PermissionError as error:
        if not folder or not str(error.filename).startswith(folder):
            raise
        raise ModuleMissing(f"{policy.READ_ONLY}: {error}") from error


def _decoded(arguments: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Decode the arguments of a call. Raises ModuleMissing where they cannot be loaded here, as another worker may.

    What would end this process (SystemExit) is no such case.
    """
    try:
        return wire.decode_arguments("pickle", arguments)
    except MissingBlob:
        raise
    except Undecodable as error:
        if error.__cause__ is not None and not isinstance(error.__cause__, Exception):
            raise
        raise ModuleMissing(str(error)) from error


def run_each(function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Call it once for each of `calls`: several short calls that travel as one."""
    return [function(*args) for args in calls]
