"""CPython's own tests of `multiprocessing.Pool`, run against `client.pool()` by the Python that ships them.

A program: `cpython_pools.py`, with this repository and our dependencies on PYTHONPATH. It starts a Redis and a worker
of its own Python that takes any function, and exits as unittest does. `LEFT_OUT` says what is not run, and why.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import unittest
from importlib import import_module
from typing import Any

import simpledist
from simpledist.cluster import Cluster
from tests.key_leaks import no_key_stays

HERE = "tests.interfaces.cpython_pools"
NOBODY = "redis://127.0.0.1:1"
CASES = ("_TestPool", "_TestPoolWorkerErrors", "_TestPoolWorkerLifetime")

LEFT_OUT = {
    "test_make_pool": "it counts the processes of the pool's own; ours are the workers'",
    "test_map_unplicklable": "what cannot be pickled runs at the caller, and gives its own outcome",
    "test_traceback": "the remote traceback is the exception's cause as a class of simpledist's",
    "test_unpickleable_result": "a result that cannot be pickled is made at the caller, and gives its value",
    "test_pool_worker_lifetime": "it looks at the processes of the pool's own, which maxtasksperchild= replaces",
    "test_pool_maxtasksperchild_invalid": "there is no maxtasksperchild=: workers have --recycle",
}


class ClusterPool:
    """What the tests call to make a pool; `client` is that of the tests, in a test's subprocess one of its own."""

    client: simpledist.Client | None = None

    def __new__(cls, processes: int | None = None, *, maxtasksperchild: int | None = None) -> Any:
        client = cls.client or simpledist.connect(NOBODY)
        return client.pool(processes)


def tests(url: str) -> unittest.TestSuite:
    """Return the tests that are run. Some ask `multiprocessing` itself for a pool."""
    module: Any = import_module("test._test_multiprocessing")
    helper = import_module("test.support.script_helper")
    asked, multiprocessing.Pool = helper.assert_python_ok, ClusterPool  # type: ignore[assignment]

    def in_a_program_of_its_own(*arguments: str) -> Any:
        own = [text.replace("from multiprocessing import", f"from {HERE} import") for text in arguments]
        return asked(*own, PYTHONPATH=os.environ["PYTHONPATH"], __isolated=False)

    helper.__dict__["assert_python_ok"] = in_a_program_of_its_own
    ClusterPool.client = simpledist.connect(url)
    suite = unittest.TestSuite()
    for name in CASES:
        mixin = {"TYPE": "processes", "Pool": ClusterPool, **dict.fromkeys(LEFT_OUT)}
        case: Any = type(f"Cluster{name}", (getattr(module, name), unittest.TestCase), mixin)
        suite.addTest(unittest.defaultTestLoader.loadTestsFromTestCase(case))
    return suite


Pool = ClusterPool  # by the name that a test's subprocess imports


def main() -> None:
    with Cluster() as cluster:
        cluster.start_worker("--any", slots=5)
        result = unittest.TextTestRunner(verbosity=2).run(tests(cluster.url))
        assert ClusterPool.client is not None
        ClusterPool.client.close()
        no_key_stays(cluster.url)
    sys.exit(not result.wasSuccessful())


if __name__ == "__main__":
    main()
