"""Calls of any callable, for the faces that take one: it goes by its name, or it travels with its call.

Owns that choice. How a call travels is the engine's business. Called by executor.py and pool.py, from any thread.
"""

from __future__ import annotations

import itertools
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from simpledist import shipped, wire
from simpledist.client.function import WorkerFunction
from simpledist.engine import argument_snapshot
from simpledist.engine.engine import Engine
from simpledist.engine.future import Future
from simpledist.engine.inside import Entry, thread
from simpledist.engine.pending import Pending
from simpledist.engine.routing import Way
from simpledist.engine.spec import FunctionSpec
from simpledist.wire import serializers
from simpledist.wire.process_keys import check_codec

Arguments = tuple[tuple[Any, ...], dict[str, Any]]  # of one call


class Callables:
    """Starts the calls of one executor or pool, whose `pending` takes them."""

    def __init__(self, engine: Engine, pending: Pending[Future[Any]]) -> None:
        check_codec("pickle", engine.keyring)
        self.run = FunctionSpec(shipped.FUNCTION, shipped.run, strict=True)  # what travels with its call
        self._engine = engine
        self._pending = pending
        self._named: dict[str, FunctionSpec] = {}

    def by_name(self, fn: Callable[..., Any]) -> FunctionSpec | None:
        """Return `fn` as the workers know it; None if it must travel with its calls."""
        if isinstance(fn, WorkerFunction):
            return cast("WorkerFunction[..., Any]", fn).spec
        if not isinstance(fn, types.FunctionType) or not _is_at_home(fn) or serializers.goes_by_value(fn.__module__):
            return None
        name = self._engine.offers.name_of(wire.fingerprint(fn))
        if name is None:
            return None
        named = self._named.get(name)
        if named is None or named.local is not fn:
            named = self._named[name] = FunctionSpec(name, fn, strict=True)
        return named

    @property
    def slots(self) -> int:
        """Return how many calls can run at once: the slots of the live workers, without any those of this process.

        They are looked up at most every 2 s.
        """
        return max(self._engine.offers.all_slots(), self._pending.slots)

    def copied(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return arguments that stay as they are now."""
        return argument_snapshot.copied(args, self._engine.shared)

    def jobs(
        self, fn: Callable[..., Any], calls: Iterator[tuple[Any, ...]], chunksize: int, *, copied: bool = False
    ) -> tuple[FunctionSpec, Iterator[Arguments], bool]:
        """Return what `start` takes for many calls, and whether each of these jobs holds a chunk of them.

        A function that travels with its calls travels once for `chunksize` of them; the calls of one that goes by name
        travel in batches whatever it is. `copied`: each item of a chunk stays as it is when it is drawn, for the next
        may be the same buffer, filled again.
        """
        named = self.by_name(fn)
        if named is not None:
            return named, ((args, {}) for args in calls), False
        if chunksize <= 1:
            return self.run, (shipped.arguments(fn, args, {}) for args in calls), False
        items = map(self.copied, calls) if copied else calls
        chunks = iter(lambda: list(itertools.islice(items, chunksize)), [])
        return self.run, (shipped.arguments(shipped.run_each, (fn, chunk), {}) for chunk in chunks), True

    def call(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[FunctionSpec, list[Arguments]]:
        """Return what `start` takes for this one call."""
        named = self.by_name(fn)
        if named is not None:
            return named, [(args, kwargs)]
        return self.run, [shipped.arguments(fn, args, kwargs)]

    def start(
        self,
        spec: FunctionSpec,
        calls: Iterable[Arguments],
        *,
        made: Callable[[list[Future[Any]]], object] | None = None,
    ) -> list[Future[Any]]:
        """Start calls, each encoded when it is drawn; `made` is called with the futures before they are sent.

        Raises Closed, a RuntimeError, where `pending` takes nothing new.
        """
        engine = self._engine
        ways: list[tuple[Future[Any], Way]] = []
        for args, kwargs in calls:
            with Entry(), thread.mark:
                way = engine.route(spec, "submit")
                ways.append(engine.new(spec, args, kwargs, way, pending=self._pending))
        if not ways:
            return []  # a map that has come to its end asks too, perhaps after `shutdown`
        futures = [future for future, _ in ways]
        with Entry(), thread.mark:
            self._pending.take(futures)
            if made is not None:
                made(futures)
            engine.go(ways)
        return futures


def _is_at_home(fn: types.FunctionType) -> bool:
    """Return whether it is what its module has under its name: a closure or a replaced function is only like it."""
    found: Any = sys.modules.get(fn.__module__)
    for part in fn.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is fn
