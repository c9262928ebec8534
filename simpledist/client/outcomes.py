"""Replies and reasons become outcomes: decode a result, or run the function here.

Owns the table of calls in flight and every way out of it. Whatever goes wrong on the way of a value ends in a local
run, which gives the true value or the true exception: that is what purity pays for.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from simpledist import placement, policy, wire
from simpledist.broker.broker import parse_reply
from simpledist.broker.records import Reply
from simpledist.buffers import Data
from simpledist.client import beside, running
from simpledist.client.absence import Absence
from simpledist.client.bigcalls import BigCalls
from simpledist.client.bundle import Bundle
from simpledist.client.call import Call, Read, Ready, RunHere
from simpledist.client.deferred import Deferred
from simpledist.client.envelopes import Envelopes
from simpledist.client.future import Future
from simpledist.client.inside import run_outside
from simpledist.client.local import LocalRuns, Resolvers
from simpledist.client.outbox import Outbox
from simpledist.client.session import Session
from simpledist.client.sharing import Together
from simpledist.client.unread import UNREAD, why_unread
from simpledist.errors import RedisDown, RedisRefused, StaleOutcome, Undeliverable
from simpledist.job import SUSPECT, WHYS, Info, Why, version_of, why_of
from simpledist.wire.interruption import by_signal
from simpledist.wire.signing import Keyring

log = logging.getLogger("simpledist")

UNTOLD: frozenset[str] = frozenset({"redis_down", "redis_refused", "timeout"})  # the job may still be there

Patience = Callable[[Future[Any]], bool]  # of which call "no worker" does not count yet


def _nobody(_: Sequence[Future[Any]]) -> None:
    """There is no listener yet."""


def impatient(_: Future[Any]) -> bool:
    return False


class Outcomes:
    """The calls in flight of one client, and how each of them ends. Any thread may call it."""

    def __init__(self, session: Session, keyring: Keyring, local_slots: int) -> None:
        self.session = session
        self.in_flight: dict[str, Future[Any]] = {}
        self.together = Together()
        self.deferred = Deferred(lambda: session.wake(), session.attended)
        self.resolvers = Resolvers(self._resolve, self.deferred)
        self.experience: dict[str, policy.Experience] = {}
        self.costs: dict[str, placement.Costs] = {}
        self.here: dict[str, policy.Experience] = {}  # of runs in this process
        self.absence = Absence(lambda: session.wake())  # the listener's, once there is one
        self.local_runs = LocalRuns(self._run_backlog, local_slots, self.deferred)
        self.heir = self  # in the child of a fork: who takes over its futures
        self.outbox = Outbox()
        self.big_calls = BigCalls(
            session, self.sealed, self._submit_when_there, self.fall_back, lambda futures: self.watch(futures)
        )
        self.watch: Callable[[Sequence[Future[Any]]], None] = _nobody  # the listener's, once there is one
        self._closed = False
        self.envelopes = Envelopes(keyring, session.clock)

    def close(self) -> None:
        """The listener has gone: what is still to be sent runs here."""
        self._closed = True
        for group in self.outbox.take():
            for future in group:
                self.fall_back(future, "closed")

    def unheard(self) -> None:
        """The listener has gone."""
        self.watch = _nobody

    def sealed(self, future: Future[Any]) -> Data:
        """A call as it travels."""
        return self.envelopes.seal(future.call)

    def _submit_when_there(self, future: Future[Any]) -> None:
        """The bytes of this big call lie in Redis."""
        if not future.done():
            self.outbox.put(future, self.session.wake)

    # --- from the listener ---------------------------------------------------------------------------------------

    def take_in(self, element: bytes) -> bool:
        """An element of our reply list: whether a plain call waited for it. What no script of ours wrote is nothing."""
        try:
            reply = parse_reply(element)
        except ValueError:
            log.warning("passed over a foreign element in reply list of client %s", self.session.client)
            return False
        return self.arrived(reply)

    def arrived(self, reply: Reply) -> bool:
        """A job has ended; unknown ids (cancelled, run here meanwhile) are only acknowledged."""
        if reply.state == "running":
            chunk = self.in_flight.get(reply.id)
            if chunk is not None and chunk.call.calls > 1:
                chunk.offer(reply)  # what is finished of it; who reads that puts the slow call in its place
            return False
        futures = self.together.take(self.in_flight, reply.id, to_read=reply.why is None)
        if not futures or reply.why is not None:
            self.session.has_read(reply.id)
        for future in futures:
            future.offer(reply if reply.why is None else RunHere(why_of(reply.why)))
        return any(future.caller_runs for future in futures)

    def fall_back(self, future: Future[Any], why: Why) -> None:
        """This call will be run here, and so will all here that wait for the same job, unless only its time is up."""
        futures = [future]
        if why == "timeout" or self.in_flight.get(future.call.id) is not future:
            self.together.withdraw(self.in_flight, future)
        else:
            futures = self.together.take(self.in_flight, future.call.id, to_read=False) or futures
        for one in futures:
            one.offer(RunHere(why))

    def entered(
        self,
        futures: Sequence[Future[Any]],
        words: Sequence[str | Reply],
        patient: Patience = impatient,
    ) -> list[Future[Any]]:
        """What `submit` said of each: on its way, answered, or to be run here; gives those to be submitted once more.

        `patient` says of which call "no worker" does not count yet.
        """
        again: list[Future[Any]] = []
        for future, word in zip(futures, words, strict=True):
            future.sent = True
            if isinstance(word, Reply):
                self.arrived(word)
            elif word == "queued":
                continue
            elif word == "full":
                self.fall_back(future, "queue_full")
            elif word == "again" or self.session.lanes.moved(future.call.function, word):
                again.append(future)
            elif word.startswith("joined "):
                self.together.move(self.in_flight, future, word.partition(" ")[2])
            elif (why := self.session.lanes.refused(future.call.function, word)) is not None:
                self.absence.heard(future.call.function, why)
                if why != "no_worker" or not patient(future):
                    self.fall_back(future, why)
        return again

    def under_way(self) -> list[Future[Any]]:
        """Every future that waits for an outcome from the cluster."""
        return [*self.in_flight.values(), *self.together.all()]

    def busy(self) -> bool:
        """Whether anything is under way, here or elsewhere."""
        return bool(self.under_way() or self.deferred or self.local_runs.busy())

    def relieve(self) -> float:
        """By the listener: start the threads that are missing; after how many seconds it is to look again."""
        missing = self.resolvers.relieve() | self.local_runs.relieve()
        return self.resolvers.STUCK_SECONDS if missing else float("inf")

    def waiting(self) -> set[str]:
        """Functions that run here and would rather run elsewhere."""
        return self.local_runs.functions_waiting() | self.absence.asked()

    # --- calls of a chunk ----------------------------------------------------------------------------------------

    def wait_for_part(self, future: Future[Any], chunk: Call, part: int) -> None:
        """The call runs and is slow: its outcome is to be a part of that of the chunk, whose place it takes."""
        call = future.call
        call.id, call.digest, call.began, call.deadline, call.part = (
            chunk.id,
            chunk.digest,
            chunk.began,
            chunk.deadline,
            part,
        )
        future.sent = future.on_worker = True
        self.in_flight[call.id] = future
        self.watch([future])

    def start_alone(self, future: Future[Any], why: str = "") -> None:
        """Its chunk brought no outcome of this call, for the reason `why`: from now on it is a job of its own."""
        call = future.call
        self.in_flight.pop(call.id, None)
        call.id, call.part = self.session.new_id(), None
        if why in WHYS and why != "crashed":
            future.offer(RunHere(why_of(why)))
            return
        call.crashes = int(why == "crashed")
        future.sent = future.on_worker = False
        self.in_flight[call.id] = future
        self.outbox.put(future, self.session.wake)
        if self._closed:
            self.close()

    def run_alone(self, future: Future[Any], why: Why) -> None:
        """The call of a bundle is run here."""
        future.sent = False  # Redis knows nothing of it
        future.offer(RunHere(why))

    def give_up_job(self, future: Future[Any]) -> None:
        """A future that was cancelled on its way out of a bundle: nobody waits for its job."""
        if self.together.withdraw(self.in_flight, future) is not None:
            self.session.has_given_up([(future.call.function, future.call.id)])

    def _run_bundle_here(self, whole: Future[Any], bundle: Bundle, why: Why) -> None:
        if whole.sent and why in UNTOLD:
            self.session.has_given_up([(whole.call.function, whole.call.id)])
        bundle.run_here(why)
        whole.settle(Info("local", why), wire.Value(None))

    # --- from futures --------------------------------------------------------------------------------------------

    def settle_elsewhere(self, future: Future[Any], ready: Ready) -> None:
        if not isinstance(ready, RunHere):
            self.resolvers.put(future)
        elif future.call.bundle is None:
            self.local_runs.put(future, ready)
        elif future.take() is not None:
            self._run_bundle_here(future, future.call.bundle, ready.why)

    def settle(self, future: Future[Any], ready: Ready) -> None:
        """Bring a taken future to its outcome, in this thread."""
        if isinstance(ready, RunHere):
            self.run_here(future, ready.why)
            return
        if isinstance(ready, Read):
            future.settle(ready.info, ready.outcome)
            return
        try:
            self._decode(future, ready)
        except BaseException as error:
            if not isinstance(error, Exception) or by_signal(error):
                # Ctrl-C or a handler of SIGALRM while this thread decoded: it is done again when somebody asks.
                future.put_back(ready)
                raise
            # A bug of ours must not be the caller's outcome, nor leave it waiting.
            log.exception("job %s (%s): its result could not be read", future.call.id, future.call.function)
            future.put_back(RunHere("undecodable"))

    def cancel(self, future: Future[Any]) -> bool:
        if future.cancelled():
            return True
        if future.call.promises is not None:
            self.cancel_waiting([future])
            return future.cancelled()
        self.forget([future])
        return future.cancelled()

    def cancel_later(self, future: Future[Any]) -> bool:
        """By an interruption: called off for good, and another thread tells Redis and whoever waits."""
        if future.call.promises is not None and future.running():
            return False
        if future.call_off():
            self.deferred.put(functools.partial(self.forget, [future]))
        return future.cancelled()

    def cancel_waiting(self, futures: Iterable[Future[Any]]) -> None:
        """Cancel those that have not begun anywhere; what runs goes on, and is known to run."""
        queued: list[Future[Any]] = []
        bundled: defaultdict[Future[Any], set[Future[Any]]] = defaultdict(set)  # under the whole of each bundle
        for future in futures:
            if self.local_runs.remove(future):
                future.put_back(None)
                future.give_up()
            elif self.together.shared(future.call.id):
                # Others here wait for it as well: this one alone gives it up.
                if not future.on_worker and self.together.withdraw(self.in_flight, future) is not None:
                    future.give_up()
            elif (bundle := future.bundle) is not None:
                bundled[bundle.whole].add(future)
            elif future.call.id in self.in_flight:
                queued.append(future)
        queued += bundled
        for first in range(0, len(queued), policy.BATCH_ITEMS):
            batch = queued[first : first + policy.BATCH_ITEMS]
            words = ["gone"] * len(batch)  # while nobody can tell; a result that still comes is only acknowledged
            if self.session.trouble is None:
                try:
                    words = self.session.cancel_waiting([(one.call.function, one.call.id) for one in batch])
                except (RedisDown, RedisRefused) as error:
                    self.session.note_trouble(error)
            for future, word in zip(batch, words, strict=True):
                if word == "running":
                    future.on_worker = True
                elif word != "ended" and self.in_flight.pop(future.call.id, None) is not None:
                    future.give_up()
                    if future.call.bundle is not None:
                        future.call.bundle.withdraw(bundled[future])
                elif word == "gone" and future.bundle is not None:  # it was in the outbox, and went on in this moment
                    self.cancel_waiting([future])

    # --- ways to an outcome --------------------------------------------------------------------------------------

    def _resolve(self, future: Future[Any]) -> None:
        ready = future.take()
        if ready is not None:
            self.settle(future, ready)

    def _run_backlog(self, future: Future[Any], ready: RunHere) -> None:
        if future.begin():
            self.run_here(future, ready.why, in_lane=True)

    def _decode(self, future: Future[Any], reply: Reply) -> None:
        call, partial = future.call, reply.state == "running"
        try:
            data = self.session.result_bytes(reply, until=call.deadline)
            if data is None:
                # Evicted or expired before we read it: ask for it again, or run it again.
                future.put_back(None)
                self.together.enter(self.in_flight, future)
                self.session.wake()  # the listener, which may sleep, shall ask after it
                return
            if not partial and reply.place != "cached" and self.together.is_read(call.id):
                self.session.has_read(call.id)
            opened = self.envelopes.open(call, data, cached=reply.place == "cached")
            data = None  # what is decoded lets go of it, piece by piece
            outcome = self._outcome_of(call, opened, reply, waited=future.caller_runs)
            if isinstance(outcome, str):
                future.put_back(None)
                self.start_alone(future, outcome)
                return
        except StaleOutcome:
            self._ask_anew(future, cached=reply.place == "cached")
        except UNREAD as error:
            if by_signal(error):
                raise
            if isinstance(error, Undeliverable):
                self.session.note_undeliverable(call.function, error)
            if partial:  # it is in flight to the end; not any more
                self.in_flight.pop(call.id, None)
            future.put_back(RunHere(why_unread(error)))
        else:
            info = Info(
                where="remote",
                worker=reply.worker,
                version=version_of(call.function),
                attempts=reply.attempts,
                queued_seconds=reply.queued_ms / 1000,
                run_seconds=outcome.run_seconds if call.part is not None else reply.run_ms / 1000,
                joined=future.joined,
                cached=reply.place == "cached",
            )
            if call.bundle is not None:
                call.bundle.take_apart(cast("wire.Value", outcome).value, info)
                outcome = wire.Value(None)
            future.settle(info, outcome)

    def _ask_anew(self, future: Future[Any], *, cached: bool) -> None:
        """The outcome of an equal call is too old for this one: it goes out again, at last for itself alone."""
        call = future.call
        if call.anew or not cached:
            call.sharing = call.address = None
        call.anew, future.joined = True, False
        self.session.has_given_up([(call.function, call.id)])  # where the outcome was forged, it may still wait
        future.put_back(None)
        self.start_alone(future)

    def _outcome_of(self, call: Call, opened: wire.OpenOutcome, reply: Reply, *, waited: bool) -> wire.Part:
        """Decode it, and remember how long such calls take."""
        # What nobody signed is hearsay: it took no longer than we have waited. Less than a millisecond is told as 0.
        run_ms = max(min(reply.run_ms, (time.monotonic() - call.began) * 1000), 0)
        seconds = (run_ms or 0.25) / 1000
        if call.calls > 1:
            parts = wire.decode_parts(opened)
            outcome, calls = wire.Value(parts), sum(not isinstance(part, str) for part in parts.values())
        elif call.part is not None:
            outcome, calls = wire.decode_parts(opened).get(call.part, ""), 1
            if isinstance(outcome, str):
                return outcome
            seconds = outcome.run_seconds
        else:
            outcome, calls = wire.decode_outcome(opened), 1
        if reply.place != "cached":
            seen = self.experience.get(call.function, policy.Experience())
            self.experience[call.function] = seen.ran(calls, seconds)
            costs = self.costs.get(call.function)
            if costs is not None:
                trip = time.monotonic() - call.began - run_ms / 1000 if waited else None
                self.costs[call.function] = costs.ran_there(seconds / max(calls, 1), trip)
        return outcome

    def run_here(self, future: Future[Any], why: Why, *, in_lane: bool = False) -> None:
        """Run the call in this thread; what it gives or raises is the outcome. `in_lane`: other calls wait for it."""
        call = future.call
        self.session.count_local(call.function, why, call.calls)
        if future.sent and why in UNTOLD:
            self.session.has_given_up([(call.function, call.id)])
        began = time.monotonic()
        future.runner = threading.get_ident()
        outcome: wire.Value | wire.Raised
        try:
            outcome = wire.Value(run_outside(running.run, call, why))
        except BaseException as raised:  # noqa: BLE001 - it is the outcome; plain calls re-raise it in result()
            outcome = wire.Raised(raised)
        seconds = time.monotonic() - began
        if why not in SUSPECT:
            self.here[call.function] = self.here.get(call.function, policy.Experience()).ran(call.calls, seconds)
        info = Info(
            where="local",
            why=why,
            version=version_of(call.function),
            queued_seconds=began - call.began,
            run_seconds=seconds,
        )
        if in_lane:
            future.settle_soon(info, outcome)
        else:
            future.settle(info, outcome)

    def run_beside(self, future: Future[Any]) -> Any:
        """The outcome for an interruption, which waits for nothing."""
        self.session.count_local(future.call.function, "nested", 1)
        return beside.run(future)

    def forget(self, futures: Iterable[Future[Any]]) -> None:
        """Cancel these for good; what has run in vain is only acknowledged. Returns at once: an event loop may ask."""
        jobs: list[tuple[str, str]] = []
        for future in futures:
            if self.local_runs.remove(future):
                future.put_back(None)
                future.give_up()
                continue
            if (bundle := future.bundle) is not None:
                if not future.give_up() or not bundle.gave_up():
                    continue
                future = bundle.whole  # the last of them
            others = self.together.withdraw(self.in_flight, future)
            if (others is not None or future.untold) and future.give_up() and others is False:
                jobs.append((future.call.function, future.call.id))
                if future.call.bundle is not None:
                    future.call.bundle.give_up()
        if jobs:
            self.session.has_given_up(jobs)
