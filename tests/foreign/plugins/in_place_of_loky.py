"""The cluster in place of loky: joblib's backend "loky", and loky's executors, as far as a cluster has what they have.

Changes a library right after its import, so that no program has to know of it. Lives outside of packages: what runs
here knows nothing of this repository but `simpledist`.
"""

# joblib and loky have no types that say anything here.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import concurrent.futures
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any


def wait_for_libraries() -> None:
    """Change joblib and loky when they are imported."""
    changes = {"joblib.parallel": _change_joblib, "simpledist.joblib": _take_lokys_place, "loky": _change_loky}
    sys.meta_path.insert(0, _AfterImport(changes))


class _AfterImport(MetaPathFinder):
    """Finds the modules that are to be changed, and changes each once, when it has been run."""

    def __init__(self, changes: dict[str, Callable[[Any], None]]) -> None:
        self._changes = changes

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        change = self._changes.pop(fullname, None)
        spec = None if change is None else PathFinder.find_spec(fullname, path)
        if change is not None and spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def run_and_change(module: Any) -> None:
                run(module)
                change(module)

            spec.loader.exec_module = run_and_change  # type: ignore[method-assign]
        return spec


def _change_joblib(_: Any) -> None:
    import_module("simpledist.joblib")  # where a program begins with that, it goes on after this


def _take_lokys_place(ours: Any) -> None:
    # The class itself, as tests compare types; it finds the cluster by SIMPLEDIST_REDIS_URL.
    sys.modules["joblib.parallel"].BACKENDS["loky"] = ours.SimpledistBackend  # type: ignore[attr-defined]


def _change_loky(loky: Any) -> None:
    loky.ProcessPoolExecutor = sys.modules["loky.process_executor"].ProcessPoolExecutor = ProcessPoolExecutor  # type: ignore[attr-defined]
    loky.get_reusable_executor = sys.modules["loky.reusable_executor"].get_reusable_executor = get_reusable_executor  # type: ignore[attr-defined]


@functools.cache
def _client() -> Any:
    return import_module("simpledist").connect()


class _Flags:
    """What loky's tests ask of an executor's state. A call that kills its process does not break a cluster."""

    broken = None
    shutdown = False


class ProcessPoolExecutor(concurrent.futures.Executor):
    """`client.executor()` with the arguments of loky's. What is about processes of one's own has no effect."""

    def __init__(
        self,
        max_workers: int | None = None,
        job_reducers: Any = None,
        result_reducers: Any = None,
        timeout: float | None = None,
        context: Any = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        env: dict[str, str] | None = None,
    ) -> None:
        if getattr(initializer, "__name__", "") == "initializer_event":
            # loky's set-up hands an event of this machine to each process: it cannot travel.
            initializer, initargs = None, ()
        self._flags = _Flags()
        self._executor = _client().executor(max_workers, initializer=initializer, initargs=initargs)

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        return self._executor.submit(fn, *args, **kwargs)

    def map(self, fn: Any, *iterables: Any, **options: Any) -> Iterator[Any]:
        return self._executor.map(fn, *iterables, **options)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False, kill_workers: bool = False) -> None:
        self._flags.shutdown = True
        self._executor.shutdown(wait, cancel_futures=cancel_futures or kill_workers)


_reusable = threading.local()


def get_reusable_executor(
    max_workers: int | None = None,
    context: Any = None,
    timeout: float | None = None,
    kill_workers: bool = False,
    reuse: bool | str = "auto",
    **options: Any,
) -> Any:
    """Return this thread's executor; a new one if that was shut down, or is asked for with other arguments."""
    executor = getattr(_reusable, "executor", None)
    arguments = max_workers, context, timeout, options
    if executor is None or executor._flags.shutdown or (reuse is not True and arguments != _reusable.arguments):
        if executor is not None:
            executor.shutdown(wait=False, kill_workers=kill_workers)
        executor = _reusable.executor = ProcessPoolExecutor(max_workers, **options)
        _reusable.arguments = arguments
    return executor
