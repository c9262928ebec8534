"""joblib, scikit-learn and scipy with the cluster behind them: the same results, sooner, and through deaths."""

# These libraries have no types.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from scipy.optimize import differential_evolution
from sklearn.model_selection import GridSearchCV

import simpledist.joblib  # noqa: F401 - registers the backend
from simpledist import shipped
from simpledist.cluster import Cluster
from simpledist.monitor.monitor import Monitor
from tests import standing
from tests.interfaces import heavy
from tests.interfaces.conftest import ENVIRONMENT, FUNCTIONS
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def anywhere() -> Iterator[Cluster]:
    """One worker with one slot that takes any function."""
    with Cluster(slots=1, folder=FUNCTIONS, environment=ENVIRONMENT) as one:
        standing.roots.add(one.start_worker("--any").pid)
        yield one
        standing.roots.clear()


def grid_search(**options: Any) -> GridSearchCV:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 4))
    y = x @ [1.0, -2.0, 0.5, 0.0] + rng.normal(size=60)
    return GridSearchCV(heavy.SlowRidge(**options), {"alpha": [0.01, 0.1, 1, 10, 100]}, cv=2).fit(x, y)


def evolution(**options: Any) -> Any:
    """About 80 runs of the function."""
    bounds = [(-2, 2), (-1, 3)]
    settings = {"rng": 1, "maxiter": 3, "popsize": 10, "updating": "deferred", "polish": False}
    return differential_evolution(heavy.slow_valley, bounds, **settings, **options)


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.monotonic()
    result = work()
    return time.monotonic() - began, result


def test_one_worker_then_two_give_the_same_as_none_and_two_are_sooner(anywhere: Cluster) -> None:
    search_here, found_here = grid_search(), evolution()
    with anywhere.connect() as client, client.executor() as executor:

        def search() -> GridSearchCV:
            with joblib.parallel_config(backend="simpledist", client=client):
                return grid_search()

        def measured() -> tuple[float, float]:
            search()  # every child imports its libraries once
            for_search, searched = seconds(search)
            for_found, found = seconds(lambda: evolution(workers=executor.map))
            assert searched.best_params_ == search_here.best_params_
            assert (searched.cv_results_["mean_test_score"] == search_here.cv_results_["mean_test_score"]).all()
            assert (found.x == found_here.x).all()
            assert found.nfev == found_here.nfev
            return for_search, for_found

        search_with_one, found_with_one = measured()
        second = anywhere.start_worker("--any")
        standing.roots.add(second.pid)
        search_with_two, found_with_two = measured()
        second.stop()
    assert search_with_two < 0.8 * search_with_one
    assert found_with_two < 0.8 * found_with_one


def test_a_fit_survives_a_worker_killed_in_the_middle(anywhere: Cluster, tmp_path: Path) -> None:
    victim = anywhere.start_worker("--any")
    standing.roots.add(victim.pid)

    def kill() -> None:
        wait_until(lambda: len(list(tmp_path.iterdir())) >= 3, 30, "some fits are done")
        victim.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with anywhere.connect() as client, joblib.parallel_config(backend="simpledist", client=client):
        found = grid_search(folder=str(tmp_path))
    killer.join(30)
    assert not victim.running
    assert found.best_params_ == grid_search().best_params_
    here = [file for file in tmp_path.iterdir() if file.name.startswith(f"{os.getpid()}-")]
    assert len(here) == 1  # the last fit, of the best candidate on all data: scikit-learn does it itself


def test_what_is_nested_stays_in_its_slot(anywhere: Cluster) -> None:
    with anywhere.connect() as client, joblib.parallel_config(backend="simpledist", client=client):
        results: Any = joblib.Parallel()(joblib.delayed(heavy.nested)(4) for _ in range(3))
    assert [squares for _, squares in results] == [[0, 1, 4, 9]] * 3
    assert os.getpid() not in {pid for pid, _ in results}


def submitted(cluster: Cluster) -> int:
    monitor = Monitor.connect(cluster.url)
    counters = {one.function: one.counters for one in monitor.snapshot().functions}
    monitor.close()
    return counters[shipped.FUNCTION]["submitted"]


def test_short_calls_travel_in_batches(anywhere: Cluster) -> None:
    with anywhere.connect() as client, joblib.parallel_config(backend="simpledist", client=client):
        before = submitted(anywhere)
        assert joblib.Parallel()(joblib.delayed(abs)(-n) for n in range(3000)) == list(range(3000))
        assert 3 < submitted(anywhere) - before < 300


def test_an_exception_is_raised_and_what_is_left_is_stopped(anywhere: Cluster) -> None:
    with anywhere.connect() as client, joblib.parallel_config(backend="simpledist", client=client):
        with pytest.raises(LookupError):
            joblib.Parallel(n_jobs=4)(joblib.delayed(heavy.fail)(n) for n in range(8))
        took, values = seconds(lambda: joblib.Parallel()(joblib.delayed(abs)(-n) for n in range(2)))
    assert values == [0, 1]
    assert took < 10


def test_without_workers_joblib_does_what_it_would_without_us(own_cluster: Cluster) -> None:
    with own_cluster.connect() as client, joblib.parallel_config(backend="simpledist", client=client):
        assert joblib.effective_n_jobs(3) == 3
        assert joblib.Parallel(n_jobs=1)(joblib.delayed(abs)(-n) for n in range(3)) == [0, 1, 2]
