"""Programs of libraries that take an executor: each gives what it gives without one."""

# These libraries have no types.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Executor, as_completed
from importlib import import_module
from typing import Any

import numpy as np
import pytest

adaptive, dask, dynesty, emcee, tqdm = (
    import_module(name) for name in ("adaptive", "dask", "dynesty", "emcee", "tqdm")
)
array, bag = import_module("dask.array"), import_module("dask.bag")
integrate, optimize, stats = (import_module(f"scipy.{part}") for part in ("integrate", "optimize", "stats"))

SLOTS = 4


def increment(x: int) -> int:
    return x + 1


def fail(x: int) -> int:
    raise LookupError(x)


def peak(x: float) -> float:
    time.sleep(0.005)
    return x + 1e-4 / (1e-4 + x**2)


def bowl(x: Any) -> float:
    return float(np.sum((x - 0.3) ** 2))


def square(x: Any) -> Any:
    return x**2


def residuals(x: Any) -> Any:
    return np.array([x[0] - 1, 10 * (x[1] - x[0] ** 2)])


def log_probability(x: Any, weights: Any) -> float:
    return -0.5 * float(np.sum(weights * x**2))


def log_likelihood(x: Any) -> float:
    return -0.5 * float(np.sum(x**2))


def to_box(u: Any) -> Any:
    return 10 * (2 * u - 1)


# --- dask ------------------------------------------------------------------------------------------------------------


def test_dask_delayed(executor: Executor) -> None:
    total = dask.delayed(sum)([dask.delayed(increment)(n) for n in range(20)])
    with dask.config.set(scheduler=executor):
        assert total.compute() == 210
    assert dask.compute(total, scheduler=executor) == (210,)
    with dask.config.set(pool=executor):
        assert dask.compute(total, scheduler="threads") == dask.compute(total, scheduler="processes") == (210,)


def test_dask_collections(executor: Executor) -> None:
    x = array.arange(400).reshape(20, 20).rechunk(10)
    odd = bag.range(100, npartitions=7).map(square).filter(lambda n: n % 2)
    expected = [int((x + x.T).sum().compute(scheduler="sync")), odd.compute(scheduler="sync")]
    with dask.config.set(scheduler=executor):
        assert [int((x + x.T).sum().compute()), odd.compute()] == expected


def test_dask_raises_what_a_task_raises(executor: Executor) -> None:
    tasks = dask.delayed(sum)([dask.delayed(increment)(1), dask.delayed(fail)(7)])
    with pytest.raises(LookupError, match="7"):
        tasks.compute(scheduler=executor)


def inner_dask(n: int) -> int:
    return bag.range(n, npartitions=3).map(increment).sum().compute(scheduler="threads")


def test_dask_in_a_call_of_dask(executor: Executor) -> None:
    tasks = [dask.delayed(inner_dask)(n) for n in (6, 9)]
    assert dask.compute(*tasks, scheduler=executor) == (21, 45)


# --- adaptive --------------------------------------------------------------------------------------------------------


def test_adaptive(executor: Executor) -> None:
    learner = adaptive.Learner1D(peak, bounds=(-1, 1))
    adaptive.BlockingRunner(learner, npoints_goal=40, executor=executor, ntasks=SLOTS)
    assert learner.npoints >= 40
    assert all(peak(x) == y for x, y in learner.data.items())


def test_adaptive_in_an_event_loop(executor: Executor) -> None:
    async def run() -> int:
        learner = adaptive.Learner1D(peak, bounds=(-1, 1))
        await adaptive.AsyncRunner(learner, npoints_goal=40, executor=executor, ntasks=SLOTS).task
        return learner.npoints

    assert asyncio.run(run()) >= 40


# --- samplers --------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:The sampling was stopped short")
def test_dynesty(executor: Executor) -> None:
    def evidence(**options: Any) -> float:
        rng = np.random.default_rng(1)
        sampler = dynesty.NestedSampler(log_likelihood, to_box, 2, nlive=40, rstate=rng, **options)
        sampler.run_nested(print_progress=False, maxcall=400)
        return sampler.results.logz[-1]

    assert evidence(pool=executor, queue_size=SLOTS) == pytest.approx(evidence(), abs=5)


def test_emcee(executor: Executor) -> None:
    start, weights = np.random.default_rng(1).normal(size=(16, 3)), np.array([1.0, 2.0, 3.0])

    def chain(**options: Any) -> Any:
        sampler = emcee.EnsembleSampler(16, 3, log_probability, args=[weights], **options)
        sampler.random_state = np.random.RandomState(3).get_state()
        sampler.run_mcmc(start, 20)
        return sampler.get_chain()

    assert (chain(pool=executor) == chain()).all()


# --- scipy's `workers=` ----------------------------------------------------------------------------------------------


def test_scipy_differential_evolution(executor: Executor) -> None:
    def found(**options: Any) -> Any:
        settings: Any = {"updating": "deferred", "rng": 1, "maxiter": 3, "polish": False}
        return optimize.differential_evolution(bowl, [(-1, 1)] * 2, **settings, **options).x

    assert (found(workers=executor.map) == found()).all()


def test_scipy_brute_and_shgo(executor: Executor) -> None:
    def found(**options: Any) -> Any:
        return optimize.brute(bowl, ((-1, 1), (-1, 1)), Ns=5, finish=None, **options)

    assert (found(workers=executor.map) == found()).all()
    assert optimize.shgo(bowl, [(-1, 1)] * 2, workers=executor.map).x == pytest.approx([0.3, 0.3], abs=1e-3)


def test_scipy_minimize_and_least_squares(executor: Executor) -> None:
    options: Any = {"workers": executor.map}
    assert optimize.minimize(bowl, [0.0, 0.0], method="BFGS", options=options).x == pytest.approx([0.3, 0.3], abs=1e-4)
    assert optimize.least_squares(residuals, [0.0, 0.0], **options).x == pytest.approx([1, 1])


def test_scipy_quad_vec(executor: Executor) -> None:
    assert integrate.quad_vec(square, 0, 1, workers=executor.map)[0] == pytest.approx(1 / 3)


@pytest.mark.filterwarnings("ignore:The number of replications is low")
def test_scipy_multiscale_graphcorr(executor: Executor) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(20, 1))
    result = stats.multiscale_graphcorr(x, x + rng.normal(size=(20, 1)), reps=10, workers=executor.map, random_state=1)
    assert 0 < result.pvalue <= 1


# --- tqdm ------------------------------------------------------------------------------------------------------------


def test_tqdm(executor: Executor) -> None:
    assert list(tqdm.tqdm(executor.map(square, range(9)), total=9, disable=True)) == [n * n for n in range(9)]
    futures = [executor.submit(square, n) for n in range(9)]
    assert sum(future.result() for future in tqdm.tqdm(as_completed(futures), total=9, disable=True)) == 204
