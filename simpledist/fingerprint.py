"""A hash of a function's code, so that client and worker notice when they hold different code under one name.

Advisory: a mismatch is a warning, never a refusal. Only functions of the same module and name, under the same Python
minor, are compared: bytecode differs between versions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from hashlib import blake2b
from types import CodeType
from typing import Any

_PYTHON = f"py{sys.version_info.major}.{sys.version_info.minor}"


def fingerprint(function: Callable[..., Any]) -> str:
    """`module:qualname/py3.11/<16 hex digits>`; "" where it cannot be told (builtins, lambdas, `__main__`)."""
    code = getattr(function, "__code__", None)
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", "")
    if not isinstance(code, CodeType) or not module or module == "__main__" or "<" in name:
        return ""
    digest = blake2b(digest_size=8)
    _add_code(digest, code)
    digest.update(repr(getattr(function, "__defaults__", None)).encode())
    return f"{module}:{name}/{_PYTHON}/{digest.hexdigest()}"


def differs(left: str, right: str) -> bool:
    """Whether two fingerprints are of the same function and Python, and tell different code."""
    if not left or not right:
        return False
    left_name, _, left_hash = left.rpartition("/")
    right_name, _, right_hash = right.rpartition("/")
    return left_name == right_name and left_hash != right_hash


def _add_code(digest: blake2b, code: CodeType) -> None:
    digest.update(code.co_code)
    digest.update(repr((code.co_names, code.co_varnames, code.co_freevars, code.co_flags)).encode())
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _add_code(digest, constant)
        elif isinstance(constant, frozenset):
            # The order of a set depends on PYTHONHASHSEED.
            digest.update(repr(sorted(map(repr, constant))).encode())
        else:
            digest.update(repr(constant).encode())
