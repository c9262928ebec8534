"""Source code as bytes that say what it does, and not how it is laid out or which Python parsed it.

Owns what counts as the same code: positions, comments, docstrings, annotations that nobody reads and statements without
effect do not count. `ast.dump` cannot serve: its output changes between Python minors. Knows no module and no import:
an import is written as the names that it binds, for what it leads to is an edge of the tree (tree.py).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any, cast

_SKIPPED = frozenset(("ctx", "type_comment", "kind", "type_params", "type_ignores", "annotation", "returns"))
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def written(node: ast.AST) -> bytes:
    """Return the bytes of a statement or expression: equal for equal code on every supported Python."""
    return b"".join(_node(node, keeps_annotations=False))


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


def _node(node: ast.AST, *, keeps_annotations: bool) -> Iterator[bytes]:
    if isinstance(node, ast.Constant):
        yield _constant(node.value)
        return
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        yield b"(import %b)" % b" ".join(map(_text, binds(node)))
        return
    if isinstance(node, ast.AnnAssign):
        yield from _annotated(node, keeps_annotations)
        return
    yield b"(" + type(node).__name__.encode()
    keeps = keeps_annotations if isinstance(node, (ast.arguments, ast.arg)) else _reads_annotations(node)
    for name, value in _fields(node, keeps):
        yield b" %b=" % name.encode()
        yield from _value(value, keeps)
    yield b")"


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


def _value(value: Any, keeps: bool) -> Iterator[bytes]:
    if isinstance(value, list):
        yield b"["
        for one in cast("list[Any]", value):
            yield from _value(one, keeps)
            yield b","
        yield b"]"
    elif isinstance(value, ast.AST):
        yield from _node(value, keeps_annotations=keeps)
    else:
        yield _constant(value)


def _annotated(node: ast.AnnAssign, keeps: bool) -> Iterator[bytes]:
    """An annotated assignment is an assignment, but in the body of a class: there the annotation makes a field."""
    if keeps:
        yield b"(field "
        yield from _node(node.annotation, keeps_annotations=False)
        yield b" "
        yield from _node(node.target, keeps_annotations=False)
        if node.value is not None:
            yield from _node(node.value, keeps_annotations=False)
        yield b")"
    elif node.value is not None:
        yield from _node(ast.Assign(targets=[node.target], value=node.value), keeps_annotations=False)


def _merged(values: Sequence[ast.expr]) -> list[ast.expr]:
    """The parts of an f-string, adjacent texts joined and empty ones dropped: Python 3.12 cuts them otherwise."""
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
