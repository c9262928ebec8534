"""/metrics: what Prometheus reads agrees with what a known run did, and whichever process is scraped says the same."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

import simpledist
from simpledist.cluster import Cluster
from simpledist.monitor import FunctionState, RedisState, Snapshot
from simpledist.monitor.metrics import BOUNDS, FUNCTIONS_MOST, OTHERS, exposition
from tests.integration.conftest import FUNCTIONS
from tests.integration.functions import farm

VALUES, RAISED, NOBODY, UNSERIALISABLE, CACHED = 4800, 120, 50, 30, 7


def families(text: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(found: dict[str, Metric], family: str, sample: str, **labels: str) -> float:
    """The sum of the samples of a family that carry these labels."""
    return sum(
        one.value for one in found[family].samples if one.name == sample and labels.items() <= one.labels.items()
    )


def scrape(url: str, path: str = "metrics", accept: str = "") -> str:
    request = urllib.request.Request(f"{url}{path}", headers={"Accept": accept} if accept else {})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
        return answer.read().decode()


@pytest.fixture(scope="module")
def scrapes() -> Iterator[tuple[str, str, str, str]]:
    """5,000 calls, then the scrapes of two distributors, the second one's also in OpenMetrics, and its page of fib."""
    with Cluster("farm", workers=1, slots=2, folder=FUNCTIONS, distributor=True, web=True) as cluster:
        first = cluster.dashboard_url
        cluster.start_distributor(web=True)
        second = cluster.dashboard_url
        with cluster.connect() as client:
            echo = simpledist.worker_function(client, "echo", farm.echo)
            assert sum(echo.map(range(VALUES), chunksize=1)) == sum(range(VALUES))
            fail = simpledist.worker_function(client, "fail", farm.fail)
            failures = [fail.submit("value") for _ in range(RAISED)]
            assert all(isinstance(one.exception(), ValueError) for one in failures)
            nobody = simpledist.worker_function(client, "echo", farm.echo, version=9)
            assert [nobody(n) for n in range(NOBODY)] == list(range(NOBODY))
            lock = simpledist.worker_function(client, "lock", farm.lock)
            locks = [lock.submit() for _ in range(UNSERIALISABLE)]
            assert all(one.result() for one in locks)
            fib = simpledist.worker_function(client, "fib", farm.fib, cache=60)
            assert [fib(20) for _ in range(CACHED + 1)] == [6765] * (CACHED + 1)
        openmetrics = scrape(second, accept="application/openmetrics-text; version=1.0.0")
        yield scrape(first), scrape(second), openmetrics, scrape(second, "functions/fib")


def test_the_counters_agree_with_what_the_calls_did(scrapes: tuple[str, str, str, str]) -> None:
    found = families(scrapes[0])
    ended = "simpledist_jobs_ended_total"
    assert value(found, "simpledist_jobs_ended", ended, function="echo", state="succeeded") == VALUES
    assert value(found, "simpledist_jobs_ended", ended, function="fail", state="failed") == RAISED
    assert value(found, "simpledist_jobs_raised", "simpledist_jobs_raised_total") == RAISED
    local = "simpledist_local_runs_total"
    assert value(found, "simpledist_local_runs", local, function="echo", version="9", why="no_worker") == NOBODY
    assert value(found, "simpledist_local_runs", local, function="lock", why="unserialisable") == UNSERIALISABLE
    assert value(found, "simpledist_local_runs", local) == NOBODY + UNSERIALISABLE, "no other local run"
    given_up = "simpledist_jobs_given_up_total"
    assert value(found, "simpledist_jobs_given_up", given_up) == UNSERIALISABLE
    submitted = VALUES + RAISED + UNSERIALISABLE + 1
    assert value(found, "simpledist_jobs_submitted", "simpledist_jobs_submitted_total") == submitted
    assert value(found, "simpledist_jobs_ended", ended) == submitted
    assert value(found, "simpledist_calls_shared", "simpledist_calls_shared_total", how="cached") == CACHED
    assert value(found, "simpledist_calls_shared", "simpledist_calls_shared_total") == CACHED


def test_the_histograms_count_every_job_that_ran(scrapes: tuple[str, str, str, str]) -> None:
    found = families(scrapes[0])
    run = "simpledist_job_run_seconds"
    assert value(found, run, f"{run}_count", function="echo", version="") == VALUES
    assert value(found, run, f"{run}_bucket", function="echo", version="", le="+Inf") == VALUES
    buckets = [value(found, run, f"{run}_bucket", function="echo", version="", le=str(bound)) for bound in BOUNDS]
    assert buckets == sorted(buckets)
    wait = "simpledist_job_wait_seconds"
    assert value(found, wait, f"{wait}_count") == VALUES + RAISED + UNSERIALISABLE + 1


def test_a_functions_page_tells_of_calls_without_a_run_of_their_own(scrapes: tuple[str, str, str, str]) -> None:
    assert f"0 joined, {CACHED} from the cache" in scrapes[3]


def test_two_distributors_say_the_same_and_nothing_is_counted_twice(scrapes: tuple[str, str, str, str]) -> None:
    def counters(text: str) -> set[str]:
        return {line for line in text.splitlines() if "_total{" in line or "_count{" in line}

    assert counters(scrapes[0]) == counters(scrapes[1])
    assert counters(scrapes[0])


def test_gauges_tell_what_an_autoscaler_needs(scrapes: tuple[str, str, str, str]) -> None:
    found = families(scrapes[0])
    assert value(found, "simpledist_up", "simpledist_up") == 1
    assert value(found, "simpledist_workers", "simpledist_workers", health="alive") == 1
    assert value(found, "simpledist_slots", "simpledist_slots") == 2
    assert value(found, "simpledist_utilisation_ratio", "simpledist_utilisation_ratio") == 0
    assert value(found, "simpledist_function_workers", "simpledist_function_workers", function="echo", version="") == 1
    assert value(found, "simpledist_jobs_queued", "simpledist_jobs_queued") == 0
    assert value(found, "simpledist_oldest_wait_seconds", "simpledist_oldest_wait_seconds") == 0


def test_openmetrics_is_given_to_whom_asks_for_it(scrapes: tuple[str, str, str, str]) -> None:
    openmetrics: Any = import_module("prometheus_client.openmetrics.parser")
    found: dict[str, Metric] = {
        family.name: family for family in openmetrics.text_string_to_metric_families(scrapes[2])
    }
    assert value(found, "simpledist_jobs_raised", "simpledist_jobs_raised_total") == RAISED


def test_labels_are_bounded_and_what_has_none_of_its_own_is_summed() -> None:
    counters = {"succeeded": 2, "run:1": 2, "run_ms": 4}
    many = [
        FunctionState(f"f{number:05}", f"f{number:05}", None, 1, 0, 1, float(number), counters)
        for number in range(1000)
    ]
    found = families(exposition(Snapshot(RedisState(ok=True), functions=tuple(many)))[0].decode())
    assert len({one.labels["function"] for one in found["simpledist_jobs_queued"].samples}) == FUNCTIONS_MOST + 1
    assert value(found, "simpledist_jobs_queued", "simpledist_jobs_queued") == 1000
    assert value(found, "simpledist_jobs_ended", "simpledist_jobs_ended_total") == 2000
    oldest = value(found, "simpledist_oldest_wait_seconds", "simpledist_oldest_wait_seconds", function=OTHERS)
    assert oldest == 999
    assert value(found, "simpledist_utilisation_ratio", "simpledist_utilisation_ratio") == 1, "no slot at all"


def test_a_redis_that_is_away_is_reported_and_not_an_error() -> None:
    body, _ = exposition(Snapshot(RedisState(ok=False, error="away")))
    found = families(body.decode())
    assert value(found, "simpledist_up", "simpledist_up") == 0
    assert list(found) == ["simpledist_up"]
