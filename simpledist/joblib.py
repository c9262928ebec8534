"""The cluster behind joblib: `import simpledist.joblib`, then `joblib.parallel_config(backend="simpledist")`.

Owns the backend, through which joblib's batches travel as any function does, to workers started with `--any`; so
whatever uses joblib (scikit-learn's `n_jobs`) runs on the cluster. Imported by the program that wants it, and by nobody
else here: joblib is not among our dependencies.
"""

# joblib has no types, and need not be there.
# pyright: basic, reportMissingImports=false, reportIncompatibleMethodOverride=false

from __future__ import annotations

import functools
from collections.abc import Callable
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
from simpledist.client.future import Future

__all__ = ["SimpledistBackend"]

_default_client = functools.cache(connect)


class SimpledistBackend(AutoBatchingMixin, ParallelBackendBase):
    """joblib's batches on the cluster; joblib makes it from `backend="simpledist"`.

    `client`: by default one that `SIMPLEDIST_*` describe, shared by all backends of the program. `n_jobs=-1` stands for
    all slots of the workers that take any function; where there is no such worker, joblib's own processes do the work.
    What fails is raised, and what is left is stopped. Calls of joblib inside a batch run one after another in its slot.

        import joblib, simpledist.joblib
        with joblib.parallel_config(backend="simpledist", client=simpledist.connect()):
            joblib.Parallel()(joblib.delayed(pow)(n, 2) for n in range(10))
    """

    supports_retrieve_callback = True
    default_n_jobs = -1

    def __init__(self, client: Client | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._client = client or _default_client()
        self._run: WorkerFunction[..., Any] = WorkerFunction(
            self._client, shipped.FUNCTION, shipped.run, timeout=None, max_queue=None, codec="pickle"
        )
        self._futures: set[Future[Any]] = set()

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many batches may run at once."""
        slots = self._client.offers.slots(shipped.FUNCTION)
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if not slots:
            return self._without_workers().effective_n_jobs(n_jobs)
        if n_jobs is None:
            return 1
        # Of a single job joblib would make a loop of its own, and leave the one slot that there is unused.
        return n_jobs if n_jobs > 0 else max(slots + 1 + n_jobs, 2)

    def configure(self, n_jobs: int | None = 1, parallel: Any = None, **_: Any) -> int:
        """The beginning of one `Parallel`."""
        if not self._client.offers.slots(shipped.FUNCTION):
            raise FallbackToBackend(self._without_workers())
        self.parallel = parallel
        return self.effective_n_jobs(n_jobs)

    def submit(self, func: Callable[[], Any], callback: Callable[[Any], None] | None = None) -> Future[Any]:
        """Send one batch."""
        future = self._run.submit(func, (), {})
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        """The outcomes of a batch that is done, or what it raised."""
        return out.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Cancel what is queued and stop what runs: nobody will ask for it."""
        self._client.forget(list(self._futures))

    def get_nested_backend(self) -> tuple[ParallelBackendBase, int]:
        """A batch has one slot; what is nested in it has no more."""
        return SequentialBackend(nesting_level=(self.nesting_level or 0) + 1), 1

    def _without_workers(self) -> Any:
        if config.nested():
            return SequentialBackend(nesting_level=self.nesting_level)
        return LokyBackend(nesting_level=self.nesting_level)


register_parallel_backend("simpledist", SimpledistBackend)
