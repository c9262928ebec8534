"""Comparison of a loaded module with its source: a file may have been edited since it was imported.

Owns the comparison of loaded functions and constants with a source text. A module that a rewriting loader has made
(pytest's for asserts, type checkers) is not compared: its code is not that of its file.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib.machinery
import inspect
import json
import os
import sys
import time
import warnings
import zipimport
from collections.abc import Collection, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from types import CodeType, FunctionType, MethodType
from typing import Any, cast

from simpledist.code.memo import key_of
from simpledist.code.sources import Text, memo
from simpledist.interruption import by_signal

_LOADERS = (importlib.machinery.SourceFileLoader, zipimport.zipimporter)
_MOST_LAYERS = 32
_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_HAS_DOCSTRING = 0x4000000  # a flag of a code object, from 3.14 on; before, a text in the first place is one
_RULE = 2  # by which code objects are hashed: hashes on disk by an earlier one are not compared with ours
_IMPORTED_AT = time.time()

Codes = dict[str, list[str]]  # name of a code object -> a hash of each that has it


class Loaded:
    """One module as it is loaded, and the source that was read for it; each name is compared once."""

    def __init__(self, source: Text) -> None:
        module = source.loaded
        self._source = source
        self._equal: set[str] = set()  # names
        self._codes: Codes | None = None
        self._path = getattr(module, "__file__", None) or source.path
        # Other loaders may write other code than the file's.
        self._values = vars(module) if type(getattr(module, "__loader__", None)) in _LOADERS else None

    def differs(self, names: Collection[str]) -> bool:
        """Return whether one of these names, as loaded, is not what the module's source says."""
        new = set(names) - self._equal
        if not new or self._values is None:
            return False
        if any(self._is_other(name, self._values) for name in new):
            return True
        if _is_newer_than_us(self._path) and _constants_differ(self._source.text, self._values, new):
            return True
        self._equal |= new
        return False

    def _is_other(self, name: str, values: dict[str, Any]) -> bool:
        assert self._source.loaded is not None
        for code in _codes_of(values.get(name), self._source.loaded.__name__):
            if os.path.basename(code.co_filename) == os.path.basename(self._path):
                if self._codes is None:
                    self._codes = _codes_in(self._source.text)
                if self._codes is not None and _hash(code) not in self._codes.get(code.co_name, ()):
                    return True
        return False


# --- functions ---------------------------------------------------------------------------------------------------


def wrapped_by(value: Any) -> Any:
    """Return what a decorator has noted as wrapped. No code of the value runs: a stand-in may answer to any name."""
    return inspect.getattr_static(value, "__wrapped__", None)


def _codes_of(value: Any, module: str, depth: int = 0) -> Iterator[CodeType]:
    """Yield the code of a function, of what it wraps, of the methods of a class."""
    kind = _kind(value)
    inner: list[Any] = []
    if issubclass(kind, (staticmethod, classmethod, MethodType)):
        inner = [value.__func__]
    elif issubclass(kind, functools.partial):
        inner = [value.func]
    elif issubclass(kind, property):
        inner = [value.fget, value.fset, value.fdel]
    elif issubclass(kind, type):
        own: Mapping[str, Any] = type.__getattribute__(value, "__dict__") if value.__module__ == module else {}
        inner = [one for one in list(own.values()) if not issubclass(_kind(one), type)]
    else:
        if kind is FunctionType and value.__module__ == module:
            yield value.__code__
        inner = [wrapped_by(value)]
    for one in inner:
        if one is not None and depth < _MOST_LAYERS:
            yield from _codes_of(one, module, depth + 1)


def _kind(value: Any) -> type[Any]:
    """Return its type; `isinstance` would ask the value."""
    return cast("type[Any]", type(value))


def _codes_in(text: str) -> Codes | None:
    """Return the code of all that a text defines, as this interpreter compiles it, from the cache where it is."""
    kind = f"{sys.implementation.cache_tag}-{sys.flags.optimize}-{_RULE}"
    key = key_of(text)
    codes: Codes | None = memo.load(kind, key, json.loads)
    if codes is not None:
        return codes
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            whole = compile(text, "<source>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    codes = {}
    _collect(whole, codes)
    memo.store(kind, key, json.dumps(codes, separators=(",", ":")))
    return codes


def _collect(code: CodeType, into: Codes) -> None:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            into.setdefault(constant.co_name, []).append(_hash(constant))
            _collect(constant, into)


def _hash(code: CodeType) -> str:
    """Return a hash of what a code object does, without its docstring and its place in the file."""
    return blake2b(repr(_facts(code)).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _facts(code: CodeType) -> tuple[Any, ...]:
    constants = code.co_consts
    has_docstring = code.co_flags & _HAS_DOCSTRING or sys.version_info < (3, 14)
    if constants and isinstance(constants[0], str) and has_docstring:
        constants = (None, *constants[1:])  # as where there is none
    return (
        # Instructions as the compiler wrote them: the interpreter's own specialising does not show in co_code.
        code.co_code,
        getattr(code, "co_exceptiontable", b""),
        (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars),
        (code.co_flags & ~_HAS_DOCSTRING, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount),
        tuple(map(_constant, constants)),
    )


def _constant(value: Any) -> Any:
    if isinstance(value, CodeType):
        return _facts(value)
    if isinstance(value, tuple):
        return tuple(map(_constant, cast("tuple[Any, ...]", value)))
    if isinstance(value, frozenset):
        return sorted(repr(_constant(one)) for one in cast("frozenset[Any]", value))  # the order is the hash seed's
    return value


# --- constants ---------------------------------------------------------------------------------------------------


def _constants_differ(text: str, values: dict[str, Any], names: set[str]) -> bool:
    """Return whether a name that the text binds once, to a plain value, has another one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        body = ast.parse(text).body
    written: dict[str, list[ast.expr | None]] = {}
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                written.setdefault(node.id, []).append(_value_of(statement))
            elif isinstance(node, ast.Global):
                for name in node.names:
                    written.setdefault(name, []).append(None)
    for name in names & written.keys() & values.keys():
        expressions = written[name]
        if len(expressions) == 1 and expressions[0] is not None:
            with contextlib.suppress(ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                if _differ(ast.literal_eval(expressions[0]), values[name]):
                    return True
    return False


def _value_of(statement: ast.stmt) -> ast.expr | None:
    if isinstance(statement, ast.Assign) and [type(one) for one in statement.targets] == [ast.Name]:
        return statement.value
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return statement.value
    return None


def _differ(said: Any, held: Any) -> bool:
    """Return whether two values differ, the first of them from the source; what may change is not compared."""
    kinds: set[Any] = {type(said), type(held)}
    if kinds == {tuple}:
        left, right = cast("tuple[Any, ...]", said), cast("tuple[Any, ...]", held)
        return len(left) != len(right) or any(map(_differ, left, right))
    return kinds.issubset(_PLAIN) and (len(kinds) > 1 or repr(said) != repr(held))


def _is_newer_than_us(path: str) -> bool:
    """Return whether a file was written since this process began: without that sign constants may differ by intent."""
    try:
        return os.stat(path).st_mtime >= _began_at() - 1
    except (OSError, ValueError) as error:
        if by_signal(error):
            raise
        return False


@functools.lru_cache(maxsize=1)
def _began_at() -> float:
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
        return int(boot.split()[1]) + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration) as error:
        if by_signal(error):
            raise
        return _IMPORTED_AT
