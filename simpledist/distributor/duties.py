"""One pass over the duties: look for the dead, push back what was lost, drop what nobody waits for.

Everything found here is only a candidate: `reap` judges it again by Redis TIME, so any number of distributors may
do the same at once. Each pass is bounded: at most 1,000 workers, clients and queued jobs, in rotation.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from simpledist import job, policy
from simpledist.broker import Broker, suspicion
from simpledist.broker.records import Reaped, Suspect

FUNCTIONS_A_PASS = 300


@dataclass
class _Rotation:
    """Where the last pass stopped."""

    workers: bytes | int = 0
    clients: bytes | int = 0
    functions: int = 0
    ledger: dict[str, int] = field(default_factory=dict[str, int])


class Duties:
    """The duties of one process over its Broker; keeps nothing but its place in the rotation."""

    def __init__(self, broker: Broker, timings: policy.Timings = policy.TIMINGS) -> None:
        self._broker = broker
        self._timings = timings
        self._rotation = _Rotation()

    def do(self) -> Reaped:
        """One pass; raises RedisDown or RedisRefused."""
        link, keys = self._broker.link, self._broker.keys
        self._rotation.workers, workers = self._page("workers", keys.workers, self._rotation.workers)
        self._rotation.clients, clients = self._page("clients", keys.clients, self._rotation.clients)
        busy = self._busy([one.id for one in workers])
        workers.sort(key=lambda one: one.id not in busy)  # those that hold jobs first
        closed = {one.id: one.connection for one in suspicion.closed(link, (workers + clients)[: policy.BATCH_ITEMS])}
        functions = self._functions()
        return self._broker.reap(
            run_id=link.run_id,
            workers=[(one.id, closed.get(one.id, "")) for one in workers],
            clients=[(one.id, closed.get(one.id, "")) for one in clients],
            functions=functions,
            orphans=self._orphans(functions),
        )

    def _page(self, kind: str, key: str, cursor: bytes | int) -> tuple[bytes | int, list[Suspect]]:
        """The next thousand rows of a hash, with the connection that each names."""
        cursor, flat = self._broker.link.call("HSCAN", key, cursor, "COUNT", policy.BATCH_ITEMS)
        rows = zip(flat[::2], flat[1::2], strict=True)
        found: list[Suspect] = []
        for id, row in rows:
            text = row.decode("utf-8", "replace")
            if kind == "workers":
                connection = text.partition('"connection":"')[2].partition('"')[0]
            else:
                connection = text.partition(" ")[2]
            found.append(Suspect(kind, id.decode("utf-8", "replace"), connection))
        return cursor, found

    def _busy(self, workers: list[str]) -> set[str]:
        keys = self._broker.keys
        held = self._broker.link.pipeline([("EXISTS", keys.named("held", worker)) for worker in workers])
        return {worker for worker, one in zip(workers, held, strict=True) if one == 1}

    def _functions(self) -> list[str]:
        names = sorted(name.decode() for name in self._broker.link.call("SMEMBERS", self._broker.keys.functions))
        first = self._rotation.functions % max(len(names), 1)
        self._rotation.functions = first + FUNCTIONS_A_PASS
        return (names[first:] + names[:first])[:FUNCTIONS_A_PASS]

    def _orphans(self, functions: list[str]) -> list[tuple[str, str]]:
        """Queued jobs whose client has no row any more, out of the next thousand of each ledger."""
        link, keys = self._broker.link, self._broker.keys
        lengths = link.pipeline([("ZCARD", keys.named("queued", function)) for function in functions])
        waiting = [
            function for function, length in zip(functions, lengths, strict=True) if isinstance(length, int) and length
        ]
        page = policy.BATCH_ITEMS
        firsts = [self._rotation.ledger.get(function, 0) for function in waiting]
        pages = link.pipeline(
            [
                ("ZRANGE", keys.named("queued", function), first, first + page - 1)
                for function, first in zip(waiting, firsts, strict=True)
            ]
        )
        queued: list[tuple[str, str]] = []
        self._rotation.ledger = {}
        for function, first, ids in zip(waiting, firsts, pages, strict=True):
            self._rotation.ledger[function] = first + page if len(ids) == page else 0
            queued += [(function, id.decode()) for id in ids]
        clients = sorted({job.client_of(id) for _, id in queued})
        if not clients:
            return []
        rows = link.call("HMGET", keys.clients, *clients)
        gone = {client for client, row in zip(clients, rows, strict=True) if row is None}
        orphans = [(function, id) for function, id in queued if job.client_of(id) in gone]
        if orphans:
            self._rotation.ledger = {}  # the pages move up when these go
        return orphans[:page]
