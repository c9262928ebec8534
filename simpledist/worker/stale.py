"""Clients that come with other code than this worker holds: the likeliest wrong value in practice.

Owns what was seen of it, for the log and for the worker's row. Used by jobs.py.
"""

from __future__ import annotations

import logging
import time

from simpledist import wire
from simpledist.worker.children import Children

log = logging.getLogger("simpledist.worker")


class OtherCode:
    """`seen`: function -> when a client last came with other code, in Unix milliseconds."""

    def __init__(self, children: Children) -> None:
        self.seen: dict[str, int] = {}
        self._children = children

    def differs(self, function: str, theirs: str) -> bool:
        """Return whether a call's fingerprint is another than ours; say so once, and note it for the row."""
        if not wire.differs(wire.brief(self._children.functions.get(function, "")), theirs):
            return False
        if function not in self.seen:
            log.warning(
                "function %s: a client holds other code than this worker; restart the one that is stale, "
                "or give it a version (%s@2)",
                function,
                function,
            )
        self.seen[function] = round(time.time() * 1000)
        return True
