"""The code digest of something callable: its place in the source, the tree below it, the values bound to it.

Owns which code a callable means: a decorated function for what it wraps, a partial, a bound method, a closure and a
callable object for their inner function and what is bound to it. Says why where something has no digest.
"""

from __future__ import annotations

import functools
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any, cast

from simpledist.code import canonical
from simpledist.code.first_party import Others
from simpledist.code.loaded import wrapped_by
from simpledist.code.tree import WHOLE, Package, Tree, tree_of
from simpledist.errors import Unkeyable
from simpledist.interruption import by_signal

_MOST_LAYERS = 32
_MOST_NESTED = 16  # functions that are bound to functions
_MOST_PLACE = 200
_UNPRINTABLE = re.compile(r"""[\s"\\\x00-\x1f\x7f\ud800-\udfff]""")


@dataclass(frozen=True, slots=True)
class CodeDigest:
    """`text`: 16 hex digits, "" where there is none, and then `reason` says why. `place`: module and qualified name.

    `changed`: there is none because a file was edited after it was imported. `packages`: of each other first-party
    package that the code reaches a hash, "" where it is not here.
    """

    text: str
    place: tuple[str, str]
    reason: str = ""
    changed: bool = False
    tree: Tree | None = None
    packages: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def short_place(self) -> str:
        """Return the place by which two codes are those of the same function: `fns.fib`, whichever folder `fns` is in.

        "" where there is none. It has no spaces and no quotes: it stands in offers.
        """
        module, name = self.place
        text = f"{module.rpartition('.')[2]}.{name}" if module and name else ""
        if len(text) <= _MOST_PLACE and not _UNPRINTABLE.search(text):
            return text
        return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def unreadable(error: BaseException) -> CodeDigest:
    """Return the digest of a function whose source could not be read."""
    return CodeDigest("", ("", ""), f"its source cannot be read: {type(error).__name__}: {error}")


class Digests:
    """Digests of callables. Modules are read once for each module object; any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._packages: dict[tuple[str, str], Package] = {}
        self._others = Others()
        self._asked: list[Any] = []  # the functions whose values are being looked at: one may be bound to itself

    def of(self, function: Callable[..., Any], depends: Iterable[Any] = (), ignore: Iterable[Any] = ()) -> CodeDigest:
        """Return the digest of a callable, or one without text and the reason.

        `depends` adds what no name leads to: functions, classes and modules, or their names (`plugins.fast:run`), and
        files or folders as `Path`. `ignore` takes away what does not matter: the same, and names of other packages.
        """
        with self._lock:
            return self._of(function, list(depends), frozenset(map(_name_of, ignore)))

    def after_fork(self) -> None:
        """In the child: begin again where another thread was at work, which is not there to end it."""
        if self._lock.acquire(blocking=False):
            self._lock.release()
        else:
            self.__init__()

    def hash_of(self, package: str) -> str:
        """Return the hash of another package as installed here, "" if it is not; read once."""
        with self._lock:
            return self._others.hash_of(package)

    def _of(self, function: Callable[..., Any], depends: list[Any], ignored: frozenset[str]) -> CodeDigest:
        bound: list[tuple[str, Any]] = []
        inner = _inner(function, bound)
        module, name = place_of(inner)
        if not module or not name:
            return CodeDigest("", (module, name), f"{type(inner).__qualname__} is not written in Python")
        known_as = _script() if module == "__main__" else module
        if known_as is None:
            return CodeDigest("", (module, name), "it was typed in, and is in no file")
        place = known_as, name
        if "<lambda>" in name:
            return CodeDigest("", place, "a lambda has no name by which it could be found")
        if isinstance(inner, FunctionType) and not _is_of(inner, sys.modules.get(module)):
            return CodeDigest("", place, f"the module {module} that is loaded now is not the one that it came from")
        package = self._package(module, known_as)
        tree = tree_of(package, known_as, name.partition(".")[0], ignored)
        if tree is None:
            return CodeDigest("", place, f"the source of {known_as} does not have it, or cannot be read")
        names: dict[str, list[str]] = {}
        for node in tree.nodes:
            names.setdefault(node.module, []).append(node.name)
        if file := package.changed(names):
            return CodeDigest("", place, f"{file} changed since it was imported", changed=True)
        try:
            which = _which(package, known_as, name, inner) if "." in name else 0
            more = [("depends", one) for one in depends]
            text = self._digest(tree, f"{name} {which}", [*bound, *more], ignored)
        except Unkeyable as error:
            return CodeDigest("", place, str(error))
        reached = sorted(self._others.reached(tree.others, ignored=ignored))
        return CodeDigest(text, place, tree=tree, packages={one: self._others.hash_of(one) for one in reached})

    def _package(self, module: str, known_as: str) -> Package:
        key = known_as.partition(".")[0], "__main__" if module == "__main__" else ""
        if key not in self._packages:
            self._packages[key] = Package(module, known_as)
        self._packages[key].renew()
        return self._packages[key]

    def _digest(self, tree: Tree, name: str, bound: list[tuple[str, Any]], ignored: frozenset[str]) -> str:
        digest = tree.digest()
        if not bound and name.endswith(" 0") and "." not in name:
            return digest
        total = blake2b(f"{digest} {name}".encode("utf-8", "surrogatepass"), digest_size=8, person=b"simpledist-bound")
        for label, value in bound:
            total.update(f"{len(label)}:{label}".encode())
            total.update(self._needed(value, ignored) if label == "depends" else self._value(value, ignored))
        return total.hexdigest()

    def _value(self, value: Any, ignored: frozenset[str]) -> bytes:
        """Return the bytes of a bound value: of a function its digest, of all else the canonical form."""
        if isinstance(value, (FunctionType, MethodType, type, functools.partial)):
            known = cast(Any, value)
            for depth, one in enumerate(self._asked):
                if one is known:
                    return f"as {depth}".encode()
            if len(self._asked) >= _MOST_NESTED:
                raise Unkeyable("functions are bound to functions without an end")
            self._asked.append(known)
            try:
                own = self._of(known, [], ignored)
            finally:
                self._asked.pop()
            if not own.text:
                raise Unkeyable(f"{'.'.join(own.place)} is bound to it, and has no digest: {own.reason}")
            return own.text.encode()
        try:
            return canonical.address("", "", "", (value,), {})
        except Unkeyable as error:
            raise Unkeyable(f"what is bound to it has no canonical form: {error}") from error

    def _needed(self, value: Any, ignored: frozenset[str]) -> bytes:
        """Return the bytes of something that `depends=` names."""
        if isinstance(value, os.PathLike):
            return _content(Path(cast("os.PathLike[str]", value)))
        if isinstance(value, (str, ModuleType)):
            module, _, name = _name_of(value).partition(":")
            tree = tree_of(self._package(module, module), module, name.partition(".")[0] or WHOLE, ignored)
            if tree is None:
                raise Unkeyable(f"it depends on {_name_of(value)}, whose source is not here or cannot be read")
            return tree.digest().encode()
        return self._value(value, ignored)


digests = Digests()  # of this process: what is asked for twice is read once
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=digests.after_fork)


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
                if _in_cell(cell) is not function:
                    bound.append((name, _in_cell(cell)))
            return function
        elif callable(wrapped := wrapped_by(function)):
            function = wrapped
        elif isinstance(function, (FunctionType, type)) or place_of(function)[1]:
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
    lines: list[int] = []
    for number in source.index.bindings.get(root, ()):
        lines += source.index.statements[number].nested.get(last, ())
    return sorted(lines).index(code.co_firstlineno) if code.co_firstlineno in lines else 0


def _is_of(function: FunctionType, module: ModuleType | None) -> bool:
    """Return whether a function's globals are those of the module that is loaded under its module's name.

    A module may have put another object in its own place: that has its spec.
    """
    names = function.__globals__
    return module is None or names is vars(module) or names.get("__spec__", module) is getattr(module, "__spec__", None)


def _in_cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None  # not bound yet


def place_of(function: Any) -> tuple[str, str]:
    """Return the module and the qualified name of something; empty texts where it has none."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    return (module, name) if isinstance(module, str) and isinstance(name, str) else ("", "")


def _name_of(value: Any) -> str:
    """Return `module`, or `module:name`, of what `depends` and `ignore` name."""
    if isinstance(value, str):
        return value
    if isinstance(value, ModuleType):
        return value.__name__
    if isinstance(value, os.PathLike):
        return ""
    return ":".join(place_of(_inner(value, [])))


def _content(path: Path) -> bytes:
    """Return a hash of a file, or of all files of a folder with their names in it. Raises Unkeyable."""
    total = blake2b(digest_size=16)
    try:
        if not path.is_dir():
            return blake2b(path.read_bytes(), digest_size=16).digest()
        for one in sorted(path.rglob("*")):
            if one.is_file() and "__pycache__" not in one.parts:
                name = one.relative_to(path).as_posix().encode("utf-8", "surrogatepass")
                total.update(b"%d:%b" % (len(name), name) + blake2b(one.read_bytes(), digest_size=16).digest())
    except OSError as error:
        if by_signal(error):
            raise
        raise Unkeyable(f"it depends on {path}, which cannot be read: {error.strerror}") from error
    return total.digest()


def _script() -> str | None:
    """Return the name of the module that the running program is; None where it is no file."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return spec.name.removesuffix(".__main__")
    path = getattr(main, "__file__", None)
    return None if path is None else os.path.basename(path.replace("\\", "/")).removesuffix(".py")
