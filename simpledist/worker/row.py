"""The row by which people and clients know this worker: who it is, what it offers, what is wrong with it.

Owns which news the row in Redis does not tell yet. Redis keeps it as JSON with named fields; monitor/rows.py reads it.
Used by heartbeat.py, which registers the worker by it.
"""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from typing import Any, Literal

from simpledist import __version__, policy
from simpledist.worker.children import Children
from simpledist.worker.options import Options
from simpledist.worker.other_code import OtherCode
from simpledist.worker.refusals import Refusals

RETELL_MS = round(
    policy.RETELL_SECONDS * 1000
)  # so often the row says again that clients come with other code, or that jobs are refused


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps a worker from its work, in a line for people; "" where all is well."""

    text: str = ""
    kind: Literal["", "children", "commands"] = ""  # which of them cannot start, or do not get through to Redis

    def __bool__(self) -> bool:
        return bool(self.text)


class Row:
    """The worker's row, made again each time that it has changed."""

    def __init__(
        self, options: Options, children: Children, refusals: Refusals, other_code: OtherCode, keys: tuple[str, ...]
    ) -> None:
        self._options = options
        self._children = children
        self._refusals = refusals
        self._other_code = other_code
        self._keys = keys
        self._started_ms = round(time.time() * 1000)
        self._mismatched: dict[str, int] = {}  # as the row tells them
        self._refusals_ms = 0  # it tells of refusals until then, Unix milliseconds
        self._missing = 0  # so many missing modules it names
        self._digests: dict[str, str] = {}  # of the functions, as the row tells them
        self._withdrawn: frozenset[str] = frozenset()  # the functions that it does not offer for the time being

    def lacks_news(self) -> bool:
        """Return whether the row does not say yet, or has not said for a minute, what this worker has met."""
        return self._lacks_mismatch() or self._lacks_refusal()

    def offers_wrongly(self) -> bool:
        """Return whether a function was withdrawn or may be offered again, or a new template has loaded other code."""
        other_code = self._children.template.digests != self._digests
        return other_code or self._refusals.withdrawn() != self._withdrawn

    def _lacks_mismatch(self) -> bool:
        seen = self._other_code.seen.items()
        return any(at - self._mismatched.get(function, 0) >= RETELL_MS for function, at in seen)

    def _lacks_refusal(self) -> bool:
        last_ms, told_ms = self._refusals.last_ms, self._refusals_ms
        another = len(self._refusals.missing) > self._missing
        return last_ms > told_ms and (not told_ms or another or last_ms - told_ms >= RETELL_MS)

    def made(self, trouble: Trouble, connection: str, *, offering: bool) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the row, and what is offered, function by digest: nothing by a worker that drains or cannot run it."""
        functions, digests = self._children.template.functions, self._children.template.digests
        self._digests, self._withdrawn = digests, self._refusals.withdrawn()
        offers = sorted(functions.keys() - self._withdrawn) if offering else []
        self._mismatched, self._refusals_ms = dict(self._other_code.seen), self._refusals.last_ms
        self._missing = len(self._refusals.missing)
        row = {
            "host": platform.node(),
            "pid": os.getpid(),
            "label": self._options.label,
            "tags": list(self._options.tags),
            "functions": offers,
            "fingerprints": {name: known for name in offers if (known := functions[name])},
            "digests": {name: known for name in offers if (known := digests[name])},
            "slots": self._children.count,
            "memory": self._options.memory_bytes,
            "started": self._started_ms,
            "python": platform.python_version(),
            "simpledist": __version__,
            "protocol": policy.PROTOCOL,
            "keys": list(self._keys),
            "mismatched": self._mismatched,
            "refusals": self._refusals.row(),
            "distributions": self._children.template.distributions,
            "missing": self._refusals.missing,
            "withdrawn": sorted(self._withdrawn),
            "trouble": trouble.text,
            "trouble_kind": trouble.kind,
            "generators": self._children.template.shared_generators,
            "connection": connection,
        }
        return row, {name: digests[name] for name in offers}
