"""A pytest plugin for other projects' suites: the cluster in place of loky, and a line of JSON for each outcome.

`FOREIGN_BACKEND=simpledist` puts the joblib backend in the place of joblib's "loky", and `client.executor()` in the
place of loky's executors; anything else leaves all as it is. Lives outside of packages: the suites run in a process of
their own that knows nothing of this repository.
"""

# joblib, loky and pytest's hooks have no types that say anything here.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import inspect
import json
import os
import sys
from importlib import import_module
from typing import Any

import pytest

OURS = os.environ.get("FOREIGN_BACKEND") == "simpledist"
WORDS = tuple(word for word in os.environ.get("FOREIGN_WORDS", "").split(",") if word)


def pytest_configure(config: pytest.Config) -> None:
    """Take loky's place before any test module is imported."""
    if OURS:
        _be_the_backend()
        _be_the_executor(import_module("simpledist").connect())


def _be_the_backend() -> None:
    # The class itself, as tests compare types; it finds the cluster by SIMPLEDIST_REDIS_URL.
    import_module("joblib.parallel").BACKENDS["loky"] = import_module("simpledist.joblib").SimpledistBackend


def _be_the_executor(client: Any) -> None:
    try:
        loky = import_module("loky")
    except ImportError:
        return

    class ProcessPoolExecutor:
        """What loky's is asked for, as far as an executor of a cluster has it."""

        def __new__(cls, max_workers: int | None = None, *_: Any, **__: Any) -> Any:
            return client.executor(max_workers)

    reusable: list[Any] = []

    def get_reusable_executor(max_workers: int | None = None, **_: Any) -> Any:
        if not reusable or reusable[0]._promises._closed:
            reusable[:] = [client.executor(max_workers)]
        return reusable[0]

    module: Any
    for module in (loky, import_module("loky.process_executor")):
        module.ProcessPoolExecutor = ProcessPoolExecutor
    for module in (loky, import_module("loky.reusable_executor")):
        module.get_reusable_executor = get_reusable_executor


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests in whose source one of the words stands: the others have nothing to do with parallel calls."""
    if OURS and (mixin := sys.modules.get("tests._executor_mixin")) is not None:
        # loky's set-up counts the executor's own processes before each test: a cluster's has none to count.
        mixin._check_subprocesses_number = lambda *_, **__: None  # type: ignore[attr-defined]
    if not WORDS:
        return
    kept = [item for item in items if any(word in _source(item) for word in WORDS)]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def _source(item: pytest.Item) -> str:
    try:
        return inspect.getsource(getattr(item, "function", None))  # type: ignore[arg-type]
    except (TypeError, OSError):
        return ""


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note each test's outcome once, a failure in whichever phase it was."""
    if report.when != "call" and report.outcome == "passed":
        return
    text = str(getattr(report, "longrepr", "") or "").strip()
    line: dict[str, Any] = {"test": report.nodeid, "outcome": report.outcome, "why": text.rpartition("\n")[2][:300]}
    line["hung"] = "Timeout (>" in text or "Timeout >" in text
    with open(os.environ["FOREIGN_REPORT"], "a") as file:
        file.write(json.dumps(line) + "\n")
    if report.outcome == "failed":
        print(f"\n{text[-1500:]}", file=sys.stderr)
