"""A hash of a function's code, so that client and worker notice when they hold different code under one name.

Advisory: a mismatch is a warning, never a refusal. Only functions of the same module and name, under the same Python
minor, are compared: bytecode differs between versions.
"""

from __future__ import annotations

import functools
import sys
from base64 import urlsafe_b64encode
from collections.abc import Callable
from hashlib import blake2b
from types import CodeType
from typing import Any, cast

_PYTHON = f"py{sys.version_info.major}.{sys.version_info.minor}"
_MAX_WRAPPERS = 32
_MAX_DEPTH = 32
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...))


def fingerprint(function: Callable[..., Any]) -> str:
    """`module:qualname/py3.11/<16 hex digits>`; "" where there is none (builtins, lambdas, `__main__`)."""
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module == "__main__" or "<" in name:
        return ""
    code = _hash(function)
    return f"{module}:{name}/{_PYTHON}/{code}" if code else ""


def code_hash(function: Callable[..., Any]) -> str:
    """Return the fingerprint of any Python function without its module: only code hashes compare with it."""
    return f"/{_PYTHON}/{_hash(function)}"


def _hash(function: Callable[..., Any]) -> str:
    digest = blake2b(digest_size=8)
    found = False
    layer: Any = function
    # A decorator's wrapper bears the name of what it wraps (functools.wraps, lru_cache): both are the function.
    for _ in range(_MAX_WRAPPERS):
        code = getattr(layer, "__code__", None)
        if isinstance(code, CodeType):
            found = True
            _add_code(digest, code)
            _add(digest, getattr(layer, "__defaults__", None))
            _add(digest, getattr(layer, "__kwdefaults__", None))
        layer = getattr(layer, "__wrapped__", None)
        if layer is None:
            break
    return digest.hexdigest() if found else ""


@functools.lru_cache(maxsize=1024)
def brief(fingerprint: str) -> str:
    """Return the part that travels with every call: `<name>/<code>`, a hash of 24 bits each; of "" it is ""."""
    name, _, code = fingerprint.rpartition("/")
    return "/".join(_short(part) for part in (name, code)) if name else ""


def _short(text: str) -> str:
    return urlsafe_b64encode(blake2b(text.encode("utf-8", "replace"), digest_size=3).digest()).decode()


def differs(left: str, right: str) -> bool:
    """Return whether two fingerprints are of the same function and Python, and of different code."""
    if left == right:  # as most are
        return False
    left_name, _, left_hash = left.rpartition("/")
    right_name, _, right_hash = right.rpartition("/")
    return bool(left_name) and left_name == right_name and left_hash != right_hash


def _add_code(digest: blake2b, code: CodeType, depth: int = 0) -> None:
    # Instructions as the compiler wrote them: the interpreter's own specialising does not show in co_code.
    _add(digest, code.co_code)
    _add(digest, getattr(code, "co_exceptiontable", b""))
    _add(digest, (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars))
    _add(digest, (code.co_flags, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount))
    for constant in code.co_consts:
        _add(digest, constant, depth + 1)


def _add(digest: blake2b, value: Any, depth: int = 0) -> None:
    """Constants and defaults by what they say, never by where they lie in memory or in a hash table."""
    if isinstance(value, CodeType):
        digest.update(b"code")
        _add_code(digest, value, depth)
    elif type(value) in _PLAIN or depth > _MAX_DEPTH:
        _add_text(digest, repr(value) if type(value) in _PLAIN else type(value).__qualname__)
    elif isinstance(value, (tuple, list)):
        items = cast("tuple[Any, ...] | list[Any]", value)
        _add_text(digest, f"{type(items).__name__} {len(items)}")
        for item in items:
            _add(digest, item, depth + 1)
    elif isinstance(value, (set, frozenset)):
        members = cast("frozenset[Any]", value)
        _add_text(digest, f"set {len(members)}")
        # The order of a set depends on PYTHONHASHSEED.
        for item in sorted(_of(member, depth + 1) for member in members):
            digest.update(item)
    elif isinstance(value, dict):
        pairs = cast("dict[Any, Any]", value)
        _add_text(digest, f"dict {len(pairs)}")
        for pair in pairs.items():
            _add(digest, pair, depth + 1)
    else:
        # The text of other objects may hold their address.
        _add_text(digest, f"{type(value).__module__}.{type(value).__qualname__}")


def _of(value: Any, depth: int) -> bytes:
    digest = blake2b(digest_size=16)
    _add(digest, value, depth)
    return digest.digest()


def _add_text(digest: blake2b, text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    digest.update(b"%d:" % len(data))
    digest.update(data)
