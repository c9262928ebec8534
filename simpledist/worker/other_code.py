"""Clients that differ from this worker: other code of a function, or another protocol.

Owns what was seen of them, for the log and for the worker's row. jobs.py asks for each call; intake.py says which
calls Redis has sent home.
"""

from __future__ import annotations

import functools
import time

from simpledist import policy
from simpledist.broker.records import NO_DIGEST
from simpledist.printable import logger
from simpledist.worker.children import Children

log = logger("simpledist.worker")


class OtherCode:
    """`seen`: function -> when a client last came with other code, in Unix milliseconds."""

    def __init__(self, children: Children) -> None:
        self.seen: dict[str, int] = {}
        self._children = children

    def differs(self, function: str, wanted: str, packages: str) -> bool:
        """Return whether a call is for other code than ours; "" is for whatever has the name.

        `packages`: as in an envelope; those that are not first-party on this worker are not compared.
        """
        template = self._children.template
        if not wanted:
            return False
        if wanted == (template.digests.get(function) or NO_DIGEST):
            if not packages:
                return False
            ours = template.packages.get(function, {})
            if all(ours.get(name, hash) == hash for name, hash in _pairs(packages)):
                return False
        self.met(function)
        return True

    def met(self, function: str) -> None:
        """Note for the row that a client holds other code of this function; log it once."""
        if function not in self.seen:
            log.warning(
                "function %s: a client holds other code than this worker; restart the one that is stale, "
                "or give it a version (%s@2)",
                function,
                function,
            )
        self.seen[function] = round(time.time() * 1000)


@functools.lru_cache(maxsize=1024)
def _pairs(packages: str) -> tuple[tuple[str, str], ...]:
    """Return the name and the hash of each package in the note of a call."""
    return tuple((name, hash) for name, _, hash in (one.partition(":") for one in packages.split()))


class OtherProtocols:
    """Versions of simpledist that call what this worker offers, and cannot meet it in a job."""

    def __init__(self) -> None:
        self._logged: dict[str, float] = {}  # protocol -> when it was logged

    def seen(self, number: str) -> None:
        """Log that clients speak another protocol, once a minute for each."""
        now = time.monotonic()
        if now - self._logged.get(number, float("-inf")) >= policy.RETELL_SECONDS:
            self._logged[number] = now
            log.warning(
                "clients call functions of this worker by protocol %s of simpledist, this worker speaks protocol %d: "
                "those calls run at their callers; install the same version on both sides",
                number,
                policy.PROTOCOL,
            )
