"""A function that runs on whatever worker is free: call it, submit it, map it.

Called by users. Owns names, options and the order of a map; how a call travels is its client's business.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence, Sized
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar

from simpledist import job, wire
from simpledist.buffers import Data
from simpledist.client.chunks import Chunk
from simpledist.client.future import Future
from simpledist.client.inside import Entry, is_inside, run_outside, thread
from simpledist.client.mapping import MapIterator
from simpledist.client.sharing import Sharing, sharing
from simpledist.config import arguments
from simpledist.errors import ConfigurationError
from simpledist.job import Policy, Why

if TYPE_CHECKING:
    from simpledist.client.client import Client
    from simpledist.client.progress import Bar
    from simpledist.client.promises import Promises

# To draw an item of these runs no code of anybody's, which might change the item drawn before.
STILL = frozenset((list, tuple, range, str, bytes, dict, set, frozenset))

P = ParamSpec("P")
R = TypeVar("R")


def worker_function(
    client: Client,
    name: str,
    local: Callable[P, R],
    *,
    version: str | int | None = None,
    timeout: float | None = None,
    max_queue: int | None = None,
    codec: str | None = None,
    join: bool = False,
    cache: float | None = None,
    policy: Policy = "remote",
) -> WorkerFunction[P, R]:
    """The function that workers offer as `name`, called as if it were `local`, which is also the last resort.

        fib = simpledist.worker_function(dist, "fib", fns.fib, timeout=60)
        fib(20), fib.submit(20).result(), list(fib.map(range(20)))

    `version`: only workers that offer `name@version` serve it. `timeout`: seconds that a call may spend on the cluster
    before it runs here instead. `max_queue`: with so many jobs queued, further calls run here. `codec`: "pickle" or
    "json", by default the client's. `join`: a call that is identical to one in flight, of any client, waits for that
    one's outcome instead of being run again. `cache`: the value is kept in Redis for so many seconds and answers
    identical calls; exceptions are not kept. Identical: same function, version, local code and arguments.
    `policy`: "remote" sends every call that can travel, "local" none; "auto" runs a call here when that was seen to
    cost less than its trip. Raises ConfigurationError for a name or option that cannot be used.
    """
    if not callable(local):
        raise ConfigurationError(f"worker_function({name!r}): the third argument is the local function, to be called")
    timeout = arguments.seconds(f"worker_function({name!r})", "timeout", timeout)
    max_queue = arguments.count(f"worker_function({name!r})", "max_queue", max_queue, least=0)
    join = arguments.flag(f"worker_function({name!r})", "join", join)
    if codec not in (None, "pickle", "json"):
        raise ConfigurationError(f"worker_function({name!r}): codec={codec!r}: use 'pickle' or 'json'")
    if policy not in ("remote", "auto", "local"):
        raise ConfigurationError(f"worker_function({name!r}): policy={policy!r}: use 'remote', 'auto' or 'local'")
    shared = sharing(name, local, join=join, cache=cache)
    return WorkerFunction(
        client, job.qualified(name, version), local, timeout, max_queue, codec or client.codec, shared, policy
    )


def function(
    client: Client,
    name: str | None = None,
    *,
    version: str | int | None = None,
    timeout: float | None = None,
    max_queue: int | None = None,
    codec: str | None = None,
    join: bool = False,
    cache: float | None = None,
    policy: Policy = "remote",
) -> Callable[[Callable[P, R]], WorkerFunction[P, R]]:
    """`worker_function` as a decorator; the name is by default the function's own.

        @simpledist.function(dist, timeout=60)
        def fib(n: int) -> int: ...

    A worker whose target is the module (or `module:fib`) offers the function under this name and version. A function
    that calls itself by its decorated name goes through the cluster each time: let it call an undecorated one.
    """

    def decorate(local: Callable[P, R]) -> WorkerFunction[P, R]:
        own = name if name is not None else getattr(local, "__name__", "")
        return worker_function(
            client,
            own,
            local,
            version=version,
            timeout=timeout,
            max_queue=max_queue,
            codec=codec,
            join=join,
            cache=cache,
            policy=policy,
        )

    return decorate


class WorkerFunction(Generic[P, R]):
    """See `worker_function`. Keeps the local function's name, docstring and signature."""

    def __init__(
        self,
        client: Client,
        function: str,
        local: Callable[P, R],
        timeout: float | None,
        max_queue: int | None,
        codec: str,
        shared: Sharing | None = None,
        policy: Policy = "remote",
    ) -> None:
        functools.update_wrapper(self, local)
        self.client = client
        self.function = function
        self.local = local
        self.timeout = timeout
        self.max_queue = max_queue
        self.policy: Policy = policy
        # A worker that imports a decorated function offers what it stands for.
        setattr(self, job.OFFER, (function, local))
        self.codec = codec
        self._sharing = shared
        self.fingerprint = wire.fingerprint(local)

    @property
    def chunks(self) -> bool:
        """Whether calls of a map may travel many as one job: each call that is shared goes by itself."""
        return self._sharing is None and self.client.chunks

    def __repr__(self) -> str:
        return f"<worker function {self.function} of {self.client!r}>"

    def __reduce__(self) -> Any:
        reduced = import_module("simpledist.client.revival").reduced_function
        return reduced(self, self.timeout, self.max_queue, self.codec, self._sharing, self.policy)

    def _repr_html_(self) -> str:
        html = import_module("simpledist.client.html")
        slots = self.client.offers.slots(self.function)
        documentation: str = getattr(self, "__doc__", None) or ""
        rows = (
            ("here", html.code(self.local)),
            ("", documentation.strip().partition("\n")[0]),
            ("on workers", f"{slots} slots" if slots else "none: calls run here"),
            ("timeout", None if self.timeout is None else f"{self.timeout:g} s"),
            ("max_queue", self.max_queue),
        )
        return html.table(f"worker function {self.function}", rows)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The outcome: the value that the function returns, or the exception that it raises."""
        if (
            thread.inside and is_inside()
        ):  # a signal handler or a finaliser, in the midst of our work: it waits for nothing
            return self.client.staying.run(self, "nested", args, kwargs)
        if self.policy != "remote" and (stays := self.client.staying.why(self)) is not None:
            return self.client.staying.run(self, stays, args, kwargs)
        thread.inside = True
        try:
            future, why = self.new_future(args, kwargs, caller_runs=True)
            self.start([(future, why)])
            try:
                return future.outcome()
            finally:
                if not future.done():  # Ctrl-C, or an exception thrown into this thread
                    run_outside(self.client.forget, [future])
        finally:
            thread.inside = False

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Start the call and return its future. It is run with the arguments as they are now, wherever it runs.

        A plain call lends its arguments instead: no other thread may change them until it returns.
        """
        if thread.inside and is_inside():
            with Entry():
                return self.send(args, kwargs)
        thread.inside = True
        try:
            return self.send(args, kwargs)
        finally:
            thread.inside = False

    def send(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[R]:
        """`submit` for code of ours, which is inside already."""
        if self.policy != "remote" and (stays := self.client.staying.why(self)) is not None:
            future, why = self.new_future(args, kwargs, stays=stays)
            self.start([(future, why)])
            return future
        future, why = self.new_future(args, kwargs)
        self.start([(future, why)])
        return future

    def map(
        self, *iterables: Iterable[Any], chunksize: int | Literal["auto"] = "auto", progress: bool = False
    ) -> MapIterator[R]:
        """The outcomes of the calls over the iterables, in order, as `map` gives them.

        Calls go out at once, up to 2,000 in flight (20,000 if they are short), the rest as outcomes are taken. An
        exception is raised at its place. Closing the iterator (or dropping it) cancels what is left.

        `chunksize`: how many calls travel as one job. "auto" sends each by itself until it has seen that they take a
        few milliseconds or less. Each call keeps its own outcome: those behind one that is slow are sent again,
        and one that kills its process alone. Raises ConfigurationError (a ValueError) for a size below 1.

        `progress`: a bar on stderr, as of `simpledist.track`; of iterables without a length it knows no end.
        """
        if chunksize != "auto":
            chunksize = arguments.count(f"{self.function}.map", "chunksize", chunksize, least=1, none=False) or 1
        bar: Bar | None = None
        if progress:
            sizes = [len(one) if isinstance(one, Sized) else None for one in iterables]
            total = None if None in sizes else min((size for size in sizes if size is not None), default=0)
            # Loaded only when somebody wants to look on: most programs never need it.
            bar = import_module("simpledist.client.progress").Bar(self.function, total)
        still = all(type(one) in STILL for one in iterables)
        return MapIterator(self, zip(*iterables), chunksize, bar, still=still)  # noqa: B905 - as the builtin does

    def submit_many(self, calls: Sequence[tuple[Any, ...]], sent: Sequence[Data | None] = ()) -> list[Future[R]]:
        """Start calls together, in as few round trips as they fit; what `map` is made of, which is inside already.

        `sent`: their arguments as they were encoded when they came, or None.
        """
        stays: Why | None = "local" if self.policy == "local" else None
        futures = [
            self.new_future(args, {}, stays=stays, sent=body) for args, body in itertools.zip_longest(calls, sent)
        ]
        try:
            self.start(futures)
        except BaseException:  # Ctrl-C: nobody will have them
            run_outside(self.client.forget, [future for future, _ in futures])
            raise
        return [future for future, _ in futures]

    def submit_chunk(self, calls: Sequence[tuple[Any, ...]], sent: Sequence[Data | None] = ()) -> Chunk | None:
        """Start many calls as one job; None where one of them cannot travel so."""
        future_and_why = self.client.new_chunk(self, calls, sent)
        if future_and_why is None:
            return None
        self.start([future_and_why])
        return Chunk(self, calls, future_and_why[0])

    def start(self, futures: list[tuple[Future[R], Why | None]]) -> None:
        """Send those that can travel; for the others there is a reason why not, and they run here."""
        if travelling := [future for future, why in futures if why is None]:
            self.client.send(travelling)
        for future, why in futures:
            if why is not None:
                self.client.fall_back(future, why)

    def new_future(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        caller_runs: bool = False,
        promises: Promises | None = None,
        crashes: int = 0,
        stays: Why | None = None,
        sent: Data | None = None,
    ) -> tuple[Future[R], Why | None]:
        """A call that is not started yet, and why it cannot travel, if so."""
        return self.client.new_future(
            self.function,
            self.local,
            args,
            kwargs,
            timeout=self.timeout,
            max_queue=self.max_queue,
            codec=self.codec,
            fingerprint=self.fingerprint,
            caller_runs=caller_runs,
            promises=promises,
            crashes=crashes,
            sharing=self._sharing,
            stays=stays,
            sent=sent,
        )

    def cache_clear(self) -> int:
        """Forget the values that `cache=` has kept for this function, of every client; how many there were.

        What its calls in flight come to is not kept either. Raises errors.RedisDown or errors.RedisRefused: then it is
        not known to be forgotten.
        """
        return self.client.clear(self.function)
