"""Outline of a tree: a short list that two machines can compare, each part of the code with a hash of it.

Pure. Workers tell theirs (`code:{worker}` in Redis), and `simpledist fingerprint --against` finds the first difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

from simpledist.code.digest import CodeDigest
from simpledist.code.tree import Node

MOST_PARTS = 1000  # that a worker tells of all its functions together
MORE = "(more)"  # there are parts that were left out


def parts_of(found: CodeDigest) -> dict[str, str]:
    """Return the parts that a digest covers, from the function's own on: `module:name`, and `package name`."""
    nodes = {} if found.tree is None else {node.place: _hash(node) for node in found.tree.nodes}
    return nodes | {f"package {name}": hash for name, hash in found.packages.items()}


def outline_of(functions: Mapping[str, CodeDigest]) -> dict[str, str]:
    """Return the digest of each function by its name, and their parts: at most MOST_PARTS fields in all."""
    fields = {name: found.text for name, found in functions.items() if found.text}
    for found in functions.values():
        fields |= parts_of(found)
    if len(fields) <= MOST_PARTS:
        return fields
    return dict(list(fields.items())[: MOST_PARTS - 1]) | {MORE: str(len(fields) - MOST_PARTS + 1)}


def first_difference(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """Return the first of our parts that is other code there, and how; "" where there is none, or none is known."""
    missing: list[str] = []
    for place, hash in ours.items():
        if place not in theirs:
            missing += [] if place.startswith("package ") else [place]
        elif theirs[place] != hash:
            return f"{place} is other code"
    return f"{missing[0]} is not there" if missing and MORE not in theirs else ""


def _hash(node: Node) -> str:
    """Return a hash of what a part says and of which names it takes from elsewhere."""
    total = blake2b(node.hash.encode(), digest_size=6)
    for label, to in node.edges:
        where = to if isinstance(to, str) else ""
        total.update(f"{label}>{where};".encode("utf-8", "surrogatepass"))
    return total.hexdigest()
