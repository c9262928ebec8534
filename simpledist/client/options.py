"""`worker_function` and `function`: a function is given a name, a client and options, which are checked here.

Called by users.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import ParamSpec, TypeVar

from simpledist import job
from simpledist.client.client import Client
from simpledist.client.function import WorkerFunction
from simpledist.config import arguments
from simpledist.engine.own_code import Match
from simpledist.engine.sharing import sharing
from simpledist.engine.spec import FunctionSpec
from simpledist.errors import ConfigurationError
from simpledist.job import Policy, Priority

P = ParamSpec("P")
R = TypeVar("R")


def worker_function(
    client: Client,
    name: str,
    local: Callable[P, R],
    *,
    version: str | int | None = None,
    timeout: float | None = None,
    hard_timeout: float | None = None,
    max_queue: int | None = None,
    codec: str | None = None,
    join: bool = False,
    cache: float | None = None,
    policy: Policy = "remote",
    match: Match = None,
    needs: str | Collection[str] | None = None,
    priority: Priority = "normal",
    ship: bool = True,
) -> WorkerFunction[P, R]:
    """Return the function that workers offer as `name`, called as if it were `local`, which is also the last resort.

        fib = simpledist.worker_function(dist, "fib", fns.fib, timeout=60)
        fib(20), fib.submit(20).result(), list(fib.map(range(20)))

    `version`: only workers that offer `name@version` serve it. `timeout`: seconds that a call may spend on the cluster
    before it runs here instead. `hard_timeout`: seconds after which a run is ended wherever it runs, with
    errors.JobTimeout; it is not tried elsewhere. Such a call never shares a job with others, and where it runs here a
    process of its own runs it, so that it can be killed: function, arguments and value must be such that they can be
    pickled, else the call raises ConfigurationError. `max_queue`: with so many jobs queued, further calls run here.
    `codec`: "pickle" or "json", by default the client's. `join`: a call that is identical to one in flight, of any
    client, waits for that one's outcome instead of being run again. `cache`: the value is kept in Redis for so many
    seconds and answers identical calls; exceptions are not kept. Identical: same function, version, local code and
    arguments. `match`: a worker with other code of this very function is passed over, and another function under the
    name serves it, which is said once in the log; "code" refuses that as well, "name" takes whatever is offered under
    the name, without a word. `priority`: of all that is queued for a worker, whatever the function, "high" begins first
    and "low" last, but for one turn in sixteen. `needs`: a tag, or several; only workers that have them
    (`simpledist-worker --tag gpu`) serve it. `ship`: where no worker has the function, one with `--any` gets it with
    the call, and with it the modules of this program that it needs; False: nothing travels. `policy`: "remote" sends
    every call that can travel, "local" none; "auto" runs a call here when that has cost less than its trip. Raises
    ConfigurationError for a name or option that cannot be used.
    """
    _demand_client(client, "worker_function(client, name, local)")
    if not callable(local):
        raise ConfigurationError(f"worker_function({name!r}): the third argument is the local function, to be called")
    timeout = arguments.seconds(f"worker_function({name!r})", "timeout", timeout)
    max_queue = arguments.count(f"worker_function({name!r})", "max_queue", max_queue, least=0)
    join = arguments.flag(f"worker_function({name!r})", "join", join)
    if codec not in (None, "pickle", "json"):
        raise ConfigurationError(f"worker_function({name!r}): codec={codec!r}: use 'pickle' or 'json'")
    if policy not in ("remote", "auto", "local"):
        raise ConfigurationError(f"worker_function({name!r}): policy={policy!r}: use 'remote', 'auto' or 'local'")
    if match not in (None, "code", "name"):
        raise ConfigurationError(f"worker_function({name!r}): match={match!r}: use 'code', 'name' or None")
    if priority not in ("high", "normal", "low"):
        raise ConfigurationError(f"worker_function({name!r}): priority={priority!r}: use 'high', 'normal' or 'low'")
    shared = sharing(name, join=join, cache=cache)
    spec = FunctionSpec(
        job.qualified(name, version),
        local,
        codec=codec or client.engine.codec,
        timeout=timeout,
        hard_timeout=arguments.seconds(f"worker_function({name!r})", "hard_timeout", hard_timeout),
        max_queue=max_queue,
        policy=policy,
        sharing=shared,
        match=match,
        needs=arguments.tags(f"worker_function({name!r})", "needs", needs),
        priority=priority,
        ships=arguments.flag(f"worker_function({name!r})", "ship", ship),
    )
    return WorkerFunction(client.engine, spec)


def function(
    client: Client,
    name: str | None = None,
    *,
    version: str | int | None = None,
    timeout: float | None = None,
    hard_timeout: float | None = None,
    max_queue: int | None = None,
    codec: str | None = None,
    join: bool = False,
    cache: float | None = None,
    policy: Policy = "remote",
    match: Match = None,
    needs: str | Collection[str] | None = None,
    priority: Priority = "normal",
    ship: bool = True,
) -> Callable[[Callable[P, R]], WorkerFunction[P, R]]:
    """Return `worker_function` as a decorator; the name is by default the function's own.

        @simpledist.function(dist, timeout=60)
        def fib(n: int) -> int: ...

    A worker whose target is the module (or `module:fib`) offers the function under this name and version. A function
    that calls itself by its decorated name goes through the cluster each time: let it call an undecorated one.
    """

    _demand_client(client, "@simpledist.function(client)")

    def decorate(local: Callable[P, R]) -> WorkerFunction[P, R]:
        own = name if name is not None else getattr(local, "__name__", "")
        return worker_function(
            client,
            own,
            local,
            version=version,
            timeout=timeout,
            hard_timeout=hard_timeout,
            max_queue=max_queue,
            codec=codec,
            join=join,
            cache=cache,
            policy=policy,
            match=match,
            needs=needs,
            priority=priority,
            ship=ship,
        )

    return decorate


def _demand_client(client: object, form: str) -> None:
    """Raise ConfigurationError for what is no client, such as the function below a decorator without parentheses."""
    if not isinstance(client, Client):
        raise ConfigurationError(
            f"{form}: {type(client).__name__} is no client: write client = simpledist.connect() and pass that first"
        )
