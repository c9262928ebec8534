"""Short calls of a function that no worker offers travel many as one job, as those of any function do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simpledist.cluster import Cluster
from tests.programs import shown_by

FILES = {
    "lib/__init__.py": "",
    "lib/core.py": """
import os, signal, sys, time
from .near import double
ON_WORKER = "simpledist.worker.child" in sys.modules

class Thing:
    def __init__(self, value):
        self.value = value

def work(x):
    return double(x) + 1

def grown(thing):
    return Thing(thing.value + "!")

def tenth_raises(x):
    if x % 10 == 3:
        raise ValueError(x)
    return x

def one_is_slow(x):
    time.sleep(1.5 if x == 40 else 0)
    return x

def one_kills(x):
    if x == 40 and ON_WORKER:
        os.kill(os.getpid(), signal.SIGKILL)
    return x

def one_lacks(x):
    if x == 40 and ON_WORKER:
        import nowhere_to_be
    return x

def size(big, x):
    return len(big) + x

def at(array, n):
    return int(array[n])

def emptied(items):
    items.append(1)
    return len(items)
""",
    "lib/near.py": "def double(x):\n    return 2 * x\n",
}
BEGIN = """
import collections, json, simpledist
import lib.core as core
from simpledist.engine import shipping
from simpledist.engine.session import Session

jobs = []
enter = Session.enter

def noted(session, broker, calls, *rest, **more):
    jobs.extend(calls)
    return enter(session, broker, calls, *rest, **more)

Session.enter = noted
dist = simpledist.connect()

def warm(function, *args):
    for _ in range(30):
        function(*args)
    jobs.clear()
    return function

def of(name, *args):
    return warm(simpledist.worker_function(dist, name, getattr(core, name)), *args)

def show(*what):
    print(json.dumps(what), flush=True)

def places(function, before=30):
    stats = function.stats()
    return stats.remote - before, dict(stats.local)
"""
Run = Callable[..., list[Any]]


@pytest.fixture
def run(bare_cluster: Cluster, tmp_path: Path) -> Run:
    """Run a program beside its own modules."""

    def run(program: str) -> list[Any]:
        environment = {"SIMPLEDIST_REDIS_URL": bare_cluster.url}
        return shown_by(program, FILES, tmp_path / "project", begin=BEGIN, environment=environment)

    return run


def test_a_map_and_submits_travel_in_batches(run: Run) -> None:
    ((right, remote, local, jobs), (submitted, also_remote, also_local, fewer)) = run("""
        work = of("work", 1)
        show(list(work.map(range(3000))) == [2 * x + 1 for x in range(3000)], *places(work), len(jobs))
        jobs.clear()
        futures = [work.submit(x) for x in range(2000)]
        right = [future.result(30) for future in futures] == [2 * x + 1 for x in range(2000)]
        show(right, *places(work, 3030), len(jobs))
    """)
    assert (right, remote, local) == (True, 3000, {})
    assert jobs < 100
    assert (submitted, also_remote, also_local) == (True, 2000, {})
    assert fewer < 300


def test_the_moment_in_which_calls_bring_their_function_may_end_within_a_map(run: Run) -> None:
    """Such calls and those that go by name first are never submitted together."""
    shown = run("""
        shipping.AT_ONCE_SECONDS = 0.01
        work = of("work", 1)
        for _ in range(10):
            work(1)
            values = list(work.map(range(400), chunksize=1))
            futures = [work.submit(x) for x in range(400)]
            show(values == [2 * x + 1 for x in range(400)] == [future.result(30) for future in futures])
        show(*places(work), sorted({call.spec.function.partition("@")[0] for call in jobs}))
    """)
    assert shown == [*[[True]] * 10, [8010, {}, ["simpledist.any", "work"]]]


@pytest.mark.parametrize("way", ["map", "submits"])
@pytest.mark.parametrize(
    ("function", "at_home"),
    [("tenth_raises", {}), ("one_is_slow", {}), ("one_kills", {"crashed": 1}), ("one_lacks", {"undecodable": 1})],
)
def test_each_call_of_a_batch_has_its_own_outcome(function: str, at_home: dict[str, int], way: str, run: Run) -> None:
    def outcome(x: int) -> str:
        if function == "one_lacks" and x == 40:
            return "40"
        return f"ValueError: {x}" if function == "tenth_raises" and x % 10 == 3 else str(x)

    shown = run(f"""
        function = of("{function}", 1)

        def said(take):
            try:
                return str(take())
            except Exception as error:
                return f"{{type(error).__name__}}: {{error}}"

        if "{way}" == "map":
            values = function.map(range(200))
            outcomes = [said(lambda: next(values)) for _ in range(200)]
        else:
            futures = [function.submit(x) for x in range(200)]
            outcomes = [said(lambda future=future: future.result(60)) for future in futures]
        show(outcomes)
        show(*places(function))
    """)
    assert shown[0][0] == [outcome(x) for x in range(200)]
    assert shown[1] == [200 - sum(at_home.values()), at_home]


@pytest.mark.parametrize("size", [10, 1900])
def test_arguments_name_their_modules_however_long_the_batch_is(size: int, run: Run) -> None:
    ((grown, remote, local, jobs),) = run(f"""
        grown = of("grown", core.Thing("x"))
        things = list(grown.map([core.Thing("x" * {size} + str(n)) for n in range(400)], chunksize=100))
        right = [thing.value for thing in things] == ["x" * {size} + f"{{n}}!" for n in range(400)]
        show(right and type(things[0]) is core.Thing, *places(grown), len(jobs))
    """)
    assert (grown, remote, local) == (True, 400, {})
    assert jobs < 20


def test_functions_that_have_no_module_travel_in_batches(run: Run) -> None:
    ((mapped, submitted, remote, local, jobs),) = run("""
        def own(x):
            return core.work(x) + 100

        own = warm(simpledist.worker_function(dist, "own", own), 1)
        futures = [own.submit(x) for x in range(1000)]
        submitted = [future.result(30) for future in futures] == [2 * x + 101 for x in range(1000)]
        show(list(own.map(range(1000))) == [2 * x + 101 for x in range(1000)], submitted, *places(own), len(jobs))
    """)
    assert (mapped, submitted, remote, local) == (True, True, 2000, {})
    assert jobs < 300


def test_no_call_sees_what_another_one_did_to_an_argument_of_both(run: Run) -> None:
    shown = run("""
        emptied = of("emptied", [])
        items = []
        show(collections.Counter(emptied.map([items] * 500)), *places(emptied))
        show(collections.Counter(f.result(30) for f in [emptied.submit(items) for _ in range(500)]), items)
    """)
    assert shown == [[{"1": 500}, 500, {}], [{"1": 500}, []]]


def test_shared_objects_go_with_a_batch(run: Run) -> None:
    shown = run("""
        big = dist.share({n: str(n) for n in range(200_000)})
        size = of("size", big, 1)
        right = [200_000 + n for n in range(500)]
        show(list(size.map([big] * 500, range(500))) == right, *places(size), len(jobs) < 100)
        futures = [size.submit(big, n) for n in range(500)]
        show([future.result(30) for future in futures] == right, *places(size, 530))
    """)
    assert shown == [[True, 500, {}, True], [True, 500, {}]]


def test_a_function_that_holds_a_big_array_travels_in_batches(run: Run) -> None:
    """It stands outside the pickle, in which all calls of a batch share the function."""
    shown = run("""
        import functools
        import numpy
        at = warm(simpledist.worker_function(dist, "at", functools.partial(core.at, numpy.arange(50_000))), 1)
        show(list(at.map(range(500))) == list(range(500)), *places(at), len(jobs) < 100)
    """)
    assert shown == [[True, 500, {}, True]]
