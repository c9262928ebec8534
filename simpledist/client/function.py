"""A function that runs on whatever worker is free: call it, submit it, map it.

Called by users. Owns what its methods accept; how a call travels is the engine's business.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Sized
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar

from simpledist import job
from simpledist.client.mapping import MapIterator
from simpledist.config import arguments
from simpledist.engine.engine import Engine
from simpledist.engine.future import Future
from simpledist.engine.spec import FunctionSpec
from simpledist.job import Stats
from simpledist.wire.process_keys import check_codec

if TYPE_CHECKING:
    from simpledist.client.progress import Bar

# To draw an item of these runs no code of anybody's, which might change the item drawn before.
STILL = frozenset((list, tuple, range, str, bytes, dict, set, frozenset))

_WITH_ANY, _NONE = "those with --any", "none: calls run here"

P = ParamSpec("P")
R = TypeVar("R")


class WorkerFunction(Generic[P, R]):
    """See `worker_function`. Keeps the local function's name, docstring and signature."""

    def __init__(self, engine: Engine, spec: FunctionSpec) -> None:
        check_codec(spec.codec, engine.keyring)
        functools.update_wrapper(self, spec.local)
        self.engine = engine
        self.spec = spec
        # A worker that imports a decorated function offers the local function.
        setattr(self, job.OFFER, (spec.function, spec.local))

    @property
    def function(self) -> str:
        """Return the qualified name."""
        return self.spec.function

    @property
    def local(self) -> Callable[P, R]:
        """Return the local function."""
        return self.spec.local

    def __repr__(self) -> str:
        engine, spec, stats = self.engine, self.spec, self.stats()
        counts = ", ".join(f"{count:,} here ({why})" for why, count in stats.local.items())
        made = f"; {stats.calls:,} {'call' if stats.calls == 1 else 'calls'}" if stats.calls else ""
        place = f"{engine.config.safe_url}: {engine.outlook(spec)}{made}{f', {counts}' if counts else ''}"
        return f"<worker function {spec.function} ({spec.target}) of {place}>"

    def __reduce__(self) -> Any:
        """Pickle by name where its module has it, as one that was decorated; else by what it was made of."""
        module, name = getattr(self, "__module__", None), getattr(self, "__qualname__", "")
        found: Any = sys.modules.get(module) if module and module != "__main__" else None
        for part in name.split("."):
            found = getattr(found, part, None)
        return name if found is self else (WorkerFunction, (self.engine, self.spec))

    def _repr_html_(self) -> str:
        html = import_module("simpledist.engine.html")
        spec, slots = self.spec, self.engine.offers.slots(self.spec.function, self.spec.needs)
        documentation: str = getattr(self, "__doc__", None) or ""
        rows = (
            ("here", html.code(spec.local)),
            ("", documentation.strip().partition("\n")[0]),
            ("on workers", f"{slots} slots" if slots else _WITH_ANY if spec.code.ships_until else _NONE),
            ("timeout", None if spec.timeout is None else f"{spec.timeout:g} s"),
            ("hard_timeout", None if spec.hard_timeout is None else f"{spec.hard_timeout:g} s"),
            ("max_queue", spec.max_queue),
            ("needs", " ".join(spec.needs)),
        )
        return html.table(f"worker function {spec.function}", rows)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return the outcome: the value that the function returns, or raise the exception that it raises."""
        return self.engine.call(self.spec, args, kwargs)

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Start the call and return its future. It is run with the arguments as they are now, wherever it runs.

        Of a plain call no copy is made: no other thread may change its arguments until it returns.
        """
        return self.engine.submit(self.spec, args, kwargs)

    def map(
        self, *iterables: Iterable[Any], chunksize: int | Literal["auto"] = "auto", progress: bool = False
    ) -> MapIterator[R]:
        """Return the outcomes of the calls over the iterables, in order, as `map` gives them.

        Calls go out at once, up to 2,000 in flight (20,000 if they are short), the rest as outcomes are taken. An
        exception is raised at its place. Closing the iterator (or dropping it) cancels what is left.

        `chunksize`: how many calls travel as one job. "auto" sends each by itself until it has seen that they take a
        few milliseconds or less. Each call keeps its own outcome: those behind one that is slow are sent again,
        and one that kills its process alone. Raises ConfigurationError (a ValueError) for a size below 1.

        `progress`: a bar on stderr, as of `simpledist.track`; of iterables without a length it knows no end.
        """
        if chunksize != "auto":
            chunksize = arguments.count(f"{self.spec.function}.map", "chunksize", chunksize, least=1, none=False) or 1
        bar: Bar | None = None
        if progress:
            sizes = [len(one) if isinstance(one, Sized) else None for one in iterables]
            total = None if None in sizes else min((size for size in sizes if size is not None), default=0)
            # Loaded only when somebody wants to look on: most programs never need it.
            bar = import_module("simpledist.client.progress").Bar(self.spec.function, total)
        still = all(type(one) in STILL for one in iterables)
        calls = zip(*iterables)  # noqa: B905 - as the builtin does
        return MapIterator(self.engine, self.spec, calls, chunksize=chunksize, bar=bar, still=still)

    def stats(self) -> Stats:
        """Return what the calls of this function came to in this process, so far.

            print(fib.stats().local)  # {'no_worker': 12}

        Calls that are under way or were cancelled are not among them, nor are those of other processes and of other
        worker functions of the same name. Asks Redis nothing, and never waits.
        """
        return self.spec.tally.stats()

    def cache_clear(self) -> int:
        """Forget the values that `cache=` has kept for this function, of every client; return how many there were.

        What its calls in flight come to is not kept either. Raises errors.RedisDown or errors.RedisRefused: then it is
        not known to be forgotten.
        """
        return self.engine.clear(self.spec.function)
