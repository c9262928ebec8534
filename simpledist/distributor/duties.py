"""One pass over the duties: find dead processes, push back lost jobs, drop jobs of dead clients.

Everything found here is only a candidate: `reap` judges it again by Redis TIME, so any number of distributors may do
the same at once. Each pass is bounded and takes the next part, whatever the size of the cluster: a tick of 0.25 s has
other things to do (docs/scale.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from simpledist import job, policy
from simpledist.broker import Broker, closed_connections
from simpledist.broker.parsing import parse_texts
from simpledist.broker.records import Reaped, Suspect
from simpledist.distributor.deaths import Deaths

ROWS_A_PASS = 500  # workers, and as many clients: their connections are asked for in one CLIENT LIST
OTHERS_A_PASS = 5
FUNCTIONS_A_PASS = 75
NAMES_A_PASS = 5000
LANES_MOST = 100  # of one function
QUEUED_A_PASS = 1000


@dataclass
class _Rotation:
    """Where the last pass stopped, and the next one continues."""

    workers: bytes | int = 0
    clients: bytes | int = 0
    names: bytes | int = 0
    functions: int = 0
    ledger: tuple[str, int] = ("", 0)  # the lane and the place in its ledger
    lanes: dict[str, list[str]] = field(default_factory=dict[str, list[str]])  # of each function: all but the plain one


class Duties:
    """The duties of one process over its Broker; keeps only its place in the rotation."""

    def __init__(self, broker: Broker, timings: policy.Timings = policy.TIMINGS) -> None:
        self._broker = broker
        self._timings = timings
        self._rotation = _Rotation()
        self._deaths = Deaths(broker)

    def deaths(self, reaped: Reaped) -> list[str]:
        """Return the workers that died since the last pass, as people find them, no matter who expelled them."""
        return self._deaths.taken(reaped.expelled)

    def do(self) -> Reaped:
        """Do one pass; raise RedisDown or RedisRefused."""
        link = self._broker.link
        workers, clients = self._workers(), self._clients()
        closed = {one.id: one.connection for one in closed_connections.among(link, workers + clients)}
        names = self._names()
        functions = self._functions(names)
        return self._broker.reap(
            run_id=link.run_id,
            workers=[(one.id, closed.get(one.id, "")) for one in workers],
            clients=[(one.id, closed.get(one.id, "")) for one in clients],
            functions=functions,
            orphans=self._orphans([*names, *self._other_lanes(functions)]),
        )

    def _workers(self) -> list[Suspect]:
        """Return the next workers that beat, with their connections, and a few of all: dead ones have no heartbeat."""
        link, keys = self._broker.link, self._broker.keys
        self._rotation.workers, flat = link.call("HSCAN", keys.heartbeats, self._rotation.workers, "COUNT", ROWS_A_PASS)
        ids: list[bytes] = flat[::2]
        self._deaths.saw((id.decode("utf-8", "replace") for id in ids), last=int(self._rotation.workers) == 0)
        connections: list[bytes | None] = link.call("HMGET", keys.connections, *ids) if ids else []
        found = [_suspect("worker", id, connection or b"") for id, connection in zip(ids, connections, strict=True)]
        others: list[bytes] = link.call("HRANDFIELD", keys.workers, OTHERS_A_PASS) or []
        return found + [_suspect("worker", id, b"") for id in others]

    def _clients(self) -> list[Suspect]:
        """Return the next clients; their rows hold the connection behind the last beat."""
        link, keys = self._broker.link, self._broker.keys
        self._rotation.clients, flat = link.call("HSCAN", keys.clients, self._rotation.clients, "COUNT", ROWS_A_PASS)
        return [_suspect("client", id, _connection_in(row)) for id, row in zip(flat[::2], flat[1::2], strict=True)]

    def _names(self) -> list[str]:
        """Return the names of functions; where they are very many, the next of them."""
        link, key = self._broker.link, self._broker.keys.functions
        self._rotation.names, found = link.call("SSCAN", key, self._rotation.names, "COUNT", NAMES_A_PASS)
        return sorted({*parse_texts(found)})

    def _functions(self, names: list[str]) -> list[str]:
        first = self._rotation.functions % max(len(names), 1)
        self._rotation.functions = first + FUNCTIONS_A_PASS
        return (names[first:] + names[:first])[:FUNCTIONS_A_PASS]

    def _other_lanes(self, functions: list[str]) -> list[str]:
        """Return all known lanes but the plain ones; each pass reads those of some functions."""
        link, keys, known = self._broker.link, self._broker.keys, self._rotation.lanes
        found = link.pipeline(
            [("HSCAN", keys.named("lanes", function), 0, "COUNT", LANES_MOST) for function in functions]
        )
        for function, page in zip(functions, found, strict=True):
            # Else the key holds a foreign value.
            read = cast("list[bytes]", page[1])[::2] if isinstance(page, list) else []
            known[function] = [name for lane in read if (name := lane.decode("utf-8", "replace")) != function]
            if not known[function]:
                del known[function]
        return [lane for lanes in known.values() for lane in lanes]

    def _orphans(self, names: list[str]) -> list[tuple[str, str]]:
        """Return jobs whose client has no row any more, out of the next thousand in the ledgers."""
        link, keys = self._broker.link, self._broker.keys
        lengths = link.pipeline([("ZCARD", keys.named("queued", function)) for function in names])
        pages = _pages(dict(zip(names, lengths, strict=True)), *self._rotation.ledger)
        found = link.pipeline([("ZRANGE", keys.named("queued", page[0]), page[1], page[2] - 1) for page in pages])
        queued = [(page[0], id) for page, ids in zip(pages, found, strict=True) for id in parse_texts(ids)]
        self._rotation.ledger = (pages[-1][0], pages[-1][2]) if pages else ("", 0)
        clients = sorted({job.client_of(id) for _, id in queued})
        if not clients:
            return []
        rows = link.call("HMGET", keys.clients, *clients)
        gone = {client for client, row in zip(clients, rows, strict=True) if row is None}
        orphans = [(function, id) for function, id in queued if job.client_of(id) in gone]
        if orphans:
            self._rotation.ledger = pages[0][:2]  # the next jobs move up when these are removed
        return orphans


def _connection_in(row: bytes) -> bytes:
    """Return the second word of a client's row; empty where another program wrote it."""
    return b"".join(row.split(b" ", 2)[1:2])


def _suspect(kind: str, id: bytes, connection: bytes) -> Suspect:
    return Suspect(kind, id.decode("utf-8", "replace"), connection.decode("utf-8", "replace"))


def _pages(lengths: dict[str, Any], function: str, place: int) -> list[tuple[str, int, int]]:
    """Return the places of the next QUEUED_A_PASS jobs, from one ledger to the next, at most once around."""
    names = [name for name, length in lengths.items() if isinstance(length, int) and length]
    behind = [name for name in names if name > function]
    order = [*([function] if function in names else []), *behind, *(name for name in names if name <= function)]
    pages: list[tuple[str, int, int]] = []
    room = QUEUED_A_PASS
    for turn, name in enumerate(order):
        first = place if turn == 0 and name == function else 0
        last = min(lengths[name], first + room)
        if turn and name == function:
            last = min(last, place)  # once around
        if last > first and room:
            pages.append((name, first, last))
            room -= last - first
    return pages
