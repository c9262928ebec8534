"""The call tree of a function by source: what its digest covers, node by node.

A node is what binds one name of a module of the function's own top package (or the statements of a touched module that
bind none, or a whole module that is passed as a value). Its edges are the names that it uses. What is outside of the
package is an edge to a name, never followed: other packages are compared by their files (first_party.py).

No node names its module, so code that was moved is the same code.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b

from simpledist.code.loaded import Loaded
from simpledist.code.scopes import Chain, Import, Uses
from simpledist.code.sources import Source, exists, is_namespace, source_of

WHOLE = "(whole)"  # no identifiers: the names of what is no binding
_BARE = "(statements)"
Key = tuple[str, str]  # module, and the name in it
Label = str  # the name by which a node uses another one
NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Node:
    """What binds a name: a hash of what it says, and where it leads: the key of another node, or a name outside."""

    module: str
    name: str
    line: int
    hash: str
    edges: tuple[tuple[Label, Key | str], ...]
    others: frozenset[str]  # what it uses of other packages: module, name and attributes, as far as they are written

    @property
    def place(self) -> str:
        return f"{self.module} {self.name}" if self.name.startswith("(") else f"{self.module}:{self.name}"


@dataclass(slots=True)
class Tree:
    """Nodes in the order in which they are met, from the function's own on; `others`: what they use outside."""

    nodes: list[Node]
    own: str
    ignored: frozenset[str] = NOTHING
    others: set[str] = field(init=False, default_factory=set[str])

    def __post_init__(self) -> None:
        for node in self.nodes:
            self.others |= node.others

    def digest(self) -> str:
        """Return 16 hex digits: equal for equal trees."""
        total = blake2b(digest_size=8, person=b"simpledist-code")
        numbers = {(node.module, node.name): number for number, node in enumerate(self.nodes)}
        for node in self.nodes:
            total.update(node.hash.encode())
            for label, to in node.edges:
                where = to if isinstance(to, str) else f"#{numbers.get(to, 'ignored')}"
                total.update(f"{len(label)}:{label}>{len(where)}:{where};".encode("utf-8", "surrogatepass"))
        return total.hexdigest()


class Package:
    """The modules of one top package, each read when it is first needed, and the nodes in them, which trees share."""

    def __init__(self, module: str, known_as: str | None = None) -> None:
        self._known_as = {known_as: module} if known_as else {}  # the name that a module goes by -> how it is found
        self.own = top_of(known_as or module)
        self.sources: dict[str, Source | None] = {}
        self._loaded: dict[str, Loaded] = {}
        self._nodes: dict[Key, Node] = {}

    def source(self, module: str) -> Source | None:
        if module not in self.sources:
            self.sources[module] = source_of(self.found_as(module), module)
        return self.sources[module]

    def found_as(self, module: str) -> str:
        """Return the name under which a module is loaded: of a script, which goes by its file's name, `__main__`."""
        return self._known_as.get(module, module)

    def renew(self) -> None:
        """Read again what was read for another module object than the one that is loaded now."""
        current = {
            name: source
            for name, source in self.sources.items()
            if source is None or source.is_of(sys.modules.get(self.found_as(name)))
        }
        if len(current) < len(self.sources):
            self.sources, self._nodes, self._loaded = current, {}, {}

    def changed(self, names: dict[str, list[str]]) -> str:
        """Return the name of a file, among these modules and names in them, that changed since it was imported."""
        for module, its in names.items():
            source = self.source(module)
            if source is None or source.loaded is None:
                continue
            if module not in self._loaded:
                self._loaded[module] = Loaded(source)
            if self._loaded[module].differs(list(vars(source.loaded)) if WHOLE in its else its):
                return os.path.basename(source.path) or module
        return ""

    def node(self, key: Key) -> Node:
        """Return what binds a name of a module, which has source."""
        if key not in self._nodes:
            source = self.source(key[0])
            assert source is not None
            self._nodes[key] = _Edges(self).node(source, key[1])
        return self._nodes[key]

    def holds(self, module: str) -> bool:
        return module == self.own or module.startswith(self.own + ".")

    def is_module(self, name: str) -> bool:
        return self.source(name) is not None or exists(name)


def top_of(name: str) -> str:
    """Return the package that a dotted name belongs to; within a namespace package that is a part of it."""
    parts = name.split(".")
    top = parts[0]
    for part in parts[1:]:
        if not is_namespace(top):
            break
        top = f"{top}.{part}"
    return top


def tree_of(package: Package, module: str, name: str, ignored: frozenset[str] = NOTHING) -> Tree | None:
    """Return the tree below a name of a module; None where that module has no source or does not bind it.

    `ignored`: modules, and names in them (`module:name`), that do not count.
    """
    source = package.source(module)
    if source is None or not (name == WHOLE or source.has(name)):
        return None
    nodes: dict[Key, Node] = {}
    met = {(module, name)}
    waiting = deque(met)
    while waiting:
        key = waiting.popleft()
        if nodes and _is_ignored(key, ignored):
            continue
        nodes[key] = node = package.node(key)
        for _, to in node.edges:
            if not isinstance(to, str) and to not in met:
                met.add(to)
                waiting.append(to)
    return Tree(list(nodes.values()), package.own, ignored)


def _is_ignored(key: Key, ignored: frozenset[str]) -> bool:
    if not ignored:
        return False
    parts = key[0].split(".")
    modules = {".".join(parts[:end]) for end in range(1, len(parts) + 1)}
    return not ignored.isdisjoint(modules | {f"{key[0]}:{key[1]}"})


class _Edges:
    """Finds where the names that one node uses lead."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self._others: set[str] = set()

    def node(self, source: Source, name: str) -> Node:
        index = source.index
        numbers = {_BARE: index.bare(), WHOLE: list(range(len(index.statements)))}.get(name)
        statements = [index.statements[one] for one in (index.bindings.get(name, ()) if numbers is None else numbers)]
        found = Uses()
        for statement in statements:
            found.chains |= statement.uses.chains
            found.imports |= statement.uses.imports
        names = index.imports if name == WHOLE else [name]
        found.imports |= {(one, ()) for name in names for one in index.imports.get(name, ())}
        edges = dict.fromkeys(self._edges(source, found))
        if name != _BARE and index.bare():
            edges[_BARE, (source.name, _BARE)] = None
        said = blake2b(b"".join(one.hash.encode() for one in statements), digest_size=16)
        line = statements[0].line if statements else 0
        return Node(source.name, name, line, said.hexdigest(), tuple(edges), frozenset(self._others))

    def _edges(self, source: Source, found: Uses) -> Iterator[tuple[Label, Key | str]]:
        """Yield each name with where it leads, in the order of names: nodes are met in this order."""
        for chain in sorted(found.chains):
            for to in self._resolved(source, chain, frozenset()):
                yield chain[0], to
        for one, chain in sorted(found.imports):
            for to in self._imported(source, one, chain, frozenset()):
                yield ".".join([*([one.name] if one.name else []), *chain]), to

    def _resolved(self, source: Source, chain: Chain, seen: frozenset[Key]) -> Iterator[Key | str]:
        """Yield where a name of a module leads, with the attributes taken from it."""
        name, rest = chain[0], chain[1:]
        key = (source.name, name)
        if key in seen:
            return
        seen |= {key}
        if name in source.index.bindings:
            yield key
            return  # an import among them is an edge of that node
        if name in source.index.imports:
            for one in source.index.imports[name]:
                yield from self._imported(source, one, rest, seen)
            return
        for star in source.index.stars:
            yield from self._from_star(source, star, chain, seen)

    def _from_star(self, source: Source, star: Import, chain: Chain, seen: frozenset[Key]) -> Iterator[Key | str]:
        module = source.absolute(star)
        if self._package.holds(module):
            inner = self._package.source(module)
            if inner is not None:
                yield from self._resolved(inner, chain, seen)
        elif module:
            self._others.add(f"{module}.{chain[0]}")

    def _imported(self, source: Source, one: Import, chain: Chain, seen: frozenset[Key]) -> Iterator[Key | str]:
        module = source.absolute(one)
        if one.dotted:
            module = module.partition(".")[0]  # `import a.b` binds `a`
        # Of a namespace package, `import ns.own` binds the part outside.
        if not self._package.holds(module) and not (one.dotted and self._package.holds(".".join((module, *chain)))):
            name = ".".join((module, *([one.name] if one.name else [])))
            self._others.add(".".join((name, *chain)))
            yield name
            return
        if not one.name:
            yield from self._attribute(module, chain, seen)
        else:
            yield from self._attribute(module, (one.name, *chain), seen)

    def _attribute(self, module: str, chain: Chain, seen: frozenset[Key]) -> Iterator[Key | str]:
        """Yield what attributes of a module lead to: its names first, then its modules."""
        source = self._package.source(module)
        if not chain:
            yield (module, WHOLE) if source is not None else f"module {module.rpartition('.')[2]}"
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
        else:
            yield f"unreadable {module.rpartition('.')[2]}.{chain[0]}"

    def _is_itself(self, source: Source, name: str) -> bool:
        """Return whether a package's name is only its own module, imported: `from . import name`."""
        if name in source.index.bindings:
            return False
        return all(source.absolute(one) == source.name and one.name == name for one in source.index.imports[name])
