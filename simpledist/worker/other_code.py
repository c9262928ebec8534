"""Clients that differ from this worker: other code, the likeliest wrong value in practice, or another protocol.

Owns what was seen of them, for the log and for the worker's row. jobs.py asks for each call; intake.py is told.
"""

from __future__ import annotations

import logging
import time

from simpledist import policy, wire
from simpledist.worker.children import Children

log = logging.getLogger("simpledist.worker")

TELL_SECONDS = 60.0


class OtherCode:
    """`seen`: function -> when a client last came with other code, in Unix milliseconds."""

    def __init__(self, children: Children) -> None:
        self.seen: dict[str, int] = {}
        self._children = children

    def differs(self, function: str, theirs: str) -> bool:
        """Return whether a call's fingerprint is another than ours; log it once, and note it for the row."""
        if not wire.differs(wire.brief(self._children.template.functions.get(function, "")), theirs):
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


class OtherProtocols:
    """Versions of simpledist that call what this worker offers, and cannot meet it in a job."""

    def __init__(self) -> None:
        self._logged: dict[str, float] = {}  # protocol -> when it was logged

    def seen(self, number: str) -> None:
        """Log that clients speak another protocol, once a minute for each."""
        now = time.monotonic()
        if now - self._logged.get(number, float("-inf")) >= TELL_SECONDS:
            self._logged[number] = now
            log.warning(
                "clients call functions of this worker by protocol %s of simpledist, this worker speaks protocol %d: "
                "those calls run at their callers; install the same version on both sides",
                number,
                policy.PROTOCOL,
            )
