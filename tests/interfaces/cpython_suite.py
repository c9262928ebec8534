"""CPython's own tests of executors, run against `client.executor()` by the Python that ships them.

A program: `cpython_suite.py CASE...`, with this repository and our dependencies on PYTHONPATH. It starts a Redis and a
worker of its own Python that takes any function, and exits as unittest does.

Left out, with the reason:
- tests of initializers, deadlocks of broken pools, and whatever looks at `_threads`, `_processes` or `_max_workers`:
  they are about threads and processes that a pool owns; ours are the workers', and an initializer is refused;
- test_map_submits_without_iteration: its function appends to a list of the test; a worker appends to its copy;
- what only threads or only processes can do (locks and semaphores handed to a running call).
The tests that look at what a dying program prints run without a worker: a worker prints on its own stderr.
"""

from __future__ import annotations

import logging
import os
import sys
import unittest
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import simpledist
from simpledist.cluster import Cluster
from tests.key_leaks import no_key_stays

# What runs at the same time, each in a program of its own: most of these tests sleep.
GROUPS = (("ExecutorTest", "AsCompletedTests"), ("WaitTests",), ("ExecutorShutdownTest", "ThreadPoolWaitTests"))
HERE = "tests.interfaces.cpython_suite"
NOBODY = "redis://127.0.0.1:1"


class ClusterExecutor:
    """What the tests call to make an executor; `client` is that of the test, in a test's subprocess one of its own."""

    client: simpledist.Client | None = None

    def __new__(cls, max_workers: int | None = None, **options: Any) -> Any:
        if cls.client is None:  # a test's subprocess, which is to print nothing
            logging.getLogger("simpledist").setLevel(logging.CRITICAL)
        client = cls.client or simpledist.connect(NOBODY)
        return client.executor(max_workers, **options)


def tests(url: str, cases: Sequence[str]) -> unittest.TestSuite:
    """Return the tests of these mixins, in whatever layout this Python has: a module until 3.11, then a package."""
    package = import_module("test.test_concurrent_futures")
    names = ("executor", "test_wait", "test_as_completed", "test_shutdown", "util")
    modules = (
        [import_module(f"{package.__name__}.{name}") for name in names] if hasattr(package, "__path__") else [package]
    )
    found: dict[str, Any] = {}
    for module in modules:
        found.update(vars(module))
        if hasattr(module, "assert_python_ok"):
            module.__dict__["assert_python_ok"] = in_a_program_of_its_own

    class ClusterMixin(found["ExecutorMixin"]):
        executor_type = ClusterExecutor

        def setUp(self) -> None:
            ClusterExecutor.client = simpledist.connect(url)
            found["ExecutorMixin"].setUp(self)

        def tearDown(self) -> None:
            assert ClusterExecutor.client is not None
            self.executor.shutdown()
            ClusterExecutor.client.close()
            found["ExecutorMixin"].tearDown(self)

    suite = unittest.TestSuite()
    for name in cases:
        if name == "ThreadPoolWaitTests":  # one test of it fits
            suite.addTest(type("ClusterRace", (ClusterMixin, found[name]), {})("test_pending_calls_race"))
            continue
        case = type(f"Cluster{name}", (ClusterMixin, found[name], found["BaseTestCase"]), {})
        suite.addTest(unittest.defaultTestLoader.loadTestsFromTestCase(case))
    return suite


def in_a_program_of_its_own(*arguments: str, **environment: str) -> Any:
    """As test.support.script_helper.assert_python_ok, for a program that shall find ClusterExecutor."""
    helper = import_module("test.support.script_helper")
    path = os.environ["PYTHONPATH"]
    changed = [text.replace("from concurrent.futures import", f"from {HERE} import") for text in arguments]
    return helper.assert_python_ok(*changed, PYTHONPATH=path, **environment, __isolated=False)


def main() -> None:
    with Cluster() as cluster:
        cluster.start_worker("--any", slots=5)
        result = unittest.TextTestRunner(verbosity=2).run(tests(cluster.url, sys.argv[1:]))
        no_key_stays(cluster.url)
    sys.exit(not result.wasSuccessful())


if __name__ == "__main__":
    main()
