"""The programs of demo/ that put the cluster behind other interfaces: they run as they stand, on workers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simpledist.cluster import Cluster
from simpledist.monitor.monitor import Monitor
from tests import commands, standing
from tests.trees import ROOT

DEMO = ROOT / "demo"
PROGRAMS = {
    "executor.py": ["pi is about 3.1", "[0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377]"],
    "pool.py": ["pi is about 3.1", "[0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377]"],
    "async_calls.py": ["1094500", "168", "too slow: cancelled"],
    "joblib_grid_search.py": ["{'C': 10, 'gamma': 0.0001} is right in 90.3%"],
    "scipy_evolution.py": ["0.0000 at [1. 1.], after 5"],
}


@pytest.fixture(scope="module")
def demo() -> Iterator[Cluster]:
    with Cluster("fns", workers=0, slots=2, folder=DEMO) as one:
        standing.roots.add(one.start_worker("fns", "--any").pid)
        yield one
        standing.roots.clear()


def ended_on_workers(cluster: Cluster) -> int:
    monitor = Monitor.connect(cluster.url)
    functions = monitor.snapshot().functions
    monitor.close()
    return sum(one.counters.get("succeeded", 0) for one in functions)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_program_says_what_it_should_and_its_calls_run_on_workers(demo: Cluster, program: str) -> None:
    before = ended_on_workers(demo)
    result = commands.python(program, cwd=DEMO, url=demo.url)
    assert result.returncode == 0, result.stderr
    assert not result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == len(PROGRAMS[program]), result.stdout
    for line, expected in zip(lines, PROGRAMS[program], strict=True):
        assert expected in line
    assert ended_on_workers(demo) > before + 10
