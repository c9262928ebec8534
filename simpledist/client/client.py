"""The facade: connect, and what a WorkerFunction asks of its client: start calls, end calls, close.

Owns the wiring of session, outcomes and listener, and what happens to it at close and after a fork. Decisions live
in the parts; see the map in this package's docstring.
"""

from __future__ import annotations

import functools
import os
import sys
import time
import weakref
from collections.abc import Callable, Sequence
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any

from simpledist import config as configuration
from simpledist import policy, wire
from simpledist.buffers import Data
from simpledist.client import lifetime, snapshot
from simpledist.client.call import Call, RunHere
from simpledist.client.chunks import run_all
from simpledist.client.future import Future
from simpledist.client.inside import Entry, is_inside, run_outside, thread
from simpledist.client.offers import Offers
from simpledist.client.outbox import batches
from simpledist.client.outcomes import Outcomes
from simpledist.client.promises import Promises
from simpledist.client.reach import Reach
from simpledist.client.session import Session
from simpledist.client.sharing import Sharing
from simpledist.client.staying import Staying
from simpledist.config import Config, arguments
from simpledist.errors import ConfigurationError, RedisDown, RedisRefused, Undeliverable, Unserialisable
from simpledist.job import Why
from simpledist.wire.signing import Keyring

if TYPE_CHECKING:
    from simpledist.client.executor import Executor
    from simpledist.client.function import WorkerFunction
    from simpledist.client.memory import Memory


def connect(
    url: str | None = None,
    *,
    namespace: str | None = None,
    secret_file: str | None = None,
    insecure: bool = False,
    codec: str = "pickle",
    local_slots: int = 1,
    max_value_bytes: int = policy.MAX_VALUE_BYTES,
) -> Client:
    """A client of the cluster at `url` (else $SIMPLEDIST_REDIS_URL, else redis://localhost:6379/0).

        with simpledist.connect("redis://queue.example:6379/0", secret_file="cluster.key") as dist: ...

    Never blocks and never needs Redis: without one, calls run here. Inside a worker's child it opens nothing.
    `memory://` is a cluster for unit tests, in this process: no server, no worker, each call run at once.
    `codec` is "pickle" or "json"; `local_slots` how many futures may run here at once; a call whose arguments
    take more than `max_value_bytes` does not travel, nor does a result over 256 MB. Raises ConfigurationError for what
    needs no network to be seen: a bad URL or name, or no key where Redis is on another machine.
    """
    lifetime.check_platform()
    if codec not in ("pickle", "json"):
        raise ConfigurationError(f"codec {codec!r}: use 'pickle' or 'json'")
    local_slots = arguments.count("connect", "local_slots", local_slots, least=1, none=False) or 1
    max_value_bytes = arguments.count("connect", "max_value_bytes", max_value_bytes, least=0, none=False) or 0
    url, namespace = arguments.text("connect", "url", url), arguments.text("connect", "namespace", namespace)
    secret_file, insecure = (
        arguments.file("connect", "secret_file", secret_file),
        arguments.flag("connect", "insecure", insecure),
    )
    settings = configuration.load(
        url, namespace=namespace, secret_file=secret_file, insecure=insecure, codec=codec, memory=True
    )
    keyring = Keyring.from_file(settings.secret_file, settings.namespace) if settings.secret_file else Keyring()
    return Client(settings, keyring, codec=codec, local_slots=local_slots, max_value_bytes=max_value_bytes)


class Client:
    """One program's connection to the cluster: at most 3 Redis connections and one listener thread.

    Safe to use from many threads, and after a fork (the child gets an identity of its own). Use it in a `with` block or
    call `close`.
    """

    def __init__(self, config: Config, keyring: Keyring, *, codec: str, local_slots: int, max_value_bytes: int) -> None:
        self.config = config
        self.codec = codec
        self._keyring = keyring
        self._local_slots = local_slots
        self._max_value_bytes = max_value_bytes
        self._promises: weakref.WeakSet[Promises] = weakref.WeakSet()
        self._begin(closed=False)
        lifetime.remember(self)

    def _begin(self, *, closed: bool) -> None:
        self._pid = os.getpid()
        self._session = Session(self.config, self._keyring)
        self._outcomes = Outcomes(self._session, self._keyring, self._local_slots)
        self._reach = Reach(self._session, self._outcomes, closed=closed)
        self.staying = Staying(self._outcomes, self._reach.away)
        self.offers = Offers(self._reach.live_workers)
        self._memory: Memory | None = None
        if self.config.url == configuration.MEMORY_URL:
            self._memory = import_module("simpledist.client.memory").Memory(self._outcomes, self._keyring)
            self._session.trouble = None
            self.offers = Offers(list[Any])

    @property
    def id(self) -> str:
        """This client's id: its job ids begin with it."""
        return self._session.client

    @property
    def last_error(self) -> RedisDown | RedisRefused | None:
        """Why Redis last took no command of this client; None if it never failed."""
        return self._session.last_error

    def __repr__(self) -> str:
        return f"<simpledist client {self.id} of {self.config.safe_url}>"

    def __reduce__(self) -> Any:
        reduced = import_module("simpledist.client.revival").reduced_client
        return reduced(self, self.codec, self._local_slots, self._max_value_bytes)

    def nest(self) -> None:
        """Open nothing: it has come to another process as an argument."""
        self._reach.nested = True

    def _repr_html_(self) -> str:
        functions = self.offers.functions()
        state = "closed" if self._reach.closed else self._session.trouble or "up"
        rows = (
            ("Redis", f"{self.config.safe_url} ({state})"),
            ("namespace", self.config.namespace),
            ("calls in flight", len(self._outcomes.in_flight)),
            ("workers offer", ", ".join(f"{name} on {slots} slots" for name, slots in sorted(functions.items()))),
        )
        return import_module("simpledist.client.html").table(f"simpledist client {self.id}", rows)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(wait=kind is None)

    def close(self, *, wait: bool = True) -> None:
        """End this client: with `wait`, calls in flight come to their outcome first; else they are cancelled.

        Calls made afterwards run here. May be called twice. By a signal handler or finaliser that interrupts this
        library it returns at once, and the end comes when no call is under way.
        """
        if self._reach.closed:
            return
        self._reach.closed = True
        if thread.inside and is_inside():
            if not wait:
                self._outcomes.deferred.put(lambda: self._outcomes.forget(self._outcomes.under_way()))
            if self._reach.listener is not None:
                self._reach.listener.close_when_idle()
            return
        if wait:
            while futures := self._outcomes.under_way():
                for future in futures:
                    future.wait_done()
            self._outcomes.local_runs.join()
        with Entry():
            if not wait:
                self._outcomes.forget(self._outcomes.under_way())
            if (listener := self._reach.let_go()) is not None:
                listener.close()
            self._outcomes.close()
            self._outcomes.resolvers.close()
            self._session.close()

    def __del__(self) -> None:
        # Whoever still has a future of it gets the outcome; then thread, connections and descriptors go.
        reach: Reach | None = getattr(self, "_reach", None)
        if reach is not None and reach.listener is not None and self._pid == os.getpid():
            reach.listener.close_when_idle()

    def executor(
        self,
        max_workers: int | None = None,
        *,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> Executor:
        """A `concurrent.futures.Executor` whose calls run on the cluster, for programs that know nothing of queues.

        It takes any callable. One that a live worker offers under its own name, with the same code, goes by name, as
        does a WorkerFunction; any other travels with its call to workers started with `--any` under this Python minor;
        where there is none, it runs here. `max_workers`: how many of its calls may run in this process at once (by
        default the client's `local_slots`); the cluster runs as many as it has slots. Closing the client ends no
        executor: its calls then run here. Raises ValueError for max_workers below 1, and ConfigurationError for an
        initializer: workers belong to many programs.

            with client.executor() as pool:
                print(list(pool.map(pow, range(10), range(10))))
        """
        if initializer is not None or initargs:
            raise ConfigurationError(
                "executor(initializer=...): workers serve many programs and are not initialised by one; "
                "do it when the function's module is imported, or in the function itself"
            )
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        promises = Promises(max_workers or self._local_slots)
        self._promises.add(promises)
        return import_module("simpledist.client.executor").Executor(self, promises)

    # --- what a WorkerFunction or an executor asks ------------------------------------------------------------------

    def new_future(
        self,
        function: str,
        local: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        timeout: float | None,
        max_queue: int | None,
        codec: str,
        fingerprint: str,
        caller_runs: bool,
        promises: Promises | None = None,
        crashes: int = 0,
        sharing: Sharing | None = None,
        stays: Why | None = None,
        sent: Data | None = None,
    ) -> tuple[Future[Any], Why | None]:
        """A future for one call, and why it cannot travel (None: `send` it)."""
        now = time.monotonic()
        why = self._reach.ended() or stays or self._reach.away()
        body: Data = b""
        address = None
        # A future that waits for its local slot goes remote when Redis is back; a plain call runs here at once.
        if why is None or (not caller_runs and why in ("redis_down", "redis_refused")):
            try:
                body = sent or wire.encode_arguments(codec, args, kwargs, lend=caller_runs)
                if len(body) > self._max_value_bytes:
                    why = "too_big"
                elif sharing is not None:
                    given = (args, kwargs) if caller_runs else snapshot.given(codec, body, local, args, kwargs)
                    address = sharing.address(function, codec, *given)
            except Unserialisable:
                why = "unserialisable"
        if why is not None and not caller_runs and not len(body) and not snapshot.unchanging(args, kwargs):
            codec, body = (codec, sent) if sent else snapshot.encoded(codec, args, kwargs)  # it runs here, and later
        call = Call(
            id=self._session.new_id(),
            function=function,
            local=local,
            args=args,
            kwargs=kwargs,
            codec=codec,
            fingerprint=fingerprint,
            body=body,
            began=now,
            deadline=None if timeout is None else now + timeout,
            max_queue=max_queue,
            promises=promises,
            crashes=crashes,
            sharing=sharing if address else None,
            address=address,
            python=wire.python_of(body),
            lends=caller_runs,
        )
        return Future(call, self._outcomes, caller_runs=caller_runs), why

    def new_chunk(
        self, function: WorkerFunction[..., Any], calls: Sequence[tuple[Any, ...]], sent: Sequence[Data | None] = ()
    ) -> tuple[Future[Any], Why | None] | None:
        """A future for many calls as one job; None where they are not to travel so."""
        if self._reach.away() is not None or function.policy == "local":
            return None
        began = time.perf_counter()
        try:
            body = wire.encode_calls(function.codec, calls, sent)
        except Unserialisable:
            return None
        if (costs := self._outcomes.costs.get(function.function)) is not None:
            seconds = (time.perf_counter() - began) / len(calls)
            self._outcomes.costs[function.function] = costs.serialised(seconds)
        if len(body) > min(policy.CHUNK_BYTES, self._max_value_bytes):
            return None
        now = time.monotonic()
        call = Call(
            id=self._session.new_id(),
            function=function.function,
            local=run_all,
            args=(function.local, calls),
            kwargs={},
            codec=function.codec,
            fingerprint=function.fingerprint,
            body=body,
            began=now,
            deadline=None if function.timeout is None else now + function.timeout,
            max_queue=function.max_queue,
            calls=len(calls),
            python=wire.python_of_calls(function.codec, body),
        )
        return Future(call, self._outcomes, caller_runs=False), None

    @property
    def chunks(self) -> bool:
        """Whether it pays to let several calls travel together."""
        return self._memory is None

    def seen(self, function: str) -> policy.Experience:
        """What this client knows of a function's run times on workers."""
        return self._outcomes.experience.get(function, policy.Experience())

    def send(self, futures: Sequence[Future[Any]]) -> None:
        """Submit calls of one function, in as few scripts as they fit; those refused run here."""
        if self._memory is not None:
            for future in futures:
                run_outside(self._memory.run, future)
            return
        in_flight, listener = self._outcomes.in_flight, self._reach.listener
        if listener is None and thread.interrupting:
            for future in futures:
                self.fall_back(future, "redis_down")
            return
        alone = thread.interrupting or (
            (len(futures) == 1 or futures[0].call.promises is not None) and not futures[0].caller_runs
        )
        # Nobody waits for it yet: it goes with whatever else is submitted in this moment. The outcome of a job that a
        # call joins may be there before we know that it has: who reads replies has to be who submits.
        if listener is not None and (alone or futures[0].call.sharing is not None):
            for future in futures:
                in_flight[future.call.id] = future
                self._outcomes.outbox.put(future, listener.wake)
            return
        for batch in batches(list(futures)):
            for future in batch:
                in_flight[future.call.id] = future
            call = batch[0].call
            try:
                short = batch[0].caller_runs and len(call.body) <= policy.BESIDE_BYTES - policy.HEAD_BYTES
                if short and listener is not None and listener.lead(batch[0]):
                    continue  # a plain call went out, and has perhaps its reply, without the listener
                words = self._session.submit(
                    call.function,
                    [
                        (future.call.label, self._session.parcel(future.call, self._outcomes.sealed(future)))
                        for future in batch
                    ],
                    call.max_queue,
                    call.crashes,
                    wish=self._session.lanes.wished(future.call.python for future in batch),
                    until=call.deadline,
                )
            except (TimeoutError, Undeliverable) as error:  # of the remote budget; of this value alone
                for future in batch:
                    self._outcomes.fall_back(future, self._session.why_unsent(call.function, error))
                continue
            except (RedisDown, RedisRefused) as error:
                why = self._session.note_trouble(error)
                for future in batch:
                    future.sent = True  # its reply may be all that was lost
                    self._outcomes.fall_back(future, why)
                if listener is not None:
                    listener.wake()
                continue
            except BaseException:
                # Ctrl-C: nobody will have these futures.
                for future in batch:
                    in_flight.pop(future.call.id, None)
                self._session.has_given_up([(call.function, future.call.id) for future in batch])
                raise
            again = self._outcomes.entered(batch, words)
            if listener is not None:
                listener.watch(batch)
            if again:
                self.send(again)

    def fall_back(self, future: Future[Any], why: Why) -> None:
        """This call cannot travel: it runs here."""
        if self._memory is not None or sys.is_finalizing():
            self._outcomes.run_here(future, why)
        elif thread.interrupting:
            future.leave(RunHere(why))
            self._outcomes.deferred.put(functools.partial(self._outcomes.settle_elsewhere, future, RunHere(why)))
        else:
            self._outcomes.fall_back(future, why)

    def clear(self, function: str) -> int:
        """Forget the cached values of a function; how many there were. Raises RedisDown or RedisRefused."""
        if self._memory is not None:
            return self._memory.clear(function)
        if thread.inside and is_inside():
            raise RedisDown("a signal handler or finaliser that interrupts simpledist cannot ask Redis")
        with Entry():
            cleared = self._session.clear(function)
            self._outcomes.envelopes.cleared(function, cleared.at_ms)
            return cleared.forgotten

    def wait_for_part(self, future: Future[Any], chunk: Call, part: int) -> None:
        """This call of a chunk runs, and is slow: the chunk's job goes on for its sake."""
        self._outcomes.wait_for_part(future, chunk, part)

    def forget(self, futures: Sequence[Future[Any]]) -> None:
        """Cancel what is left of a map."""
        self._now_or_later(self._outcomes.forget, futures)

    def later(self, act: Callable[[], object]) -> None:
        """Have a public entry called by another thread: what a finaliser may ask for, wherever it runs."""
        self._outcomes.deferred.put(functools.partial(run_outside, act))
        if not self._outcomes.deferred.attended() and not is_inside():  # there is no other thread
            self._outcomes.deferred.run()

    def cancel_waiting(self, futures: Sequence[Future[Any]]) -> None:
        """Cancel those that have not begun."""
        self._now_or_later(self._outcomes.cancel_waiting, futures)

    def _now_or_later(self, act: Callable[[Sequence[Future[Any]]], object], futures: Sequence[Future[Any]]) -> None:
        with Entry():
            if thread.interrupting:
                self._outcomes.deferred.put(functools.partial(act, futures))
            else:
                act(futures)

    # --- fork and exit -------------------------------------------------------------------------------------------

    def at_exit(self) -> None:
        """The program ends: executors keep the stdlib's promise that what they took is done; the rest is cancelled."""
        self._outcomes.deferred.run()
        for promises in list(self._promises):
            promises.close("cannot schedule new futures after interpreter shutdown")
            promises.join()
        self.close(wait=False)

    def after_fork(self) -> None:
        """In the child of a fork: a new identity; what was in flight belongs to the parent and runs here if asked."""
        outcomes = self._outcomes
        nested = self._reach.nested
        self._begin(closed=self._reach.closed)
        self._reach.nested = nested
        outcomes.heir = self._outcomes
        self._outcomes.envelopes.inherit(outcomes.envelopes)
        for promises in list(self._promises):
            promises.begin()
