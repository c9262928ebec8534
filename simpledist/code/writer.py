"""Source code as bytes that say what it does, and not how it is laid out or which Python parsed it.

Owns what counts as the same code: positions, comments, docstrings, annotations that no code reads and statements
without effect do not count. `ast.dump` cannot serve: its output changes between Python minors. Knows no module and no
import: an import is written as the names that it binds, for what it leads to is an edge of the tree (tree.py).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

_SKIPPED = frozenset(("ctx", "type_comment", "kind", "type_params", "type_ignores", "annotation", "returns"))
Write = Callable[[bytes], None]
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def written(node: ast.AST) -> bytes:
    """Return the bytes of a statement or expression: equal for equal code on every supported Python."""
    parts: list[bytes] = []
    _node(node, parts.append, keeps_annotations=False)
    return b"".join(parts)


def binds(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Return the names that an import binds, `*` for a star."""
    if isinstance(node, ast.Import):
        return [alias.asname or alias.name.partition(".")[0] for alias in node.names]
    return [alias.asname or alias.name for alias in node.names]


def keeps_annotations(node: ast.AST) -> bool:
    """Return whether somebody may read a function's annotations: a decorator does (singledispatch, validators)."""
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and bool(node.decorator_list)


def without_effect(node: ast.AST) -> bool:
    """Return whether a statement does nothing: a docstring or another constant, `pass`."""
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _node(node: ast.AST, write: Write, *, keeps_annotations: bool) -> None:
    """Write a node. This is no generator: each part would pass through all that it is nested in, as in a long sum."""
    if isinstance(node, ast.Constant):
        write(_constant(node.value))
        return
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        write(b"(import %b)" % b" ".join(map(_text, binds(node))))
        return
    if isinstance(node, ast.AnnAssign):
        _annotated(node, write, keeps_annotations)
        return
    write(b"(" + type(node).__name__.encode())
    keeps = keeps_annotations if isinstance(node, (ast.arguments, ast.arg)) else _reads_annotations(node)
    for name, value in _fields(node, keeps):
        write(b" %b=" % name.encode())
        _value(value, write, keeps)
    write(b")")


def _reads_annotations(node: ast.AST) -> bool:
    return isinstance(node, ast.ClassDef) or keeps_annotations(node)


def _fields(node: ast.AST, keeps: bool) -> Iterator[tuple[str, Any]]:
    """Yield a node's fields by name; one that is empty does not count, so that a newer Python may add some."""
    for name in sorted(node._fields):
        if name in _SKIPPED and not (keeps and name in ("annotation", "returns")):
            continue
        value = getattr(node, name, None)
        if name == "body" and isinstance(value, list):
            value = [one for one in cast("list[ast.AST]", value) if not without_effect(one)]
        elif isinstance(node, ast.JoinedStr) and name == "values":
            value = _merged(node.values)
        if value is not None and value != []:
            yield name, value


def _value(value: Any, write: Write, keeps: bool) -> None:
    if isinstance(value, list):
        write(b"[")
        for one in cast("list[Any]", value):
            _value(one, write, keeps)
            write(b",")
        write(b"]")
    elif isinstance(value, ast.AST):
        _node(value, write, keeps_annotations=keeps)
    else:
        write(_constant(value))


def _annotated(node: ast.AnnAssign, write: Write, keeps: bool) -> None:
    """Write an annotated assignment as a plain one, but in the body of a class: there the annotation makes a field."""
    if keeps:
        write(b"(field ")
        _node(node.annotation, write, keeps_annotations=False)
        write(b" ")
        _node(node.target, write, keeps_annotations=False)
        if node.value is not None:
            _node(node.value, write, keeps_annotations=False)
        write(b")")
    elif node.value is not None:
        _node(ast.Assign(targets=[node.target], value=node.value), write, keeps_annotations=False)


def _merged(values: Sequence[ast.expr]) -> list[ast.expr]:
    """Return the parts of an f-string, adjacent texts joined, empty ones dropped: Python 3.12 cuts them elsewhere."""
    merged: list[ast.expr] = []
    for value in values:
        last = merged[-1] if merged else None
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            if not value.value:
                continue
            if isinstance(last, ast.Constant) and isinstance(last.value, str):
                merged[-1] = ast.Constant(last.value + value.value)
                continue
        merged.append(value)
    return merged


def _constant(value: Any) -> bytes:
    if isinstance(value, str):
        return b"'" + _text(value)
    if isinstance(value, bytes):
        return b"b%d:%b" % (len(value), value)
    if isinstance(value, bool) or value is None or value is ...:
        return repr(value).encode()
    if isinstance(value, int):
        return b"i" + hex(value).encode()  # decimal digits are limited, and slow for a long number
    if isinstance(value, float):
        return b"f" + value.hex().encode()
    if isinstance(value, complex):
        return b"j" + value.real.hex().encode() + b"," + value.imag.hex().encode()
    raise TypeError(f"{type(value).__qualname__} in source code")


def _text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return b"%d:%b" % (len(data), data)
