"""Calls of a map that travel as one job, and what becomes of each of them.

They share one future, whose outcome is that of all of them. At the client (no worker, Redis away ...) they run one
after the other; from a worker come the outcomes of those that were finished. What is missing goes out again at once:
the call that killed a child alone and with its crash counted, the others blamed for nothing. A call that turns out slow
goes on where it runs, and only those behind it go out again. Made by the map.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simpledist import wire
from simpledist.buffers import Data
from simpledist.engine import argument_snapshot, locks
from simpledist.engine.argument_snapshot import Arguments
from simpledist.engine.call import run_all
from simpledist.engine.engine import Engine
from simpledist.engine.future import Future
from simpledist.engine.inside import Entry, thread
from simpledist.engine.spec import FunctionSpec

Outcome = wire.Value | wire.Raised | Future[Any]


class MapBatch:
    """Some calls of a map and the one future under which they travel. Any thread may ask for the outcomes."""

    def __init__(self, engine: Engine, spec: FunctionSpec, *, calls: Sequence[Arguments], future: Future[Any]) -> None:
        self.future = future
        self._engine = engine
        self._spec = spec
        self._calls = calls
        self._codec, self._body = future.call.codec, future.call.body  # from which a call is sent again
        self._lock = locks.lock("map batch")
        self._outcomes: list[Outcome] | None = None  # guarded by the lock
        future.add_done_callback(lambda _: self._ended())

    def __len__(self) -> int:
        return len(self._calls)

    def outcomes(self) -> list[Outcome]:
        """Return one outcome a call, in order; a future where a call was sent again."""
        if thread.interrupting:
            return self._outcomes or list(run_all(self._spec.local, self._given()))
        self.future.wait_done()
        return self._sorted_out()

    def futures(self) -> list[Future[Any]]:
        """Return everything of this batch that may still be under way."""
        with self._lock:
            return [self.future, *(one for one in self._outcomes or () if isinstance(one, Future))]

    def _ended(self) -> None:
        """Send what is missing before anybody asks."""
        if not self.future.cancelled():
            with Entry(), thread.mark:
                self._sorted_out()

    def _sorted_out(self) -> list[Outcome]:
        with self._lock:
            if self._outcomes is None:
                self._outcomes = self._sort_out()
                self._body = b""
            return self._outcomes

    def _given(self) -> list[Arguments]:
        """Return the arguments of each call as they were when it was made."""
        return argument_snapshot.given_calls(self._codec, self._body, self._calls)

    def _sort_out(self) -> list[Outcome]:
        if self.future.exception() is not None:
            # All of them together killed even the throw-away child: each has to show by itself what it does.
            return [
                self._engine.start_again(self._spec, args, "", whole=self.future, part=number)
                for number, args in enumerate(self._given())
            ]
        parts: dict[int, wire.Part] | list[wire.Part] = self.future.finished_result()
        found = parts if isinstance(parts, list) else [parts.get(number, "") for number in range(len(self._calls))]
        self._count(found)
        given: list[Arguments] = []
        outcomes: list[Outcome] = []
        for number, part in enumerate(found):
            if isinstance(part, str):
                given = given or self._given()
                outcomes.append(
                    self._engine.start_again(self._spec, given[number], part, whole=self.future, part=number)
                )
            else:
                outcomes.append(part)
        return outcomes

    def _count(self, found: Sequence[wire.Part]) -> None:
        kinds, info = list(map(type, found)), self.future.info
        failed = kinds.count(wire.Raised)
        ended = failed + kinds.count(wire.Value)
        if info is not None and ended:
            wait_seconds = info.queued_seconds * ended
            self._spec.tally.add(info.why, info.run_seconds, failed, ended, ended, wait_seconds)


def started(engine: Engine, spec: FunctionSpec, calls: list[Arguments], *, sent: list[Data | None]) -> MapBatch | None:
    """Start many calls as one job; return None where one of them cannot travel so. `sent`: see Engine.start_many."""
    future = engine.start_batch(spec, calls, sent)
    return None if future is None else MapBatch(engine, spec, calls=calls, future=future)
