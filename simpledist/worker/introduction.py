"""Introduction of a template, once it has imported the targets: its functions, and which code they are.

Owns that a worker's digests are of what it has loaded: they are worked out at once after the import, and before a child
runs anything. Called by the template; template_process.py reads the line.
"""

from __future__ import annotations

import sys
from hashlib import blake2b
from typing import Any

from simpledist import shipped
from simpledist.code.digest import CodeDigest, digests, unreadable
from simpledist.code.distributions import versions_on
from simpledist.code.fingerprint import fingerprint
from simpledist.code.outline import outline_of
from simpledist.randomness import generators_in_modules
from simpledist.worker.targets import Functions


def introduction(functions: Functions, *, forks: bool) -> dict[str, Any]:
    """Return the line: `functions`, each with what is known of it, `code`, their parts, `loaded`, a hash of all."""
    found = {name: _digest(function) for name, function in functions.items()}
    return {
        "loaded": _hash(found),
        "forks": forks,
        "functions": {
            name: {
                "fingerprint": fingerprint(function),
                "digest": found[name].text,
                "place": found[name].short_place,
                "packages": found[name].packages,
            }
            for name, function in functions.items()
        },
        "code": outline_of(found),
        # Where any function may come, people ask what it finds.
        "distributions": versions_on(sys.path) if shipped.FUNCTION in functions else {},
        "changed": sorted({one.reason for one in found.values() if one.changed}),
        # A spawned child imports for itself: only what is forked is a copy.
        "generators": generators_in_modules() if forks else [],
    }


def loaded(functions: Functions) -> str:
    """Return a hash of all their code: a child that imports for itself must have loaded what its template has."""
    return _hash({name: _digest(function) for name, function in functions.items()})


def _hash(found: dict[str, CodeDigest]) -> str:
    lines = sorted(f"{name} {one.text} {one.packages}" for name, one in found.items())
    return blake2b("\n".join(lines).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _digest(function: Any) -> CodeDigest:
    try:
        return digests.of(function)
    except Exception as error:  # noqa: BLE001 - a worker without a digest serves its function by name; see the log
        return unreadable(error)
