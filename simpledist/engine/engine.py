"""The engine as the faces use it: start calls, cancel them, end; and what becomes of it after a fork and at exit.

Owns a client's wiring. Held by clients, functions and executors: with the last of them, thread and connections end.
"""

from __future__ import annotations

import functools
import itertools
import os
import sys
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from simpledist import config as configuration
from simpledist import policy, shipped, wire
from simpledist.buffers import Data
from simpledist.config import Config
from simpledist.engine import fork_and_exit, submit
from simpledist.engine.calls import Calls
from simpledist.engine.encoding import encoded, encoded_batch
from simpledist.engine.events import Home, Slow
from simpledist.engine.future import Future
from simpledist.engine.inside import Entry, is_inside, run_outside, thread
from simpledist.engine.known import Known
from simpledist.engine.lanes import REFUSALS
from simpledist.engine.lazy_listener import LazyListener
from simpledist.engine.memory import Memory
from simpledist.engine.offers import Offers
from simpledist.engine.pending import Pending
from simpledist.engine.ready import RunHere
from simpledist.engine.routing import TRAVEL, Face, Here, Later, Routing, Travel, Way
from simpledist.engine.session import Session
from simpledist.engine.shared_objects import SharedObjects
from simpledist.engine.shipping import with_archive
from simpledist.engine.spec import FunctionSpec
from simpledist.errors import RedisDown, RedisRefused
from simpledist.reasons import WHYS, Why, why_of
from simpledist.wire.keyring import Keyring

Arguments = tuple[Any, ...]


class Engine:
    """One program's way to the cluster: at most 3 Redis connections and one listener thread.

    Any thread may call it, also after a fork: the child gets an identity of its own.
    """

    def __init__(
        self,
        config: Config,
        keyring: Keyring,
        *,
        codec: str,
        local_slots: int,
        max_value_bytes: int,
        opens: bool = True,
    ) -> None:
        self.config = config
        self.codec = codec
        self.local_slots = local_slots
        self.max_value_bytes = max_value_bytes
        self.keyring = keyring
        self.shared = SharedObjects(kept=config.url != configuration.MEMORY_URL)
        self._pending: weakref.WeakSet[Pending[Future[Any]]] = weakref.WeakSet()
        self._begin(closed=False)
        self._routing.nested |= not opens
        fork_and_exit.remember(self)

    def _begin(self, *, closed: bool) -> None:
        self._pid = os.getpid()
        self._session = Session(self.config, self.keyring, self.shared)
        self._calls = Calls(self._session, self.keyring, self.local_slots, self.max_value_bytes)
        self._routing = Routing(self._session, self._session.store, self._session.lanes.kept, closed=closed)
        self._lazy_listener = LazyListener(self._calls, self._routing)
        self.offers = Offers(self._lazy_listener.live_workers)
        self._memory: Memory | None = None
        if self.config.url == configuration.MEMORY_URL:
            self._memory = Memory(self._calls, self.keyring)
            self._session.trouble = None
            self.offers = Offers(list[Any])

    @property
    def id(self) -> str:
        """Return this client's id: its job ids begin with it."""
        return self._session.client

    @property
    def last_error(self) -> RedisDown | RedisRefused | None:
        """Return why Redis last took no command of this client; None if it never failed."""
        return self._session.last_error

    @property
    def state(self) -> str:
        """Return one word for people: "up", "closed", or the trouble with Redis."""
        return "closed" if self._routing.closed else self._session.trouble or "up"

    @property
    def batches(self) -> bool:
        """Return whether it pays to let several calls travel together."""
        return self._memory is None

    def __repr__(self) -> str:
        return f"<simpledist client {self.id} of {self.config.safe_url}>"

    def __reduce__(self) -> Any:
        return revived, (self.id, self.codec, self.local_slots, self.max_value_bytes)

    def in_flight(self) -> int:
        """Return how many calls wait for an outcome from the cluster."""
        return len(self._calls.flight)

    def outlook(self, spec: FunctionSpec) -> str:
        """Return in words where calls of a function go, as far as it is known."""
        return self._session.lines.outlook(spec, self._routing.ended())

    def known(self, spec: FunctionSpec) -> Known:
        """Return what this client knows of a function."""
        return self._session.store.of(spec.code.key)

    # --- start calls ---------------------------------------------------------------------------------------------

    def call(self, spec: FunctionSpec, args: Arguments, kwargs: dict[str, Any]) -> Any:
        """Return the outcome of a call for which this thread waits."""
        if is_inside():  # a signal handler or a finaliser, amid our work: it waits for nothing
            return self.run_here(spec, args, kwargs, Here("nested"))
        with thread.mark:
            way = self.route(spec, "call")
            if isinstance(way, Travel):
                future, way = self.new(spec, args, kwargs, way, caller_runs=True)
                if isinstance(way, Travel):
                    return self._outcome(future)
        return self.run_here(spec, args, kwargs, way)

    def _outcome(self, future: Future[Any]) -> Any:
        try:
            self.send([future])
            return future.outcome()
        finally:
            if not future.done():  # Ctrl-C, or an exception thrown into this thread
                run_outside(self.forget, [future])

    def submit(self, spec: FunctionSpec, args: Arguments, kwargs: dict[str, Any]) -> Future[Any]:
        """Start a call and return its future."""
        if is_inside():
            with Entry(), thread.mark:
                return self.start(spec, args, kwargs)
        with thread.mark:
            return self.start(spec, args, kwargs)

    def start(self, spec: FunctionSpec, args: Arguments, kwargs: dict[str, Any]) -> Future[Any]:
        """Start a call for code of ours, which is inside already."""
        future, way = self.new(spec, args, kwargs, self.route(spec, "submit"))
        self.go([(future, way)])
        return future

    def start_many(
        self, spec: FunctionSpec, calls: Sequence[Arguments], sent: Sequence[Data | None], *, way: Way
    ) -> list[Future[Any]]:
        """Start calls of a map in as few round trips as they fit. `sent`: their encoded arguments, or None."""
        made = [self.new(spec, args, {}, way, sent=body) for args, body in itertools.zip_longest(calls, sent)]
        self.go(made)
        return [future for future, _ in made]

    def start_batch(self, spec: FunctionSpec, calls: list[Arguments], sent: list[Data | None]) -> Future[Any] | None:
        """Start many calls that may travel as one job; return None where one of them cannot travel so."""
        began, id, shared = time.perf_counter(), self._session.new_id(), self.shared
        most_bytes = min(policy.MAP_BATCH_BYTES, self.max_value_bytes)
        call = encoded_batch(spec, calls, sent, id=id, most_bytes=most_bytes, shared=shared)
        if (known := self.known(spec)).costs is not None:
            known.costs = known.costs.serialised((time.perf_counter() - began) / len(calls))
        if call is None:
            return None
        if spec.code.ships_by_value:  # what pickles it may take its time: not in the listener
            call = self._calls.shipping.at_once(call) or call
        future: Future[Any] = Future(call, self._calls, caller_runs=False)
        self.send([future])
        return future

    def start_again(
        self, spec: FunctionSpec, args: Arguments, why: str, *, whole: Future[Any], part: int
    ) -> Future[Any]:
        """Start one call of a batch by itself: the batch brought no outcome of it, for the reason `why`."""
        way = self.route(spec, "again")
        future, way = self.new(spec, args, {}, way, crashes=int(why == "crashed"))
        word, _, detail = why.partition(" ")
        if isinstance(way, Travel) and why == wire.SLOW:
            self._calls.apply(Slow(future, whole, part))
            return future
        if isinstance(way, Travel) and word in WHYS and word not in policy.TRIED_ALONE:
            way = Later(why_of(word), detail, whole.info.worker if whole.info is not None else None)
        self.go([(future, way)])
        return future

    def new(
        self,
        spec: FunctionSpec,
        args: Arguments,
        kwargs: dict[str, Any],
        way: Way,
        *,
        caller_runs: bool = False,
        pending: Pending[Future[Any]] | None = None,
        crashes: int = 0,
        sent: Data | None = None,
    ) -> tuple[Future[Any], Way]:
        """Return a future that is not started, and its way: one that cannot be encoded does not travel."""
        call, way = encoded(
            spec,
            args,
            kwargs,
            way=way,
            id=self._session.new_id(),
            most_bytes=self.max_value_bytes,
            caller_runs=caller_runs,
            pending=pending,
            crashes=crashes,
            sent=sent,
            shared=self.shared,
            unkeyed=self._session.unkeyed,
        )
        if spec.code.ships_by_value and isinstance(way, Travel):
            call = self._calls.shipping.at_once(call) or call
        elif spec.function == shipped.FUNCTION and self._memory is None and call.body:
            way = with_archive(call, way, self._session.lanes.kept)
        return Future(call, self._calls, caller_runs=caller_runs), way  # an alias called leaves itself in the object

    def go(self, made: Sequence[tuple[Future[Any], Way]]) -> None:
        """Send the calls that travel, and have the others run here."""
        try:
            if travelling := [future for future, way in made if isinstance(way, Travel)]:
                self.send(travelling)
            for future, way in made if len(travelling) < len(made) else ():
                if not isinstance(way, Travel):
                    self._come_home(future, RunHere(way.why, way.detail, way.worker))
        except BaseException:  # Ctrl-C: no caller will have them
            run_outside(self.forget, [future for future, _ in made])
            raise

    def send(self, futures: Sequence[Future[Any]]) -> None:
        """Send calls of one function, which may travel; those that Redis refuses run here."""
        if self._memory is not None:
            for future in futures:
                run_outside(self._memory.run, future)
        elif self._lazy_listener.listener is None and (thread.interrupting or not self._lazy_listener.connected()):
            for future in futures:
                self._come_home(future, RunHere("redis_down"))
        else:
            submit.send(self._calls, self._lazy_listener.listener, futures)

    # --- whether they travel -------------------------------------------------------------------------------------

    def route(self, spec: FunctionSpec, face: Face, since: float = 0.0, *, batches: bool = False) -> Way:
        """Return which way a call goes (routing.py), once it is known whether Redis is there."""
        if spec.policy == "auto" and face != "again":
            self.known(spec).decided()
        way = self._routing.route(spec, face, since, batches=batches)
        if isinstance(way, Travel):
            return way
        if way.why in ("redis_down", "redis_refused"):
            if thread.interrupting:  # what is left to the listener comes to its outcome, whether Redis is there or not
                return way if self._lazy_listener.listener is None or not spec.code.travels else TRAVEL
            self._lazy_listener.connected()  # whatever comes of it, its reason is newer
            return self._routing.route(spec, face, since, batches=batches)
        if way.why in REFUSALS and self._session.store.ask(spec.code.key):
            self._session.wake()
        return way

    # --- run them here -------------------------------------------------------------------------------------------

    def run_here(self, spec: FunctionSpec, args: Arguments, kwargs: dict[str, Any], way: Here | Later) -> Any:
        """Run a call in this thread: nothing but the call, its count and its time."""
        self._session.local_run_counts.count(spec, way.why, 1, way.detail)
        failed, began = 1, time.perf_counter()
        try:
            value = spec.here(*args, **kwargs)
            failed = 0
            return value
        finally:
            seconds = self.known(spec).took_here(time.perf_counter() - began)
            spec.tally.add(way.why, seconds, failed)

    def ran(self, spec: FunctionSpec, why: Why, calls: int) -> None:
        """Count calls of a map that ran here; none: some are about to."""
        self._session.local_run_counts.count(spec, why, calls)
        self._calls.demand.ran_in_map(spec.function, why, calls)

    def _come_home(self, future: Future[Any], ready: RunHere) -> None:
        """Have a call run here that cannot travel."""
        if self._memory is not None or sys.is_finalizing():
            self._calls.run_here(future, ready)
        elif thread.interrupting:
            future.leave(ready)
            self._calls.deferred.put(functools.partial(self._calls.settle_elsewhere, future, ready))
        else:
            self._calls.apply(Home(future, ready.why, ready.detail, ready.worker))

    # --- cancel them ---------------------------------------------------------------------------------------------

    def forget(self, futures: Sequence[Future[Any]]) -> None:
        """Cancel what is left of a map."""
        self._now_or_later(self._calls.forget, futures)

    def cancel_waiting(self, futures: Sequence[Future[Any]]) -> None:
        """Cancel those that have not begun."""
        self._now_or_later(self._calls.cancel_waiting, futures)

    def _now_or_later(self, act: Callable[[Sequence[Future[Any]]], object], futures: Sequence[Future[Any]]) -> None:
        with Entry(), thread.mark:
            if thread.interrupting:
                self._calls.deferred.put(functools.partial(act, futures))
            else:
                act(futures)

    def later(self, act: Callable[..., object], *args: Any) -> None:
        """Have a public entry called by another thread: what a finaliser may ask for, wherever it runs."""
        self._calls.deferred.later(act, *args)

    def clear(self, function: str) -> int:
        """Forget the cached values of a function; return how many there were. Raises RedisDown or RedisRefused."""
        if self._memory is not None:
            return self._memory.clear(function)
        if is_inside():
            raise RedisDown("a signal handler or finaliser that interrupts simpledist cannot ask Redis")
        with Entry(), thread.mark:
            cleared = self._session.clear(function)
            self._calls.envelopes.cleared(function, cleared.at_ms)
            return cleared.forgotten

    # --- fork and end --------------------------------------------------------------------------------------------

    def pending(self, slots: int, *, awaited: bool = True) -> Pending[Future[Any]]:
        """Return what an executor has taken: nothing yet. The end of the program waits for it if it is `awaited`."""
        self._pending.add(pending := Pending[Future[Any]](slots, awaited=awaited))
        return pending

    def close(self, *, wait: bool) -> None:
        """End: with `wait`, calls in flight come to their outcome first; else they are cancelled. See Client.close."""
        if self._routing.closed:
            return
        self.shared.clear()
        self._routing.closed = True
        calls = self._calls
        if is_inside():
            if not wait:
                calls.deferred.put(calls.abandon)
            if self._lazy_listener.listener is not None:
                self._lazy_listener.listener.close_when_idle()
            return
        if wait:
            while futures := calls.flight.all():
                for future in futures:
                    future.wait_done()
            calls.local_runs.join()
        with Entry(), thread.mark:
            if not wait:
                calls.abandon()
            self._lazy_listener.close()
            calls.close()
            calls.resolvers.close()
            self._session.close()

    def __del__(self) -> None:
        # A future of it that is still held gets its outcome; then thread, connections and descriptors go.
        lazy: LazyListener | None = getattr(self, "_lazy_listener", None)
        if lazy is not None and lazy.listener is not None and self._pid == os.getpid():
            lazy.listener.close_when_idle()

    def at_exit(self) -> None:
        """End with the program: what executors took is done first, as with the stdlib's; the rest is cancelled."""
        self._session.local_run_counts.finish()
        self._calls.deferred.run()
        for pending in list(self._pending):
            pending.close("cannot schedule new futures after interpreter shutdown")
            if pending.awaited:
                pending.join()
        self.close(wait=False)
        self._calls.deferred.run()

    def after_fork(self) -> None:
        """Begin again in the child of a fork: what was in flight belongs to the parent and runs here if asked for."""
        calls, nested = self._calls, self._routing.nested
        self._begin(closed=self._routing.closed)
        self._routing.nested = nested
        calls.bequeath(self._calls)
        for pending in list(self._pending):
            pending.begin()


def revived(id: str, codec: str, local_slots: int, max_value_bytes: int) -> Engine:
    """Return the engine of a pickled client or function; in another process one without address, password and key."""
    for one in fork_and_exit.living():
        if isinstance(one, Engine) and one.id == id:
            return one
    return Engine(
        Config(), Keyring(), codec=codec, local_slots=local_slots, max_value_bytes=max_value_bytes, opens=False
    )
