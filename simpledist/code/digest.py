"""The code digest of something callable: its place in the source, the tree below it, the values bound to it.

Owns what stands for a callable: a decorated function for what it wraps, a partial, a bound method, a closure and a
callable object for their inner function and what is bound to it. Says why where something has no digest.
"""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from types import FunctionType, MethodType
from typing import Any, cast

from simpledist.code import canonical
from simpledist.code.tree import Package, Tree, tree_of
from simpledist.errors import Unkeyable

_MOST_LAYERS = 32


@dataclass(frozen=True, slots=True)
class CodeDigest:
    """`text`: 16 hex digits, "" where there is none, and then `reason` says why. `place`: module and qualified name."""

    text: str
    place: tuple[str, str]
    reason: str = ""
    tree: Tree | None = None


class Digests:
    """Digests of callables; modules are read once."""

    def __init__(self) -> None:
        self._packages: dict[str, Package] = {}

    def of(self, function: Callable[..., Any]) -> CodeDigest:
        """Return the digest of a callable, or one without text and the reason."""
        bound: list[tuple[str, Any]] = []
        inner = _inner(function, bound)
        module, name = _place(inner)
        if not module or not name:
            return CodeDigest("", (module, name), f"{type(inner).__qualname__} is not written in Python")
        known_as = _script() if module == "__main__" else module
        if known_as is None:
            return CodeDigest("", (module, name), "it was typed in, and lies in no file")
        if "<lambda>" in name:
            return CodeDigest("", (known_as, name), "a lambda has no name by which it could be found")
        tree = tree_of(self._package(module, known_as), known_as, name.partition(".")[0])
        if tree is None:
            return CodeDigest("", (known_as, name), f"the source of {known_as} does not have it, or cannot be read")
        try:
            which = _which(self._package(module, known_as), known_as, name, inner) if "." in name else 0
            return CodeDigest(self._digest(tree, f"{name} {which}", bound), (known_as, name), tree=tree)
        except Unkeyable as error:
            return CodeDigest("", (known_as, name), f"what is bound to it has no canonical form: {error}")

    def _package(self, module: str, known_as: str) -> Package:
        top = known_as.partition(".")[0]
        if top not in self._packages:
            self._packages[top] = Package(module, known_as)
        return self._packages[top]

    def _digest(self, tree: Tree, name: str, bound: list[tuple[str, Any]]) -> str:
        digest = tree.digest()
        if not bound and name.endswith(" 0") and "." not in name:
            return digest
        total = blake2b(f"{digest} {name}".encode("utf-8", "surrogatepass"), digest_size=8, person=b"simpledist-bound")
        for label, value in bound:
            total.update(f"{len(label)}:{label}".encode())
            total.update(self._value(value))
        return total.hexdigest()

    def _value(self, value: Any) -> bytes:
        """Return what stands for a bound value: a function by its digest, all else by its canonical form."""
        if isinstance(value, (FunctionType, MethodType, type)):
            own = self.of(value)
            if not own.text:
                raise Unkeyable(own.reason)
            return own.text.encode()
        return canonical.address("", "", "", (value,), {})


def _inner(function: Any, bound: list[tuple[str, Any]]) -> Any:
    """Return the function, class or method below partials, bindings and decorators; `bound` gets what they hold."""
    for _ in range(_MOST_LAYERS):
        if isinstance(function, functools.partial):
            bound += [("args", function.args), ("keywords", dict(function.keywords))]
            function = function.func
        elif isinstance(function, MethodType):
            bound.append(("self", function.__self__))
            function = function.__func__
        elif isinstance(function, FunctionType) and function.__closure__ and "<locals>" in function.__qualname__:
            for name, cell in zip(function.__code__.co_freevars, function.__closure__, strict=True):
                if _content(cell) is not function:
                    bound.append((name, _content(cell)))
            return function
        elif isinstance(getattr(function, "__wrapped__", None), (FunctionType, MethodType, functools.partial)):
            function = cast(Any, function).__wrapped__
        elif isinstance(function, (FunctionType, type)) or _place(function)[1]:
            return function
        else:
            bound.append(("self", function))
            function = cast(Any, type(function))
    return function


def _which(package: Package, module: str, name: str, function: Any) -> int:
    """Return which of several functions of one name within a definition it is: by order, for lines move."""
    code = getattr(function, "__code__", None)
    source = package.source(module)
    if code is None or source is None:
        return 0
    root, last = name.partition(".")[0], name.rpartition(".")[2]
    lines = [
        min([node.lineno, *(one.lineno for one in node.decorator_list)])
        for index in source.bindings.get(root, ())
        for node in ast.walk(source.tree.body[index])
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == last
    ]
    return sorted(lines).index(code.co_firstlineno) if code.co_firstlineno in lines else 0


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None  # not bound yet


def _place(function: Any) -> tuple[str, str]:
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    return (module, name) if isinstance(module, str) and isinstance(name, str) else ("", "")


def _script() -> str | None:
    """Return the name of the module that the running program is; None where it is no file."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return spec.name.removesuffix(".__main__")
    path = getattr(main, "__file__", None)
    return None if path is None else path.replace("\\", "/").rpartition("/")[2].removesuffix(".py")
