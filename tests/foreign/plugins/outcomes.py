"""A pytest plugin for other projects' suites: chooses tests, and writes a line of JSON for the outcome of each.

`FOREIGN_REPORT` is the file, `FOREIGN_WORDS` the words of which one stands in the source of each test that is run,
`FOREIGN_LEFT_OUT` a pattern of the names of tests that are not run.
"""

# loky's tests and pytest's hooks have no types that say anything here.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import contextlib
import inspect
import json
import os
import re
import sys
from importlib import import_module
from typing import Any

import pytest

OURS = os.environ.get("FOREIGN_BACKEND") == "simpledist"
LEFT_OUT = re.compile(os.environ.get("FOREIGN_LEFT_OUT") or "(?!)")
WORDS = tuple(word for word in os.environ.get("FOREIGN_WORDS", "").split(",") if word)


def pytest_configure(config: pytest.Config) -> None:
    """Give programs that joblib's tests start more than ten seconds: a busy machine needs them, with any backend."""
    with contextlib.suppress(ImportError):
        testing: Any = import_module("joblib.testing")
        given = testing.check_subprocess_call

        def longer(*args: Any, timeout: float | None = 5, **options: Any) -> Any:
            return given(*args, timeout=timeout and 4 * timeout, **options)

        testing.check_subprocess_call = longer


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests that say something of parallel calls: those in whose source one of the words stands."""
    if OURS and (mixin := sys.modules.get("tests._executor_mixin")) is not None:
        # loky's set-up counts the executor's own processes before each test: a cluster's has none to count.
        mixin._check_subprocesses_number = lambda *_, **__: None  # type: ignore[attr-defined]
    kept = [item for item in items if not LEFT_OUT.search(item.nodeid) and _is_asked_for(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def _is_asked_for(item: pytest.Item) -> bool:
    return not WORDS or any(word in _source(item) for word in WORDS)


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
