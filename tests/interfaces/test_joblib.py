"""The joblib backend's options and numbers: each is done, or refused with a word about what to do."""

# joblib has no types.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import multiprocessing
import os
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy
import pytest
from joblib.parallel import FallbackToBackend, LokyBackend, get_active_backend
from threadpoolctl import threadpool_info

import simpledist
import simpledist.joblib  # registers the backend
from simpledist import shipped
from simpledist.cluster import Cluster
from tests.interfaces import heavy
from tests.waiting import wait_until

joblib: Any = import_module("joblib")


def test_no_n_jobs_means_all_slots_wherever_it_is_asked_for(client: simpledist.Client) -> None:
    with joblib.parallel_config(backend="simpledist", client=client):
        assert joblib.effective_n_jobs(None) == joblib.effective_n_jobs(-1) == 2
        assert joblib.effective_n_jobs(1) == 1
        assert joblib.effective_n_jobs(7) == 7
        with pytest.raises(ValueError, match="n_jobs == 0"):
            joblib.effective_n_jobs(0)
    with joblib.parallel_config(backend="simpledist", n_jobs=5, client=client):
        assert joblib.effective_n_jobs(None) == 5


@pytest.mark.parametrize(
    ("options", "advice"),
    [({"timeout": 5}, r"joblib\.Parallel\(timeout="), ({"n_slots": 3}, "has no option n_slots"), ({"env": {}}, "env")],
)
def test_options_that_it_does_not_have_are_refused(
    client: simpledist.Client, options: dict[str, Any], advice: str
) -> None:
    with pytest.raises(TypeError, match=advice):
        joblib.parallel_config(backend="simpledist", client=client, **options)
    with joblib.parallel_config(backend="simpledist", client=client), pytest.raises(TypeError, match="option"):
        joblib.Parallel(n_jobs=2, no_such_option=1)(joblib.delayed(abs)(-n) for n in range(3))


def test_hints_about_processes_of_joblibs_own_are_none_of_its_business(client: simpledist.Client) -> None:
    with joblib.parallel_config(backend="simpledist", client=client, idle_worker_timeout=3, max_nbytes=None):
        results = joblib.Parallel(temp_folder="/nowhere", mmap_mode="c")(joblib.delayed(abs)(-n) for n in range(3))
    assert results == [0, 1, 2]


def test_the_timeout_of_a_parallel_is_kept(client: simpledist.Client) -> None:
    with joblib.parallel_config(backend="simpledist", client=client), pytest.raises(multiprocessing.TimeoutError):
        joblib.Parallel(timeout=0.3)(joblib.delayed(time.sleep)(20) for _ in range(2))


def test_an_initializer_runs_once_in_each_process_that_runs_a_batch(client: simpledist.Client, tmp_path: Path) -> None:
    options = {"initializer": heavy.begin, "initargs": (str(tmp_path),)}
    with joblib.parallel_config(backend="simpledist", client=client, **options):
        for _ in range(2):
            pids = set(joblib.Parallel(batch_size=1)(joblib.delayed(heavy.begun)() for _ in range(8)))
    assert sorted(file.name.partition("-")[0] for file in tmp_path.iterdir()) >= sorted(map(str, pids))
    assert len({file.name.partition("-")[0] for file in tmp_path.iterdir()}) == len(list(tmp_path.iterdir()))
    assert str(os.getpid()) not in {file.name.partition("-")[0] for file in tmp_path.iterdir()}
    parallel = joblib.Parallel(n_jobs=2, backend=simpledist.joblib.SimpledistBackend(client), **options)
    assert len(parallel(joblib.delayed(heavy.begun)() for _ in range(4))) == 4


def test_an_initializer_that_travels_sets_what_its_batch_sees(client: simpledist.Client) -> None:
    state: dict[str, int] = {}

    def begin(value: int) -> None:
        state["value"] = value

    with joblib.parallel_config(backend="simpledist", client=client, initializer=begin, initargs=(7,)):
        results = joblib.Parallel(batch_size=1)(
            joblib.delayed(lambda: (os.getpid(), state["value"]))() for _ in range(6)
        )
    assert {value for _, value in results} == {7}
    assert os.getpid() not in {pid for pid, _ in results}
    assert state == {}


def test_an_initializer_that_fails_is_reported_to_the_caller(client: simpledist.Client) -> None:
    with joblib.parallel_config(backend="simpledist", client=client, initializer=divmod, initargs=(1, 0)):
        parallel = joblib.Parallel()
    with pytest.raises(ZeroDivisionError):
        parallel(joblib.delayed(abs)(-n) for n in range(3))
    with pytest.raises(TypeError, match="callable"):
        joblib.parallel_config(backend="simpledist", client=client, initializer=3)


def threads() -> tuple[str | None, set[int]]:
    assert (numpy.ones((2, 2)) @ numpy.ones((2, 2))).sum() == 8
    return os.environ.get("OMP_NUM_THREADS"), {one["num_threads"] for one in threadpool_info()}


@pytest.mark.parametrize("most", [1, 3])
def test_inner_threads_are_limited_in_the_batch_and_not_beyond(client: simpledist.Client, most: int) -> None:
    with joblib.parallel_config(backend="simpledist", client=client):
        before = joblib.Parallel(batch_size=1)(joblib.delayed(threads)() for _ in range(4))
    with joblib.parallel_config(backend="simpledist", client=client, inner_max_num_threads=most):
        limited = joblib.Parallel(batch_size=1)(joblib.delayed(threads)() for _ in range(4))
    assert {variable for variable, _ in limited} == {str(most)}
    assert all(max(counts) <= most for _, counts in limited)
    with joblib.parallel_config(backend="simpledist", client=client):
        after = joblib.Parallel(batch_size=1)(joblib.delayed(threads)() for _ in range(4))
    assert {variable for variable, _ in after} == {variable for variable, _ in before}


def test_one_parallel_that_is_given_up_stops_no_other(client: simpledist.Client, tmp_path: Path) -> None:
    never = str(tmp_path / "never")
    with joblib.parallel_config(backend="simpledist", client=client):
        first = joblib.Parallel(return_as="generator")(joblib.delayed(heavy.abs_in_time)(-n, never) for n in range(6))
        second = joblib.Parallel(return_as="generator")(joblib.delayed(heavy.slow_abs)(-n) for n in range(6))
        assert next(first) == 0
        with pytest.warns(UserWarning, match="cancelled"):
            first.close()
        assert list(second) == list(range(6))
        assert joblib.Parallel()(joblib.delayed(heavy.slow_abs)(-n) for n in range(6)) == list(range(6))


def test_without_workers_joblibs_own_backend_gets_the_same_options(own_cluster: Cluster) -> None:
    options = {"initializer": heavy.begin, "initargs": (1,), "inner_max_num_threads": 3}
    with own_cluster.connect() as client, joblib.parallel_config(backend="simpledist", client=client, **options):
        assert joblib.effective_n_jobs(None) == joblib.cpu_count()
        backend: Any = get_active_backend()[0]
        with pytest.raises(FallbackToBackend) as fallen:
            backend.configure(n_jobs=2)
    loky: Any = fallen.value.backend
    assert isinstance(loky, LokyBackend)
    assert (loky.backend_kwargs, loky.inner_max_num_threads) == ({"initializer": heavy.begin, "initargs": (1,)}, 3)


def test_max_workers_of_an_executor_are_the_slots_of_the_cluster(own_cluster: Cluster) -> None:
    with own_cluster.connect() as client, client.executor() as executor, client.executor(3) as three:
        assert (executor._max_workers, three._max_workers) == (1, 3)
        own_cluster.start_worker("--any", slots=2)
        own_cluster.start_worker(slots=3)
        wait_until(lambda: executor._max_workers == three._max_workers == 5, 20, "the slots of both workers are seen")
        assert client.engine.offers.slots(shipped.FUNCTION) == 2
