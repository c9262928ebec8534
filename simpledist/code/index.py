"""Index of a module's source, for the digest: a record for each of its statements, and what the module imports.

Owns which statements count for which name. Pure: text in, an index out. An index is the same on every supported Python,
and travels as JSON, because the cache on disk (memo.py) keeps it.
"""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, TypeVar

from simpledist.code.scopes import Chain, Import, Uses, bound_in, imported, uses
from simpledist.code.writer import without_effect, written

T = TypeVar("T")

_BODIES = ("body", "orelse", "finalbody", "handlers", "cases")  # where statements have others
_BINDS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a module: a hash of what it says, the names that it binds, what it uses.

    `bare`: it does something other than bind names. `nested`: the functions within it, by name, with their first lines.
    """

    line: int
    hash: str
    names: tuple[str, ...]
    bare: bool
    nested: dict[str, list[int]]
    uses: Uses


@dataclass(frozen=True, slots=True)
class Index:
    """A module's statements, and what it imports, by the name that an import binds; `stars`: imports of all names."""

    statements: list[Statement]
    imports: dict[str, list[Import]]
    stars: list[Import]
    bindings: dict[str, list[int]] = field(init=False, default_factory=dict[str, list[int]])

    def __post_init__(self) -> None:
        for number, statement in enumerate(self.statements):
            for name in statement.names:
                self.bindings.setdefault(name, []).append(number)

    def bare(self) -> list[int]:
        """Return the numbers of the statements that count for everything in the module."""
        return [number for number, one in enumerate(self.statements) if one.bare]

    def whole(self) -> str:
        """Return a hash of everything that the module does."""
        total = blake2b(digest_size=16)
        for statement in self.statements:
            total.update(statement.hash.encode())
        for name, found in [*sorted(self.imports.items()), ("*", self.stars)]:
            total.update(repr((name, sorted((one.module, one.level, one.name) for one in found))).encode())
        return total.hexdigest()


def index_of(text: str) -> Index | None:
    """Return the index of a module's text; None where this Python cannot parse it."""
    return _of_parsed(text, _index)


def imports_in(text: str) -> list[Import] | None:
    """Return what a text imports, wherever in it; None where this Python cannot parse it."""
    return _of_parsed(text, _imports)


def _of_parsed(text: str, made: Callable[[list[ast.stmt]], T]) -> T | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an old escape in a text; the import of the module warns of it
            body = ast.parse(text).body
        return made(body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _imports(body: list[ast.stmt]) -> list[Import]:
    """Go through statements alone: no expression imports. A module's index takes twenty times as long."""
    found: dict[Import, None] = {}
    waiting: list[ast.AST] = [*body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found.update((one, None) for _, one in imported(node))
        for inner in _BODIES:
            waiting += getattr(node, inner, ())
    return list(found)


def _index(body: list[ast.stmt]) -> Index:
    imports: dict[str, list[Import]] = {}
    stars: list[Import] = []
    for statement in body:
        for node in _scope(statement):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                for name, one in imported(node):
                    into = stars if name == "*" else imports.setdefault(name, [])
                    into += [one] if one not in into else []
    return Index([_statement(one) for one in body if not without_effect(one)], imports, stars)


def _statement(node: ast.stmt) -> Statement:
    is_import = isinstance(node, (ast.Import, ast.ImportFrom))
    nested: dict[str, list[int]] = {}
    for inner in ast.walk(node):
        if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = min([inner.lineno, *(one.lineno for one in inner.decorator_list)])
            nested.setdefault(inner.name, []).append(first)
    return Statement(
        line=node.lineno,
        hash=blake2b(written(node), digest_size=16).hexdigest(),
        names=() if is_import else tuple(sorted(bound_in([node]) - {"*"})),
        bare=_is_bare(node),
        nested={name: sorted(lines) for name, lines in nested.items()},
        uses=uses([node]),
    )


# --- as JSON -----------------------------------------------------------------------------------------------------


def to_json(index: Index) -> str:
    """Return an index as text."""
    statements = [
        [
            one.line,
            one.hash,
            one.names,
            int(one.bare),
            one.nested,
            [".".join(chain) for chain in sorted(one.uses.chains)],
            [[*_row(source), ".".join(chain)] for source, chain in sorted(one.uses.imports)],
        ]
        for one in index.statements
    ]
    imports = {name: [_row(one) for one in found] for name, found in index.imports.items()}
    return json.dumps([statements, imports, [_row(one) for one in index.stars]], separators=(",", ":"))


def imports_to_json(imports: list[Import]) -> str:
    """Return imports as text."""
    return json.dumps([_row(one) for one in imports], separators=(",", ":"))


def imports_from_json(text: str) -> list[Import]:
    """Return the imports that `imports_to_json` wrote. Raises ValueError or TypeError for any other text."""
    return [_import(*row) for row in json.loads(text)]


def from_json(text: str) -> Index:
    """Return the index that `to_json` wrote. Raises ValueError, TypeError or KeyError for any other text."""
    rows, imports, stars = json.loads(text)
    statements = [
        Statement(
            line,
            hash,
            tuple(names),
            bool(bare),
            nested,
            Uses(set(map(_chain, chains)), {(_import(*row), _chain(chain)) for *row, chain in found}),
        )
        for line, hash, names, bare, nested, chains, found in rows
    ]
    return Index(
        statements,
        {name: [_import(*row) for row in found] for name, found in imports.items()},
        [_import(*row) for row in stars],
    )


def _row(one: Import) -> list[Any]:
    return [one.module, one.level, one.name, int(one.dotted)]


def _import(module: str, level: int, name: str, dotted: int) -> Import:
    return Import(module, level, name, bool(dotted))


def _chain(text: str) -> Chain:
    return tuple(text.split(".")) if text else ()


# --- statements --------------------------------------------------------------------------------------------------


def _scope(statement: ast.AST) -> Iterator[ast.AST]:
    """Yield a statement and what is nested in it, but for the bodies of functions and classes."""
    yield statement
    if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
        for inner in ast.iter_child_nodes(statement):
            yield from _scope(inner)


def _is_bare(statement: ast.stmt) -> bool:
    """Return whether a statement does more than bind names: then it counts for everything in its module."""
    if isinstance(statement, _BINDS) or without_effect(statement) or _guards(statement):
        return False
    if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return any(isinstance(node, (ast.Attribute, ast.Subscript)) for target in targets for node in ast.walk(target))
    inner = [node for node in _statements_in(statement)]
    return any(map(_is_bare, inner)) if inner else True


def _statements_in(statement: ast.stmt) -> Iterable[ast.stmt]:
    for node in ast.iter_child_nodes(statement):
        if isinstance(node, ast.stmt):
            yield node
        elif isinstance(node, (ast.ExceptHandler, ast.match_case)):
            yield from node.body


def _guards(statement: ast.stmt) -> bool:
    """Return whether it is `if __name__ == "__main__":` or `if TYPE_CHECKING:`, which an import does not run."""
    if not isinstance(statement, ast.If):
        return False
    names = {node.id for node in ast.walk(statement.test) if isinstance(node, ast.Name)}
    attributes = {node.attr for node in ast.walk(statement.test) if isinstance(node, ast.Attribute)}
    return "__name__" in names or "TYPE_CHECKING" in names | attributes
