"""The cluster behind joblib: `import simpledist.joblib`, then `joblib.parallel_config(backend="simpledist")`.

Owns the backend, through which joblib's batches travel as any function does, to workers started with `--any`; so
whatever uses joblib (scikit-learn's `n_jobs`) runs on the cluster. Imported by the program that wants it, and with its
calls by the children that run them; by no other file here: joblib is not among our dependencies.
"""

# joblib has no types, and need not be there.
# pyright: basic, reportMissingImports=false, reportIncompatibleMethodOverride=false

from __future__ import annotations

import contextlib
import functools
import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from joblib.parallel import (
    AutoBatchingMixin,
    FallbackToBackend,
    LokyBackend,
    ParallelBackendBase,
    SequentialBackend,
    register_parallel_backend,
)

from simpledist import config, shipped
from simpledist.client.client import Client, connect
from simpledist.client.function import WorkerFunction
from simpledist.engine.future import Future
from simpledist.engine.spec import FunctionSpec
from simpledist.errors import Unserialisable
from simpledist.wire import serializers

__all__ = ["SimpledistBackend"]

_default_client = functools.cache(connect)

# Hints of joblib's about processes of its own and memory that it shares with them: workers have none of both.
_HINTS = frozenset(
    ("context", "idle_worker_timeout", "max_nbytes", "mmap_mode", "prefer", "require", "temp_folder", "verbose")
)


class SimpledistBackend(AutoBatchingMixin, ParallelBackendBase):
    """joblib's batches on the cluster; joblib makes it from `backend="simpledist"`.

    `client`: by default one that `SIMPLEDIST_*` describe, shared by all backends of the program. `n_jobs=-1`, and no
    `n_jobs` at all, mean all slots of the workers that take any function; where there is no such worker, joblib's
    own processes do the work. What fails is raised, and what is left is stopped. Calls of joblib inside a batch run one
    after another in its slot. `initializer(*initargs)` runs in each process before its first batch.
    `inner_max_num_threads`: how many threads numerical libraries may use in a batch. Raises TypeError for what is no
    option of it.

        import joblib, simpledist.joblib
        with joblib.parallel_config(backend="simpledist", client=simpledist.connect()):
            joblib.Parallel()(joblib.delayed(pow)(n, 2) for n in range(10))
    """

    supports_retrieve_callback = True
    supports_inner_max_num_threads = True
    default_n_jobs = -1

    def __init__(
        self,
        client: Client | None = None,
        *,
        nesting_level: int | None = None,
        inner_max_num_threads: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        **hints: Any,
    ) -> None:
        _check(hints)
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads)
        self._client = client or _default_client()
        self._begin = _Beginning.of(initializer, initargs)
        self._run: WorkerFunction[..., Any] = WorkerFunction(
            self._client.engine, FunctionSpec(shipped.FUNCTION, shipped.run, strict=True)
        )
        self._futures: set[Future[Any]] = set()
        self.parallel: Any = None  # the one `Parallel` that uses this very backend

    def __reduce__(self) -> Any:
        """Pickle it as the backend that it is inside a batch, where it opens nothing."""
        return SimpledistBackend, ()

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return how many batches may run at once."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            n_jobs = self.default_n_jobs
        slots = self._client.engine.offers.slots(shipped.FUNCTION)
        if not slots:
            return self._without_workers(self._begin).effective_n_jobs(n_jobs)
        # Of a single job joblib would make a loop of its own, and leave the one slot that there is unused.
        return n_jobs if n_jobs > 0 else max(slots + 1 + n_jobs, 2)

    def configure(
        self,
        n_jobs: int | None = 1,
        parallel: Any = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        **hints: Any,
    ) -> int:
        """Begin one `Parallel`: with a backend of its own, so that it stops no batches but its own."""
        _check(hints)
        begin = self._begin if initializer is None else _Beginning.of(initializer, initargs)
        n_jobs = self.effective_n_jobs(n_jobs)
        if n_jobs == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        if not self._client.engine.offers.slots(shipped.FUNCTION):
            raise FallbackToBackend(self._without_workers(begin))
        if self.parallel is not parallel:
            own = object.__new__(type(self))  # of the class that the program chose, which may be one of its own
            vars(own).update(vars(self), _futures=set())
            own._begin, own.parallel = begin, parallel
            raise FallbackToBackend(own)
        return n_jobs

    def submit(self, func: Callable[[], Any], callback: Callable[[Any], None] | None = None) -> Future[Any]:
        """Send one batch."""
        if self._begin is not None or self.inner_max_num_threads is not None:
            func = _Batch(func, self._begin, self.inner_max_num_threads)
        args, kwargs = shipped.arguments(func, (), {})
        future = self._run.submit(*args, **kwargs)
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        """Return the outcomes of a batch that is done, or raise what it raised."""
        return out.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Cancel what is queued and stop what runs: its caller has gone."""
        self._client.engine.forget(list(self._futures))

    def terminate(self) -> None:
        """End one `Parallel`: the next one learns the size of its batches again."""
        self.reset_batch_stats()

    def get_nested_backend(self) -> tuple[ParallelBackendBase, int]:
        """Return what runs joblib's calls inside a batch: it has one slot, and what is nested in it has no more."""
        return SequentialBackend(nesting_level=(self.nesting_level or 0) + 1), 1

    def _without_workers(self, begin: _Beginning | None) -> Any:
        if config.nested():
            return SequentialBackend(nesting_level=self.nesting_level)
        options = {} if begin is None else {"initializer": begin.initializer, "initargs": begin.initargs}
        return LokyBackend(
            nesting_level=self.nesting_level, inner_max_num_threads=self.inner_max_num_threads, **options
        )


def _check(hints: dict[str, Any]) -> None:
    if "timeout" in hints:
        raise TypeError("the simpledist backend takes no timeout=: give it to joblib.Parallel(timeout=...)")
    if unknown := sorted(hints.keys() - _HINTS):
        raise TypeError(
            f"the simpledist backend has no option {', '.join(unknown)}: "
            "it takes client, initializer, initargs and inner_max_num_threads"
        )


# --- what a batch does before and around its calls, in the process that runs it --------------------------------------


_begun: set[str] = set()


@dataclass(frozen=True, slots=True)
class _Beginning:
    """An initializer, and the name under which a process remembers that it ran; "" for one to be run each time."""

    initializer: Callable[..., object]
    initargs: tuple[Any, ...]
    name: str

    @classmethod
    def of(cls, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]) -> _Beginning | None:
        if initializer is None:
            return None
        if not callable(initializer):
            raise TypeError("initializer must be a callable")
        # Functions that travel by value share their globals only with those that travel in the same batch.
        return cls(initializer, initargs, uuid.uuid4().hex if _goes_by_name(initializer) else "")

    def run(self) -> None:
        if self.name not in _begun:
            self.initializer(*self.initargs)
            if self.name:
                _begun.add(self.name)


def _goes_by_name(function: Callable[..., object]) -> bool:
    try:
        return not serializers.holds_code(serializers.dump("pickle", function))
    except Unserialisable:
        return False


@dataclass(frozen=True, slots=True)
class _Batch:
    """A batch of joblib's, with what surrounds it."""

    calls: Callable[[], Any]
    begin: _Beginning | None
    threads: int | None

    def __call__(self) -> Any:
        if self.begin is not None:
            self.begin.run()
        with _at_most(self.threads):
            return self.calls()


@contextlib.contextmanager
def _at_most(threads: int | None) -> Iterator[None]:
    """Limit the threads of numerical libraries, those that are loaded and those that will be, in a worker's child."""
    if threads is None or not config.nested():
        yield
        return
    names = ParallelBackendBase.MAX_NUM_THREADS_VARS
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, str(threads)))
    try:
        with _limits()(limits=threads):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _limits() -> Any:
    try:
        return import_module("threadpoolctl").threadpool_limits
    except ImportError:  # scikit-learn brings it along
        return lambda limits: contextlib.nullcontext()


shipped.carry("simpledist.joblib")
register_parallel_backend("simpledist", SimpledistBackend)
