"""Calls of a map that travel as one job, and what becomes of each of them.

A chunk is one future whose outcome is that of all its calls: here (no worker, Redis away ...) they run one after the
other; from a worker come the outcomes of those that were finished. What is missing goes out again at once: the call
that killed a child alone and with its crash counted, the others blamed for nothing. A call that turns out slow goes on
where it runs, and only those behind it go out again. Called by the map.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from simpledist import wire
from simpledist.client import snapshot
from simpledist.client.future import Future
from simpledist.client.inside import Entry, thread
from simpledist.client.snapshot import Arguments
from simpledist.job import WHYS, why_of

if TYPE_CHECKING:
    from simpledist.client.function import WorkerFunction

Outcome = wire.Value | wire.Raised | Future[Any]


def run_all(local: Callable[..., Any], calls: Sequence[Arguments]) -> list[wire.Value | wire.Raised]:
    """A chunk that runs here: one outcome a call."""
    outcomes: list[wire.Value | wire.Raised] = []
    for args in calls:
        try:
            outcomes.append(wire.Value(local(*args)))
        except BaseException as error:  # noqa: BLE001 - it is the outcome of this call and of no other
            outcomes.append(wire.Raised(error))
    return outcomes


class Chunk:
    """Some calls of a map and the one future under which they travel. Any thread may ask for the outcomes."""

    def __init__(self, function: WorkerFunction[..., Any], calls: Sequence[Arguments], future: Future[Any]) -> None:
        self.future = future
        self._function = function
        self._calls = calls
        self._codec, self._body = future.call.codec, future.call.body  # from which a call is sent again
        self._lock = threading.Lock()
        self._outcomes: list[Outcome] | None = None
        future.add_done_callback(lambda _: self._ended())

    def __len__(self) -> int:
        return len(self._calls)

    def outcomes(self) -> list[Outcome]:
        """One a call, in order; a future where a call was sent again."""
        if thread.interrupting:
            return self._outcomes or list(run_all(self._function.local, self._given()))
        self.future.wait_done()
        return self._sorted_out()

    def futures(self) -> list[Future[Any]]:
        """Everything of this chunk that may still be under way."""
        with self._lock:
            return [self.future, *(one for one in self._outcomes or () if isinstance(one, Future))]

    def _ended(self) -> None:
        """What is missing goes out before anybody asks."""
        if not self.future.cancelled():
            with Entry():
                self._sorted_out()

    def _sorted_out(self) -> list[Outcome]:
        with self._lock:
            if self._outcomes is None:
                self._outcomes = self._sort_out()
                self._body = b""
            return self._outcomes

    def _given(self) -> list[Arguments]:
        """The arguments of each call as they were when it was made."""
        return snapshot.given_calls(self._codec, self._body, self._calls)

    def _sort_out(self) -> list[Outcome]:
        if self.future.exception() is not None:
            # All of them together killed even the throw-away child: each has to show for itself.
            return [self._function.send(args, {}) for args in self._given()]
        parts: dict[int, wire.Part] | list[wire.Part] = self.future.told()
        found = dict(enumerate(parts)) if isinstance(parts, list) else parts
        given: list[Arguments] = []
        outcomes: list[Outcome] = []
        for number in range(len(self._calls)):
            part = found.get(number, "")
            if isinstance(part, str):
                given = given or self._given()
                outcomes.append(self._again(number, given[number], part))
            else:
                outcomes.append(part)
        return outcomes

    def _again(self, number: int, args: Arguments, why: str) -> Future[Any]:
        future, stays = self._function.new_future(args, {}, crashes=int(why == "crashed"))
        if stays is None and why == wire.SLOW:
            self._function.client.wait_for_part(future, self.future.call, number)
            return future
        if stays is None and why in WHYS and why != "crashed":
            stays = why_of(why)
        self._function.start([(future, stays)])
        return future
