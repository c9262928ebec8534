"""The calls of one client on their way to an outcome: this room alone applies events, and owns every future.

The rooms below it return what happened (events.py); what that means for a call is decided here. Any thread may call it.
Held by threads and futures, it holds no Engine: who drops its client and functions still gets the outcomes of futures.
"""

from __future__ import annotations

import concurrent.futures
import functools
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from simpledist import policy, wire
from simpledist.broker.records import Reply
from simpledist.engine import at_once
from simpledist.engine.batch import Batch
from simpledist.engine.big_calls import BigCalls
from simpledist.engine.cancelling import Cancelling
from simpledist.engine.deferred import Deferred
from simpledist.engine.demand import WANTING, Demand
from simpledist.engine.envelopes import Envelopes
from simpledist.engine.events import (
    Absent,
    Alone,
    Answered,
    BlobMissed,
    Cancelled,
    Event,
    Home,
    Joined,
    Lost,
    Overdue,
    Sent,
    Slow,
    Stale,
    Unread,
    unwatched,
)
from simpledist.engine.flight import Flight
from simpledist.engine.future import Future
from simpledist.engine.inside import run_outside
from simpledist.engine.known import Key
from simpledist.engine.local import LocalRuns
from simpledist.engine.outcomes import Outcomes
from simpledist.engine.ready import Read, Ready, RunHere
from simpledist.engine.replies import Replies
from simpledist.engine.resolvers import Resolvers
from simpledist.engine.session import Session
from simpledist.engine.shipping import Shipping, may_ship
from simpledist.engine.unsent import Unsent
from simpledist.errors import MissingBlob
from simpledist.interruption import by_signal
from simpledist.job import Info, version_of
from simpledist.policy import TRIED_ALONE
from simpledist.printable import logger
from simpledist.reasons import MAY_BE_QUEUED, SUSPECT, WHYS, why_of
from simpledist.wire.keyring import Keyring

log = logger("simpledist")


class Calls:
    """Wires the rooms of one engine, applies their events, and is the `Owner` of its futures."""

    def __init__(self, session: Session, keyring: Keyring, local_slots: int, max_value_bytes: int) -> None:
        self.session = session
        self.shipping = Shipping(session, max_value_bytes)
        self.store = session.store
        self.flight = Flight()
        self.replies = Replies(session, self.flight)
        self.unsent = Unsent()
        self.deferred = Deferred(lambda: session.wake(), session.attended)
        self.resolvers = Resolvers(self.deferred)
        self.local_runs = LocalRuns(self._run_backlog, local_slots, self.deferred)
        session.notices.leave_to(self.deferred.put, session.attended, self.deferred.run)
        self.demand = Demand(session.store.mean_at_client)
        self.envelopes = Envelopes(keyring, session.clock, session.store)
        self.outcomes = Outcomes(session, envelopes=self.envelopes, store=self.store, flight=self.flight)
        self.big_calls = BigCalls(session, envelopes=self.envelopes, unsent=self.unsent, apply=self.apply)
        self.watch: Callable[[Sequence[Future[Any]]], None] = unwatched  # the listener's, once there is one
        self._cancelling = Cancelling(session, self.flight, self.local_runs)
        self._heir = self
        self._closed = False

    # --- events --------------------------------------------------------------------------------------------------

    def apply(self, event: Event) -> None:
        """Do what an event means for its calls."""
        match event:
            case Answered(reply):
                self.replies.hand_out(reply)
            case Sent(futures):
                self.watch(futures)
            case Joined(future, id):
                self.flight.join(future, id)
            case Absent(key, why):
                self.store.of(key).said(why)
            case Home(future, why, detail, worker):
                self._come_home(future, RunHere(why, detail, worker))
            case Overdue(future):
                self._come_home(future, RunHere("timeout"))
            case Cancelled(future):
                if self.flight.withdraw(future) is not None:
                    self.session.has_given_up([(future.call.spec.function, future.call.id)])
            case Lost(future):
                self.flight.enter_again(future)
                self.session.wake()  # the listener, which may sleep, shall ask after it
            case Unread(future, why, detail):
                if self.flight.stands(future):  # of a batch that still runs: it is in flight to its end
                    self.flight.leave(future)
                future.put_back(RunHere(why, detail))
            case Stale(future, cached):
                self._ask_anew(future, cached=cached)
            case BlobMissed(future):
                self._send_with_blobs(future)
            case Alone(future, why, worker):
                self._start_alone(future, why, worker)
            case Slow(future, whole, part):
                self.flight.become_part(future, whole, part)
                self.watch([future])
                self._let_go(future)

    def _come_home(self, future: Future[Any], ready: RunHere, *, ships: bool = True) -> None:
        """Have the call run at its client, and all here that wait for the same job, unless only its time is up."""
        if ships and may_ship(future.call, ready.why) and self.flight.stands(future):
            future.sent = False  # Redis need not know it: to read its modules may take long
            self.deferred.put(functools.partial(self._ship, future, ready))
            return
        futures: Sequence[Future[Any]] = ()
        if ready.why != "timeout" and self.flight.stands(future):
            futures = self.flight.take(future.call.id, to_read=False)
        else:
            self.flight.withdraw(future)
        for one in futures or (future,):
            one.offer(ready)

    def _ship(self, future: Future[Any], ready: RunHere) -> None:
        """Send the call again with its function, to a worker that runs any; where there is none it runs here."""
        made = self.shipping.of(future.call)
        if made is None:
            return self._come_home(future, ready, ships=False)
        if self.flight.change(future, made):  # else its time was up meanwhile
            future.on_worker, future.forgotten = False, 0
            self._go_out(future)
        if future.cancelled():  # meanwhile, under its other id
            self.apply(Cancelled(future))

    def _ask_anew(self, future: Future[Any], *, cached: bool) -> None:
        """Send the call again, at last for itself alone: the outcome of an equal call is too old for it."""
        call = future.call
        if call.anew or not cached:
            call.sharing = call.address = None
        call.anew, future.joined = True, False
        self.session.has_given_up([(call.spec.function, call.id)])  # where the outcome was forged, it may still wait
        self._go_out_alone(future)

    def _send_with_blobs(self, future: Future[Any]) -> None:
        """Send the call again: its blobs are put again, or at last the call carries them."""
        call = future.call
        call.blob_losses += 1
        self.session.uploads.lost_blobs(call)
        if call.blob_losses >= policy.BLOB_LOSSES:
            call.carry()
        self._go_out_alone(future)
        if future.cancelled():  # meanwhile: nothing was in flight then
            self.apply(Cancelled(future))

    def _start_alone(self, future: Future[Any], why: str, worker: str | None) -> None:
        """Make a call that travelled in a batch a job of its own, or run it at its client."""
        if future.done():
            self._let_go(future)
            return
        word, _, detail = why.partition(" ")
        if word in WHYS and word not in TRIED_ALONE:
            self.flight.become_own(future, self.session.new_id())
            future.offer(RunHere(why_of(word), detail, worker))
        else:
            future.call.crashes = int(word == "crashed")
            self._go_out_alone(future)
        self._let_go(future)

    def _go_out_alone(self, future: Future[Any]) -> None:
        self.flight.become_own(future, self.session.new_id())
        future.sent = future.on_worker = False
        self._go_out(future)

    def _go_out(self, future: Future[Any]) -> None:
        self.flight.enter(future)
        self.unsent.put(future, self.session.wake)
        if self._closed:
            self.close()

    def _let_go(self, member: Future[Any]) -> None:
        """Let a call leave its batch, now that it is in flight by itself."""
        member.batch = None
        if member.cancelled():  # meanwhile: nothing was in flight then
            self.apply(Cancelled(member))

    # --- what a future asks (Owner) ------------------------------------------------------------------------------

    def read(self, future: Future[Any], ready: Ready) -> Read | None:
        """Return the outcome of a future that this thread has taken; None where it has to wait for another one."""
        if isinstance(ready, RunHere):
            if not _missed_a_blob(future, ready):
                return self._run(future, ready)
            future.put_back(None)
            self.apply(BlobMissed(future))
            return None
        found = self.outcomes.read(future, ready) if isinstance(ready, Reply) else ready
        if isinstance(found, Read):
            batch = self.flight.batch_of(future) if future.call.calls > 1 else None
            return found if batch is None else self._take_apart(batch, found)
        if not isinstance(found, Unread):
            future.put_back(None)  # it is on its way again
        self.apply(found)
        return None

    def _take_apart(self, batch: Batch, found: Read) -> Read:
        """Give each call of a batch its own outcome; return that of the whole."""
        for event in batch.take_apart(cast("wire.Value", found.outcome).value, found.info):
            self.apply(event)
        self.flight.end_batch(batch)
        return Read(wire.Value(None), found.info)

    def recovers(self, future: Future[Any], ready: Ready, error: BaseException) -> bool:
        """Give back a future whose reading or end has failed; return False where the error is to be raised."""
        if isinstance(ready, RunHere):
            return False
        if not isinstance(error, Exception) or by_signal(error):
            # Ctrl-C or a handler of SIGALRM while this thread decoded: the next thread that asks does it again.
            future.put_back(ready)
            return False
        # A bug of ours must not be the caller's outcome, nor leave it waiting.
        log.error(
            "job %s (%s): its result could not be read", future.call.id, future.call.spec.function, exc_info=error
        )
        future.put_back(RunHere("undecodable", f"{type(error).__name__}: {error}"))
        return True

    def settle_elsewhere(self, future: Future[Any], ready: Ready) -> None:
        """Have another thread bring a future to its outcome: no thread waits for it."""
        if not isinstance(ready, RunHere):
            self.resolvers.put(future)
        elif _missed_a_blob(future, ready):
            future.resolve()
        elif future.call.calls == 1 or (batch := self.flight.batch_of(future)) is None:
            self.local_runs.put(future, ready)
        elif future.take() is not None:
            self._take_home(batch, ready)

    def _take_home(self, batch: Batch, ready: RunHere) -> None:
        """Have each call of a batch run at its client."""
        whole = batch.whole
        if whole.sent and ready.why in MAY_BE_QUEUED:
            self.session.has_given_up([(whole.call.spec.function, whole.call.id)])
        for event in batch.come_home(ready):
            self.apply(event)
        self.flight.end_batch(batch)
        whole.settle(Read(wire.Value(None), Info("local", ready.why, detail=ready.detail)))

    def overdue(self, future: Future[Any]) -> None:
        """Run a call at its client: its remote budget is spent."""
        self.apply(Overdue(future))

    def run_at_once(self, future: Future[Any]) -> Any:
        """Return the outcome to an interruption, which waits for nothing."""
        self.session.local_run_counts.count(future.call.spec, "nested")
        return at_once.run(future)

    def raised_at_once(self, future: Future[Any]) -> BaseException | None:
        """Return the exception of that outcome, or None for a value; raise CancelledError."""
        try:
            self.run_at_once(future)
        except concurrent.futures.CancelledError:
            raise
        except BaseException as raised:  # noqa: BLE001 - it is the outcome
            return raised
        return None

    def cancel(self, future: Future[Any], *, interrupting: bool) -> bool:
        """Cancel one call; an interruption calls it off, and leaves it to another thread to tell Redis and waiters."""
        executors = future.call.pending is not None
        if interrupting:
            if not (executors and future.running()) and future.call_off():
                self.deferred.put(functools.partial(self.forget, [future]))
        elif not future.cancelled():
            (self.cancel_waiting if executors else self.forget)([future])
        return future.cancelled()

    def heir(self) -> Calls:
        """Return what stands in this one's place in the child of a fork."""
        return self if self._heir is self else self._heir.heir()

    def bequeath(self, heir: Calls) -> None:
        """Leave the futures of the parent to the calls of the child."""
        self._heir = heir
        heir.envelopes.inherit(self.envelopes)

    # --- cancelled -----------------------------------------------------------------------------------------------

    def forget(self, futures: Iterable[Future[Any]]) -> None:
        """Cancel these for good."""
        self._cancelling.forget(futures)

    def abandon(self) -> None:
        """Cancel every call under way, except plain calls: their callers wait for them, and run them."""
        under_way = self.flight.all()
        self.forget([future for future in under_way if not future.caller_runs])
        for future in under_way:
            if future.caller_runs:
                self._come_home(future, RunHere("closed"))

    def cancel_waiting(self, futures: Iterable[Future[Any]]) -> None:
        """Cancel those that have not begun."""
        for event in self._cancelling.cancel_waiting(futures):
            self.apply(event)

    # --- run at their client -------------------------------------------------------------------------------------

    def run_here(self, future: Future[Any], ready: RunHere) -> None:
        """Run a call in this thread, to its outcome."""
        future.settle(self._run(future, ready))

    def _run(self, future: Future[Any], ready: RunHere) -> Read:
        """Run a call in this thread; what it gives or raises is the outcome."""
        if future.sent and ready.why in MAY_BE_QUEUED:
            self.session.has_given_up([(future.call.spec.function, future.call.id)])
        call, why = future.call.made, ready.why
        function = call.spec.function
        self.session.local_run_counts.count(call.spec, why, call.calls, ready.detail, ready.worker)
        if why in WANTING:
            self.demand.begins(future, function)
            self.watch(())  # the listener tells Redis so within a second
        began = time.monotonic()
        future.runner = threading.get_ident()
        outcome: wire.Value | wire.Raised
        try:
            outcome = wire.Value(run_outside(call.run, why))
        except BaseException as raised:  # noqa: BLE001 - it is the outcome; plain calls re-raise it in result()
            outcome = wire.Raised(raised)
        seconds = time.monotonic() - began
        if why in WANTING:
            self.demand.ends(future)
        if why not in SUSPECT:
            self.store.of(call.spec.code.key).ran_at_client(call.calls, seconds)
        info = Info(
            where="local",
            why=why,
            version=version_of(function),
            queued_seconds=began - call.began,
            run_seconds=seconds,
            detail=self.session.lines.detail(call.spec.code.key, ready),
        )
        return Read(outcome, info)

    def _run_backlog(self, future: Future[Any], ready: RunHere) -> None:
        """Run a call in a thread that other calls wait for."""
        if future.begin():
            future.settle_soon(self._run(future, ready))

    # --- what the listener and the engine ask --------------------------------------------------------------------

    def busy(self) -> bool:
        """Return whether anything is under way, at workers or at this client."""
        return bool(self.flight.all() or self.deferred or self.local_runs.busy())

    def relieve(self) -> float:
        """Start the threads that are missing; return after how many seconds the listener is to look again."""
        missing = self.resolvers.relieve() | self.local_runs.relieve()
        return self.resolvers.STUCK_SECONDS if missing else float("inf")

    def waiting(self) -> set[Key]:
        """Return the functions whose calls run at this client and would rather travel."""
        return self.local_runs.waiting().keys() | self.store.asked()

    def take_back(self, key: Key, most: int) -> list[Future[Any]]:
        """Take calls out of the backlog whose worker is back; of those whose code is not known, it is found first."""
        taken, unknown = self.local_runs.take_back(key, most)
        for spec in unknown:
            self.deferred.put(functools.partial(spec.code.work_out, spec.local, self.store))
        return taken

    def unheard(self) -> None:
        """Note that the listener has gone."""
        self.watch = unwatched

    def close(self) -> None:
        """Run at the client what is still to be sent: the listener has gone."""
        self._closed = True
        for group in self.unsent.take():
            for future in group:
                self._come_home(future, RunHere("closed"))


def _missed_a_blob(future: Future[Any], ready: RunHere) -> bool:
    """Return whether a worker lacked a shared object of the call, which can be put into Redis again."""
    return ready.why == "undecodable" and ready.detail.startswith(MissingBlob.__name__) and bool(future.call.blobs)
