"""`connect`, and the client that it returns: the face of one engine.

Called by users. Owns the checks of `connect`'s arguments; what a client does is the engine's business.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from simpledist import config as configuration
from simpledist import policy
from simpledist.client.executor import Executor
from simpledist.config import Config, arguments
from simpledist.engine import fork_and_exit
from simpledist.engine.engine import Engine
from simpledist.errors import ConfigurationError, RedisDown, RedisRefused
from simpledist.wire.process_keys import keyring_of

if TYPE_CHECKING:
    from simpledist.client.pool import Pool

T = TypeVar("T")


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
    """Return a client of the cluster at `url` (else $SIMPLEDIST_REDIS_URL, else redis://localhost:6379/0).

        with simpledist.connect("redis://queue.example:6379/0", secret_file="cluster.key") as dist: ...

    Never blocks and never needs Redis: without one, calls run here. Inside a worker's child it opens nothing.
    `memory://` is a cluster for unit tests, in this process: no server, no worker, each call run at once.
    `codec` is "pickle" or "json"; `local_slots` how many futures may run here at once; a call whose arguments
    take more than `max_value_bytes` does not travel, nor does a result over 256 MB. Calls are signed by the key of
    `secret_file` (else $SIMPLEDIST_SECRET_FILE), else, with Redis on this machine, by the user's own key, which is made
    at first need; `insecure=True` signs nothing. Raises ConfigurationError for what needs no network to be seen: a bad
    URL or name, no key where Redis is on another machine, or a key file that cannot be used.
    """
    fork_and_exit.check_platform()
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
    return Client(
        Engine(settings, keyring_of(settings), codec=codec, local_slots=local_slots, max_value_bytes=max_value_bytes)
    )


_clients: weakref.WeakSet[Client] = weakref.WeakSet()


class Client:
    """One program's connection to the cluster: at most 3 Redis connections and one listener thread.

    Safe to use from many threads, and after a fork (the child gets an identity of its own). Use it in a `with` block or
    call `close`.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        _clients.add(self)

    @property
    def config(self) -> Config:
        """Return where this client finds its cluster."""
        return self.engine.config

    @property
    def id(self) -> str:
        """Return this client's id: its job ids begin with it."""
        return self.engine.id

    @property
    def last_error(self) -> RedisDown | RedisRefused | None:
        """Return why Redis last took no command of this client; None if it never failed."""
        return self.engine.last_error

    def __repr__(self) -> str:
        return repr(self.engine)

    def __reduce__(self) -> Any:
        return _revived, (self.engine,)

    def _repr_html_(self) -> str:
        engine = self.engine
        offered = sorted(engine.offers.functions().items())
        rows = (
            ("Redis", f"{engine.config.safe_url} ({engine.state})"),
            ("namespace", engine.config.namespace),
            ("calls in flight", engine.in_flight()),
            ("workers offer", ", ".join(f"{name} on {slots} slots" for name, slots in offered)),
        )
        return import_module("simpledist.engine.html").table(f"simpledist client {self.id}", rows)

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
        self.engine.close(wait=wait)

    def share(self, value: T) -> T:
        """Share an object, so that it travels once to each worker however many calls hold it; return the object itself.

            model = dist.share(model)
            rows = list(predict.map(batches, itertools.repeat(model)))

        Wherever the object occurs in arguments of this client's calls, also within containers, it is one value in Redis
        from then on. A worker fetches it once, and each of its processes decodes it once: its calls there hold the same
        object. So neither the caller nor a function may change it; arrays in it are read-only on workers. Equal objects
        that are not the same are not shared. It is forgotten when it dies, by `unshare`, and when the client is closed.
        Asks Redis nothing; where there is no worker, nothing changes. With SIMPLEDIST_CHECK_SHARED=1 in the environment
        of clients and workers, an object that was changed is named in the log.
        """
        self.engine.shared.share(value)
        return value

    def unshare(self, value: object) -> None:
        """Let a shared object travel within its calls again; does nothing for one that is not shared.

        Needed for what takes no weak reference (dicts, lists, texts and bytes): a client holds these until then.
        """
        self.engine.shared.unshare(value)

    def executor(
        self,
        max_workers: int | None = None,
        *,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> Executor:
        """Return a `concurrent.futures.Executor` whose calls run on the cluster, for programs that know no queues.

        It takes any callable. One that a live worker offers under its own name, with the same code, goes by name, as
        does a WorkerFunction; any other travels with its call to workers started with `--any` under this Python minor;
        where there is none, it runs here. `max_workers`: how many of its calls may run in this process at once (by
        default the client's `local_slots`); the cluster runs as many as it has slots. Closing the client ends no
        executor: its calls then run here. Raises ValueError for max_workers below 1, and ConfigurationError for an
        initializer: workers belong to many programs.

            with client.executor() as pool:
                print(list(pool.map(pow, range(10), range(10))))
        """
        _initialises_nothing("executor", initializer, initargs)
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        return Executor(self.engine, max_workers or self.engine.local_slots)

    def pool(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> Pool:
        """Return a `multiprocessing.Pool` whose calls run on the cluster, for programs that have a pool in hand.

        Callables go as those of `executor` do. `processes`: how many of its calls may run in this process at once (by
        default the client's `local_slots`); the cluster runs as many as it has slots. The end of its `with` block, of
        the program, or of the pool itself cancels what is not done, as the stdlib's terminates it. Raises ValueError
        for processes below 1, and ConfigurationError for an initializer: a call may run in any process, also in this
        one.

            with client.pool() as pool:
                print(pool.map(abs, range(-10, 0)))
        """
        _initialises_nothing("pool", initializer, initargs)
        if processes is not None and processes < 1:
            raise ValueError("Number of processes must be at least 1")
        # Imported here: multiprocessing takes longer to import than all of simpledist.
        return import_module("simpledist.client.pool").Pool(self.engine, processes or self.engine.local_slots)


def _initialises_nothing(face: str, initializer: object, initargs: tuple[Any, ...]) -> None:
    if initializer is not None or initargs:
        raise ConfigurationError(
            f"{face}(initializer=...): workers serve many programs and are not initialised by one; "
            "do it when the function's module is imported, or in the function itself"
        )


def _revived(engine: Engine) -> Client:
    """Return the client of an engine that came out of a pickle."""
    for one in list(_clients):
        if one.engine is engine:
            return one
    return Client(engine)
