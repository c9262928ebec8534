"""Calls whose code travels with them, on real workers: with big data in whatever place, they run there."""

# numpy, joblib and scikit-learn say little about their types.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score

import simpledist
import simpledist.joblib  # registers the backend
from simpledist.cluster import Cluster
from tests.interfaces import heavy
from tests.trees import ROOT

COUNT = 100_000


class Adder:
    def __init__(self, values: Any) -> None:
        self.values = values

    def add(self, x: int) -> Any:
        return self.values + x


def local_adder(values: Any) -> Any:
    class Local(Adder):
        pass

    return Local(values)


def assert_remote(future: simpledist.Future[Any]) -> Any:
    value = future.result(60)
    assert future.info is not None
    assert (future.info.where, future.info.why) == ("remote", None)
    return value


@pytest.mark.parametrize("make", [numpy.arange, lambda n: memoryview(bytes(8 * n)), lambda n: bytearray(8 * n)])
def test_big_arguments_and_results_of_a_closure_run_on_a_worker(
    client: simpledist.Client, make: Callable[[int], Any]
) -> None:
    held = make(COUNT)
    with client.executor() as executor:
        assert len(assert_remote(executor.submit(lambda given: given, held))) == len(held)
        assert len(assert_remote(executor.submit(lambda: held))) == len(held)
        assert len(assert_remote(executor.submit(lambda given=held: given))) == len(held)


def test_a_bound_method_of_a_local_class_brings_its_data_and_takes_it_home(client: simpledist.Client) -> None:
    adder = local_adder(numpy.arange(COUNT, dtype="f8"))
    with client.executor() as executor:
        assert (assert_remote(executor.submit(adder.add, 1)) == adder.values + 1).all()
        back = assert_remote(executor.submit(lambda x: local_adder(adder.values * x), 2))
        assert (back.values == adder.values * 2).all()
        with pytest.raises(ValueError, match="too big") as raised:
            executor.submit(raise_with, adder.values, lambda: 1).result(60)
    assert (raised.value.args[1] == adder.values).all()


def raise_with(values: Any, _: Any) -> None:
    raise ValueError("too big", values, lambda: 1)


def test_a_named_function_takes_what_has_code_and_is_big(client: simpledist.Client) -> None:
    echo: Any = simpledist.worker_function(client, "echo", lambda *_: "here")
    adder = local_adder(numpy.arange(COUNT, dtype="f8"))
    assert (echo(adder).values == adder.values).all()
    assert (assert_remote(echo.submit(adder)).values == adder.values).all()
    for back in echo.map([adder] * 3):
        assert (back.values == adder.values).all()


def test_a_batch_of_joblib_with_an_array_runs_on_a_worker(client: simpledist.Client) -> None:
    values = numpy.arange(COUNT, dtype="f8")

    def total(given: Any) -> tuple[int, float, Any]:
        return os.getpid(), float(given.sum()), given * 2

    with joblib.parallel_config(backend="simpledist", client=client):
        results: Any = joblib.Parallel()(joblib.delayed(total)(values + n) for n in range(6))
    assert os.getpid() not in {pid for pid, _, _ in results}
    assert [value for _, value, _ in results] == [float((values + n).sum()) for n in range(6)]
    assert all((back == (values + n) * 2).all() for n, (_, _, back) in enumerate(results))


def test_a_grid_search_over_many_rows_fits_on_workers(client: simpledist.Client, tmp_path: Path) -> None:
    rng = numpy.random.default_rng(1)
    x = rng.normal(size=(3000, 20))
    y = x[:, 0] - 2 * x[:, 1] + rng.normal(size=3000)
    search = GridSearchCV(heavy.SlowRidge(folder=str(tmp_path)), {"alpha": [0.01, 0.1, 1, 10]}, cv=4, refit=False)
    with joblib.parallel_config(backend="simpledist", client=client):
        search.fit(x, y)
    fits = [file.name.partition("-")[0] for file in tmp_path.iterdir()]
    assert len(fits) == 16
    assert str(os.getpid()) not in fits


def test_a_forest_gives_what_it_gives_here(client: simpledist.Client) -> None:
    rng = numpy.random.default_rng(1)
    x = rng.normal(size=(2000, 10))
    y = x[:, 0] > 0
    here = cross_val_score(RandomForestClassifier(8, random_state=1), x, y)
    with joblib.parallel_config(backend="simpledist", client=client):
        there = cross_val_score(RandomForestClassifier(8, random_state=1, n_jobs=2), x, y)
    assert (here == there).all()


SCRIPT = """
import os, sys
import numpy, simpledist

class Model:
    def __init__(self, weights):
        self.weights = weights
    def score(self, x):
        return os.getpid(), float(self.weights @ x), Model(self.weights + 1)

def main():
    with simpledist.connect(sys.argv[1]) as client, client.executor() as pool:
        model, x = Model(numpy.ones(20_000)), numpy.arange(20_000.)
        futures = [pool.submit(model.score, x), pool.submit(Model.score, model, x), *map(pool.submit, [lambda: model])]
        pid, score, other = futures[0].result(60)
        assert pid != os.getpid() and score == x.sum() and type(other) is Model
        assert futures[1].result(60)[0] != os.getpid()
        assert (futures[2].result(60).weights == model.weights).all()
        assert [future.info.where for future in futures] == ["remote"] * 3, [future.info for future in futures]

main()
"""


def test_a_script_of_its_own_sends_what_it_defines(cluster: Cluster) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", SCRIPT, cluster.url], check=True, timeout=60, env=environment)
