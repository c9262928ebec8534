"""Deaths of workers, as a distributor notices them in its passes, no matter which process expelled the worker.

A worker that has died beats no more and leaves a row that says so; one that has left leaves none. Owns which workers
beat at the last full look. Used by the duties, in one thread.
"""

from __future__ import annotations

from collections.abc import Iterable

from simpledist.broker import Broker
from simpledist.broker.rows import rows_of
from simpledist.printable import printable

NAMED_MOST = 500  # deaths that are named in one pass


class Deaths:
    """The workers that beat: `heartbeats` is read in pages, and a full look is over when all pages were read."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._beat: set[str] = set()
        self._seen: set[str] = set()
        self._gone: set[str] = set()

    def saw(self, workers: Iterable[str], *, last: bool) -> None:
        """Note the workers of one page; with `last` all pages were read."""
        self._seen.update(workers)
        if last:
            self._gone |= self._beat - self._seen
            self._beat, self._seen = self._seen, set()

    def taken(self, expelled: Iterable[str]) -> list[str]:
        """Return the workers that died since the last pass, as people find them. `expelled`: in this very pass."""
        self._gone.update(expelled)
        self._beat.difference_update(self._gone)
        if not self._gone:
            return []
        names = sorted(self._gone)[:NAMED_MOST]
        rows = rows_of(self._broker, names)  # may raise: then they are asked about in the next pass
        self._gone.difference_update(names)
        return [
            f"{id} ({printable(row.get('label'))} on {printable(row.get('host'))}, pid {row.get('pid')})"
            for id, row in rows.items()
            if "dead" in row
        ]
