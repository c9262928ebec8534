"""This client's answer to "may this call travel": `route`. It starts nothing, counts nothing and knows no socket.

Goes by five things, in this order: whether this client sends anything at all, the function's policy, whether Redis is
there, which code the function is, and what is known of its workers. A call that may travel can still come home: because
its arguments cannot be encoded, or because Redis (broker/lua/_offer.lua) or a worker says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from simpledist.config import nested
from simpledist.engine.inside import thread
from simpledist.engine.known import Key, Store
from simpledist.engine.spec import FunctionSpec
from simpledist.reasons import Why


@dataclass(frozen=True, slots=True)
class Travel:
    """The call goes to Redis."""


@dataclass(frozen=True, slots=True)
class Here:
    """The call is run at once, by the thread that asks: no future is needed."""

    why: Why
    detail: str = ""  # what is known of it, in words
    worker: str | None = None  # the one that says so


@dataclass(frozen=True, slots=True)
class Later:
    """The call is run at its client when a local slot is free. If the reason is transient it may travel after all."""

    why: Why
    detail: str = ""
    worker: str | None = None  # the one that says so


Way = Travel | Here | Later
TRAVEL = Travel()

# Who asks. "call": a thread that waits for this one outcome. "submit": one that wants a future. "map": a map that may
# run its calls in its own loop. "again": a call of which the costs were asked for before, or do not matter.
Face = Literal["call", "submit", "map", "again"]


class Redis(Protocol):
    """What routing asks about Redis."""

    @property
    def trouble(self) -> Why | None:
        """Return why Redis is not to be had; None while it is."""
        ...


class Routing:
    """Decides for one client; any thread may ask."""

    def __init__(self, redis: Redis, store: Store, kept: Callable[[Key, str], None], *, closed: bool) -> None:
        self.closed = closed
        self.nested = nested()  # in a worker's child: nothing is opened
        self._redis = redis
        self._store = store
        self._kept = kept  # hears of calls that their own code keeps here

    def ended(self) -> Why | None:
        """Return why no call of this client will ever travel, if so."""
        return "closed" if self.closed else "nested" if self.nested else None

    def away(self) -> Why | None:
        """Return why no call of this client travels at present, if so."""
        return self.ended() or self._redis.trouble

    def route(self, spec: FunctionSpec, face: Face, since: float = 0.0, *, batches: bool = False) -> Way:
        """Return which way a call goes.

        `since`: when the map began (time.monotonic()); older words about absent workers do not count. `batches`: calls
        of the map may travel many as one job, so short ones may also run in its own loop.
        """
        why = self.ended() or (None if spec.policy == "remote" else self._by_policy(spec, face)) or self._redis.trouble
        if why is None and (not spec.code.known or spec.code.keeps):
            why = self._by_code(spec)
        if face == "map":
            return self._map_way(spec, why, since, batches=batches)
        if why is None:
            return TRAVEL
        return Here(why) if face == "call" else Later(why)

    def _by_code(self, spec: FunctionSpec) -> Why | None:
        """Find out which code the function is; return why no worker may have the call, if so."""
        code = spec.code
        if not code.known:
            if thread.interrupting:
                return "nested"
            if not code.work_out(spec.local, self._store):
                return "other_code"
        if code.keeps:
            self._kept(code.key, code.keeps)
            return "other_code"
        return None

    def _by_policy(self, spec: FunctionSpec, face: Face) -> Why | None:
        if spec.policy == "local":
            return "local"
        costs = self._store.of(spec.code.key).costs
        if costs is None or face == "again":
            return None
        return "cheaper" if (costs.cheaper_here_in_a_map() if face == "map" else costs.cheaper_here()) else None

    def _map_way(self, spec: FunctionSpec, why: Why | None, since: float, *, batches: bool) -> Way:
        """Return the way of a map's next calls.

        Short calls that no worker takes run in the map's loop. Longer ones wait in the backlog of local runs: a worker
        may come. So do calls that are shared: their outcome may be there without any worker.
        """
        if why in ("local", "cheaper"):
            return Here(why)
        known = self._store.of(spec.code.key)
        if batches and known.at_client.short():
            why = why or known.absent_since(since)
            if why is not None:
                return Here(why)
        return TRAVEL if why is None else Later(why)
