"""Where this client's calls are submitted: the lane of each function, and what a call asks of a worker.

Owns what Redis has answered about lanes, and the lines that say why no worker may have a call. Asked when calls are
submitted or nudged, from any thread; knows no Redis. What is told in the log is told once a minute for each function
and reason.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from simpledist import policy
from simpledist.broker.records import NO_KEY, Wish
from simpledist.engine.known import NEVER, Store
from simpledist.job import Why
from simpledist.wire.signing import Keyring

log = logging.getLogger("simpledist")

MOVED_SECONDS = 10.0  # a function's plain lane is tried again after so long
TELL_SECONDS = 60.0
REFUSALS: dict[str, Why] = {
    "no_worker": "no_worker",
    "key": "key",
    "other_code": "other_code",
    "disabled": "disabled",
}


class Lanes:
    """`_told` is replaced key by key, never iterated: no lock is needed."""

    def __init__(self, keyring: Keyring, store: Store) -> None:
        self._key = keyring.signing_id.hex() if keyring else NO_KEY
        self.wish = Wish(key=self._key)
        self._store = store
        self._told: dict[tuple[str, str], float] = {}

    def of(self, function: str) -> str:
        """Return the lane on which a call of this function is submitted."""
        known = self._store.of(function)
        if known.lane_until == NEVER or time.monotonic() >= known.lane_until:
            return function
        return known.lane

    def moved(self, function: str, word: str) -> bool:
        """Return whether `word` says on which other lane workers for our calls of this function were found."""
        moved, _, lane = word.partition(" ")
        if moved != "moved":
            return False
        known = self._store.of(function)
        known.lane, known.lane_until = lane, time.monotonic() + MOVED_SECONDS
        return True

    def wished(self, pythons: Iterable[str]) -> Wish:
        """Return what calls ask for that travel together; `pythons`: the minor version that each needs, or ""."""
        python = next((one for one in pythons if one), "")
        return self.wish._replace(python=python) if python else self.wish

    def asked(self, functions: Iterable[str]) -> dict[str, Wish]:
        """Return the lanes and wishes to ask Redis about."""
        return {self.of(function): self.wish for function in sorted(functions)}

    def refused(self, function: str, word: str) -> Why | None:
        """Return why no worker may have a call, None where `word` says something else; its details go to the log."""
        kind, _, details = word.partition(" ")
        why = REFUSALS.get(kind)
        if why is not None and details:
            self._tell(function, kind, details)
        return why

    def _tell(self, function: str, kind: str, details: str) -> None:
        now = time.monotonic()
        if now - self._told.get((function, kind), float("-inf")) < TELL_SECONDS:
            return
        self._told[function, kind] = now
        if kind == "key":
            log.warning(
                "function %s: its workers hold other keys (%s) than the one that signs our calls (%s), which run here; "
                "give all of them the same --secret-file",
                function,
                ", ".join("none" if id == NO_KEY else id for id in details.split()),
                "none" if self._key == NO_KEY else self._key,
            )
        elif kind == "other_code":
            log.warning("function %s: its workers hold other code (%s); our calls run here", function, details)
        else:
            log.warning(
                "function %s: its workers speak protocol %s of simpledist, this client protocol %d: calls run here; "
                "install the same version on both sides",
                function,
                ", ".join(details.split()[1:]),
                policy.PROTOCOL,
            )
