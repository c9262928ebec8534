"""Which names of its module a piece of code uses, and what it imports by itself.

Owns Python's rules of scope as far as they decide that: what a function binds hides the module's name in it and in what
is nested in it; the body of a class hides nothing from its methods. Pure: knows no module, resolves nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from simpledist.code.writer import keeps_annotations

Chain = tuple[str, ...]  # a name and the attributes taken from it: ("helpers", "f")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True, slots=True, order=True)
class Import:
    """One name of an import: `module` as written, `level` dots before it, `name` taken from it ("": the module)."""

    module: str
    level: int = 0
    name: str = ""
    dotted: bool = False  # `import a.b` without `as` binds `a`


@dataclass(slots=True)
class Uses:
    """What code needs from its module (`chains`), and what its own imports lead to, with the attributes taken."""

    chains: set[Chain] = field(default_factory=set[Chain])
    imports: set[tuple[Import, Chain]] = field(default_factory=set[tuple[Import, Chain]])


def uses(nodes: Iterable[ast.AST]) -> Uses:
    """Return what statements of a module, or expressions, use of the module around them."""
    found = Uses()
    for node in nodes:
        _Visitor(found, {}).visit(node)
    return found


def bound_in(statements: Iterable[ast.AST]) -> set[str]:
    """Return the names that statements bind in their own scope."""
    names: set[str] = set()
    for node in _own(statements):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update(name for name, _ in imported(node))
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
            names.update([node.name] if node.name else [])
        elif isinstance(node, ast.MatchMapping) and node.rest:
            names.add(node.rest)
    return names


def imported(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Import]]:
    """Yield each name that an import binds, and what is imported; a star binds `*`."""
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            yield alias.asname or alias.name, Import(node.module or "", node.level, alias.name)
        elif alias.asname:
            yield alias.asname, Import(alias.name)
        else:
            yield alias.name.partition(".")[0], Import(alias.name, dotted="." in alias.name)


def _own(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield every node of one scope: of nested ones only what binds or is evaluated outside of them."""
    for node in nodes:
        yield node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield from _own(_around(node))
        elif isinstance(node, ast.Lambda):
            yield from _own(_defaults(node.args))
        elif isinstance(node, _COMPREHENSIONS):
            yield from _walrus_targets(node)
        else:
            yield from _own(ast.iter_child_nodes(node))


def _walrus_targets(node: ast.AST) -> Iterator[ast.AST]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.NamedExpr):
            yield inner.target


def _around(node: ast.AST) -> list[ast.AST]:
    """Return the parts of a definition that are evaluated in the scope around it."""
    if isinstance(node, ast.ClassDef):
        return [*node.decorator_list, *node.bases, *node.keywords]
    assert isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    parts: list[ast.AST] = [*node.decorator_list, *_defaults(node.args)]
    if keeps_annotations(node):
        arguments = ast.walk(node.args)
        parts += [one.annotation for one in arguments if isinstance(one, ast.arg) and one.annotation is not None]
        parts += [node.returns] if node.returns is not None else []
    return parts


def _defaults(arguments: ast.arguments) -> list[ast.AST]:
    return [*arguments.defaults, *(one for one in arguments.kw_defaults if one is not None)]


class _Visitor(ast.NodeVisitor):
    """Walks one scope. `hidden`: names bound in the functions around, each with the imports that it may be."""

    def __init__(self, found: Uses, hidden: dict[str, tuple[Import, ...]]) -> None:
        self._found = found
        self._hidden = hidden

    def visit_Name(self, node: ast.Name) -> None:
        self._use((node.id,))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        chain: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            chain.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name):
            self._use((inner.id, *reversed(chain)))
        else:
            self.visit(inner)

    def _use(self, chain: Chain) -> None:
        if chain[0] not in self._hidden:
            self._found.chains.add(chain)
        for source in self._hidden.get(chain[0], ()):
            self._found.imports.add((source, chain[1:]))

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.target)
        if node.value is not None:
            self.visit(node.value)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for part in _around(node):
            self.visit(part)
        self._scope(node.args, node.body)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        for part in _defaults(node.args):
            self.visit(part)
        self._scope(node.args, [node.body])

    def _scope(self, arguments: ast.arguments, body: Iterable[ast.AST]) -> None:
        body = list(body)
        of_module: set[str] = set()
        of_function: set[str] = set()
        imports: dict[str, tuple[Import, ...]] = {}
        for node in _own(body):
            if isinstance(node, ast.Global):
                of_module.update(node.names)
            elif isinstance(node, ast.Nonlocal):
                of_function.update(node.names)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                for name, source in imported(node):
                    imports[name] = (*imports.get(name, ()), source)
        bound = bound_in(body) | {one.arg for one in ast.walk(arguments) if isinstance(one, ast.arg)}
        hidden = {name: source for name, source in self._hidden.items() if name not in of_module}
        hidden |= {name: imports.get(name, ()) for name in bound - of_module - of_function}
        self._found.chains.update((name,) for name in of_module)
        inner = _Visitor(self._found, hidden)
        for node in body:
            inner.visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for part in _around(node):
            self.visit(part)
        # A name that the class binds may still be the module's when it is read first, so it counts as both.
        for statement in node.body:
            if isinstance(statement, ast.AnnAssign):
                self.visit(statement.annotation)
            self.visit(statement)

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self._comprehension(node, [node.elt])

    def visit_SetComp(self, node: ast.SetComp) -> None:
        self._comprehension(node, [node.elt])

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self._comprehension(node, [node.elt])

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self._comprehension(node, [node.key, node.value])

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, of: list[ast.expr]
    ) -> None:
        self.visit(node.generators[0].iter)
        hidden: dict[str, tuple[Import, ...]] = dict.fromkeys(bound_in(one.target for one in node.generators), ())
        inner = _Visitor(self._found, {**self._hidden, **hidden})
        for number, generator in enumerate(node.generators):
            for part in [*([generator.iter] if number else []), *generator.ifs]:
                inner.visit(part)
        for part in of:
            inner.visit(part)
