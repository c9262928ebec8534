"""The call tree of a function by source: what its digest covers, node by node.

A node is what binds one name of a module of the function's own top package (or the statements of a touched module that
bind none, or a whole module that is passed as a value). Its edges are the names that it uses. What lies outside of the
package is an edge to a name, never followed: other packages are compared by their files (others.py).

No node says in which module it lies, so code that was moved is the same code.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b

from simpledist.code.scopes import Chain, Import, Uses, uses
from simpledist.code.sources import Source, exists, source_of
from simpledist.code.writer import written

_BARE, _WHOLE = "(statements)", "(whole)"  # no identifiers
Key = tuple[str, str]  # module, and the name in it


@dataclass(slots=True)
class Node:
    """What binds a name, as bytes, and where it leads: the number of another node, or the name of what lies outside."""

    module: str
    name: str
    line: int
    text: bytes
    edges: list[tuple[str, int | str]] = field(default_factory=list[tuple[str, int | str]])

    @property
    def hash(self) -> str:
        return blake2b(self.text, digest_size=6).hexdigest()


@dataclass(slots=True)
class Tree:
    """Nodes in the order in which they are met, from the function's own on; names of the other packages it uses."""

    nodes: list[Node]
    others: set[str]
    own: str

    def digest(self) -> str:
        """Return 16 hex digits: equal for equal trees."""
        total = blake2b(digest_size=8, person=b"simpledist-code")
        for node in self.nodes:
            total.update(b"%d:" % len(node.text) + node.text)
            for name, to in node.edges:
                where = f"#{to}" if isinstance(to, int) else to
                total.update(f"{len(name)}:{name}>{len(where)}:{where};".encode("utf-8", "surrogatepass"))
        return total.hexdigest()


@dataclass(frozen=True, slots=True)
class Part:
    """The statements that bind a name: where the first begins, what they say, what they use."""

    line: int
    text: bytes
    uses: Uses


class Package:
    """The modules of one top package, read when they are first needed."""

    def __init__(self, module: str, known_as: str | None = None) -> None:
        self._known_as = {known_as: module} if known_as else {}  # the name that a module goes by -> how it is found
        self.own = top_of(known_as or module)
        self._sources: dict[str, Source | None] = {}
        self._parts: dict[Key, Part] = {}

    def source(self, module: str) -> Source | None:
        if module not in self._sources:
            self._sources[module] = source_of(self._known_as.get(module, module), module)
        return self._sources[module]

    def part(self, key: Key) -> Part:
        """Return what binds a name of a module, which has source; many trees share it."""
        if key not in self._parts:
            source = self.source(key[0])
            assert source is not None
            self._parts[key] = _part(source, key[1])
        return self._parts[key]

    def holds(self, module: str) -> bool:
        return module == self.own or module.startswith(self.own + ".")

    def is_module(self, name: str) -> bool:
        return self.source(name) is not None or exists(name)


def top_of(module: str) -> str:
    """Return the package that a module belongs to; within a namespace package that is a part of it."""
    parts = module.split(".")
    top = parts[0]
    for part in parts[1:]:
        source = source_of(top)
        if source is not None or not exists(top):
            break
        top = f"{top}.{part}"
    return top


def tree_of(package: Package, module: str, name: str) -> Tree | None:
    """Return the tree below a name of a module; None where that module has no source or does not bind it."""
    source = package.source(module)
    if source is None or not source.has(name):
        return None
    return _Builder(package).build((module, name))


class _Builder:
    def __init__(self, package: Package) -> None:
        self._package = package
        self._numbers: dict[Key, int] = {}
        self._nodes: list[Node] = []
        self._queue: deque[Key] = deque()
        self._others: set[str] = set()

    def build(self, root: Key) -> Tree:
        self._number(root)
        while self._queue:
            module, name = self._queue.popleft()
            source = self._package.source(module)
            assert source is not None
            part = self._package.part((module, name))
            node = Node(module, name, part.line, part.text)
            self._nodes.append(node)
            node.edges = self._edges(source, part.uses)
            if name != _BARE and source.bare:
                node.edges.append((_BARE, self._number((module, _BARE))))
        return Tree(self._nodes, self._others, self._package.own)

    def _number(self, key: Key) -> int:
        if key not in self._numbers:
            self._numbers[key] = len(self._numbers)
            self._queue.append(key)
        return self._numbers[key]

    # --- edges ---------------------------------------------------------------------------------------------------

    def _edges(self, source: Source, found: Uses) -> list[tuple[str, int | str]]:
        """Return each name with where it leads, once, in the order of names: numbers are given in this order."""
        edges: dict[tuple[str, int | str], None] = {}
        for chain in sorted(found.chains):
            for to in self._resolved(source, chain, frozenset()):
                edges[chain[0], to] = None
        for one, chain in sorted(found.imports):
            for to in self._imported(source, one, chain, frozenset()):
                edges[".".join([*([one.name] if one.name else []), *chain]), to] = None
        return list(edges)

    def _resolved(self, source: Source, chain: Chain, seen: frozenset[Key]) -> Iterator[int | str]:
        """Yield where a name of a module leads, with the attributes taken from it."""
        name, rest = chain[0], chain[1:]
        key = (source.name, name)
        if key in seen:
            return
        seen |= {key}
        if name in source.bindings:
            yield self._number(key)
            return  # an import among them is an edge of that node
        if name in source.imports:
            for one in source.imports[name]:
                yield from self._imported(source, one, rest, seen)
            return
        for star in source.stars:
            yield from self._from_star(source, star, chain, seen)

    def _from_star(self, source: Source, star: Import, chain: Chain, seen: frozenset[Key]) -> Iterator[int | str]:
        module = source.absolute(star)
        if self._package.holds(module):
            inner = self._package.source(module)
            if inner is not None:
                yield from self._resolved(inner, chain, seen)
        elif module:
            self._outside(module)

    def _imported(self, source: Source, one: Import, chain: Chain, seen: frozenset[Key]) -> Iterator[int | str]:
        module = source.absolute(one)
        if one.dotted:
            module = module.partition(".")[0]  # `import a.b` binds `a`
        # Of a namespace package, `import ns.own` binds the part that lies outside.
        if not self._package.holds(module) and not (one.dotted and self._package.holds(".".join((module, *chain)))):
            yield self._outside(".".join((module, *([one.name] if one.name else []))))
            return
        if not one.name:
            yield from self._attribute(module, chain, seen)
        else:
            yield from self._attribute(module, (one.name, *chain), seen)

    def _attribute(self, module: str, chain: Chain, seen: frozenset[Key]) -> Iterator[int | str]:
        """Yield what attributes of a module lead to: its names first, then its modules."""
        source = self._package.source(module)
        if not chain:
            yield self._number((module, _WHOLE)) if source is not None else f"module {module.rpartition('.')[2]}"
            return
        if source is not None and source.has(chain[0]) and not self._is_itself(source, chain[0]):
            yield from self._resolved(source, chain, seen)
            return
        inner = f"{module}.{chain[0]}"
        if self._package.is_module(inner):
            yield from self._attribute(inner, chain[1:], seen)
        elif source is not None:
            found = list(self._resolved(source, chain, seen))
            yield from found or [f"missing {chain[0]}"]

    def _is_itself(self, source: Source, name: str) -> bool:
        """Return whether a package's name is only its own module, imported: `from . import name`."""
        if name in source.bindings:
            return False
        return all(source.absolute(one) == source.name and one.name == name for one in source.imports[name])

    def _outside(self, name: str) -> str:
        self._others.add(name.partition(".")[0])
        return name


def _part(source: Source, name: str) -> Part:
    statements = [source.tree.body[index] for index in _statements(source, name)]
    found = uses(statements)
    imports = (
        [one for all in source.imports.values() for one in all] if name == _WHOLE else source.imports.get(name, [])
    )
    found.imports |= {(one, ()) for one in imports}
    text = b"\n".join(written(statement) for statement in statements)
    return Part(statements[0].lineno if statements else 0, text, found)


def _statements(source: Source, name: str) -> Iterable[int]:
    if name == _BARE:
        return source.bare
    return range(len(source.tree.body)) if name == _WHOLE else source.bindings.get(name, ())
