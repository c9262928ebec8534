"""Demand from zero: what clients compute for want of a worker is seen, an autoscaler starts workers, and they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import simpledist
from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster
from simpledist.monitor import FunctionState, Monitor
from simpledist.monitor.demand import COUNTS_SECONDS
from simpledist.monitor.scales import LOOK_SECONDS
from tests.commands import run
from tests.integration.conftest import FUNCTIONS
from tests.integration.functions import farm
from tests.waiting import wait_until

SCALER = Path(__file__).parents[2] / "deploy" / "scaler.py"

CALLER = """\
import sys, time, simpledist
with simpledist.connect(sys.argv[1]) as client:
    simpledist.worker_function(client, "sleep", time.sleep)(600)
"""


@pytest.fixture
def monitor(own_cluster: Cluster) -> Iterator[Monitor]:
    one = Monitor.connect(own_cluster.url, keep_seconds=0.0)
    yield one
    one.close()


def asked(monitor: Monitor, function: str = "sleep") -> FunctionState:
    return monitor.snapshot().function(function) or FunctionState(function, function, None, 0, 0, 0, 0.0)


def scale(url: str, **arguments: Any) -> dict[str, Any]:
    query = "&".join(f"{name}={value}" for name, value in arguments.items())
    try:
        with urllib.request.urlopen(f"{url}api/scale.json?{query}", timeout=10) as answer:
            return {"status": answer.status, **json.load(answer)}
    except urllib.error.HTTPError as error:
        return {"status": error.code, **json.load(error)}


def test_a_call_that_runs_here_for_want_of_a_worker_is_demand_while_it_runs(
    own_cluster: Cluster, monitor: Monitor
) -> None:
    goes_on = threading.Event()
    with own_cluster.connect() as client:
        function = simpledist.worker_function(client, "sleep", lambda: goes_on.wait(60))
        caller = threading.Thread(target=function)
        caller.start()
        wait_until(lambda: asked(monitor).demand == 1, 10, "Redis knows its demand")
        assert asked(monitor).at_clients.running == 1
        first = said_at(own_cluster)
        wait_until(lambda: said_at(own_cluster) > first + 2500, 10, "it is sent again and again")
        assert asked(monitor).demand == 1
        goes_on.set()
        caller.join()
        wait_until(lambda: asked(monitor).demand == 0, 20, "it is taken back")
        assert own_link(own_cluster, "HLEN", Keys().demand) == 0


def said_at(cluster: Cluster) -> int:
    """Return when the only client last reported its demand, in ms of Redis' clock."""
    (row,) = own_link(cluster, "HVALS", Keys().demand)
    return int(json.loads(row)["at"])


def own_link(cluster: Cluster, *command: str) -> Any:
    link = Link(cluster.url, name="tests")
    try:
        link.connect()
        return link.call(*command)
    finally:
        link.close()


def test_futures_that_wait_here_are_demand_until_a_worker_takes_them(own_cluster: Cluster, monitor: Monitor) -> None:
    with own_cluster.connect() as client:
        function = simpledist.worker_function(client, "sleep", farm.sleep)
        futures = [function.submit(0.2) for _ in range(60)]
        wait_until(lambda: 40 < asked(monitor).demand <= 60, 10, "Redis knows them")
        at_clients = asked(monitor).at_clients
        assert at_clients.waiting > 40
        assert 0 < at_clients.running <= 1
        own_cluster.start_worker()
        wait_until(lambda: asked(monitor).running == 2, 10, "the worker has them")
        wait_until(lambda: asked(monitor).demand <= 60, 0.9, "no job counts twice until the next second")
        assert [one.result() for one in futures] == [0.2] * 60
        assert {one.info.where for one in futures if one.info is not None} == {"local", "remote"}
        wait_until(lambda: asked(monitor).demand == 0, 20, "nothing is left")


def test_the_demand_of_a_client_that_is_killed_ends(own_cluster: Cluster, monitor: Monitor) -> None:
    line = [sys.executable, "-c", CALLER, own_cluster.url]
    with subprocess.Popen(line, cwd=FUNCTIONS) as caller:
        wait_until(lambda: asked(monitor).demand == 1, 20, "Redis knows it")
        caller.kill()
    wait_until(lambda: asked(monitor).demand == 0, COUNTS_SECONDS + 3, "no one says so any more")


def test_calls_that_run_here_for_another_reason_are_no_demand(own_cluster: Cluster, monitor: Monitor) -> None:
    with own_cluster.connect() as client:
        function = simpledist.worker_function(client, "sleep", farm.sleep, policy="local")
        wanted = simpledist.worker_function(client, "echo", farm.echo)
        futures = [function.submit(0.3) for _ in range(8)]
        wanted(1)
        wait_until(lambda: asked(monitor, "echo").demand > 0, 10, "a nudge names the other function")
        assert asked(monitor).demand == 0
        for one in futures:
            one.result()


# --- who tells it ------------------------------------------------------------------------------------------------


@pytest.fixture
def wanted() -> Iterator[tuple[Cluster, str]]:
    """A dashboard, and a client with twelve calls of `sleep`, no worker there."""
    with (
        Cluster("farm", workers=0, slots=2, folder=FUNCTIONS, distributor=True, web=True) as cluster,
        cluster.connect() as client,
    ):
        goes_on = threading.Event()
        function = simpledist.worker_function(client, "sleep", lambda: goes_on.wait(60))
        futures = [function.submit() for _ in range(12)]
        yield cluster, cluster.dashboard_url
        goes_on.set()
        assert all(one.result() for one in futures)


def test_metrics_status_and_the_scale_tell_it(wanted: tuple[Cluster, str]) -> None:
    cluster, url = wanted
    wait_until(lambda: scale(url, functions="sleep", slots=8)["demand"] == 12, 10, "Redis knows it")
    answer = scale(url, functions="sleep", slots=8)
    expected = {"functions": ["sleep"], "slots": 8, "demand": 12.0, "workers": 2}
    assert expected.items() <= answer.items()
    assert (answer["status"], answer["schema"], answer["live_workers"]) == (200, 1, 0)
    assert (answer["running"], answer["waiting"]) == (1, 11)
    assert scale(url, functions="*", slots=1)["workers"] == 12
    assert scale(url, functions="fib,sleep@2", slots=8)["workers"] == 0
    with urllib.request.urlopen(f"{url}metrics", timeout=10) as page:
        families = {one.name: one for one in text_string_to_metric_families(page.read().decode())}
    demands = {one.labels["function"]: one.value for one in families["simpledist_demand"].samples}
    assert demands["sleep"] == 12
    shown = run("status", "--demand", "--redis", cluster.url)
    assert shown.stdout.splitlines()[0].split("\t")[:2] == ["function", "demand"]
    assert ["sleep", "12.0", "0", "0", "11", "1.0", "0"] in [line.split("\t") for line in shown.stdout.splitlines()]
    (row,) = json.loads(run("status", "--demand", "--json", "--redis", cluster.url).stdout)["functions"]
    assert (row["demand"], row["waiting_at_clients"], row["running_at_clients"]) == (12, 11, 1)


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"functions": ""},
        {"functions": "fib;drop"},
        {"functions": "*,fib"},
        {"functions": "fib", "slots": 0},
        {"functions": "fib", "slots": "x"},
        {"functions": "fib", "seconds": 0},
        {"functions": "fib", "seconds": "nan"},
        {"functions": "fib", "slot": 8},
    ],
)
def test_a_question_that_makes_no_sense_is_answered_with_what_to_write(
    wanted_nothing: str, query: dict[str, Any]
) -> None:
    answer = scale(wanted_nothing, **query)
    assert answer["status"] == 400
    assert "workers" not in answer
    assert len(answer["error"]) > 20


@pytest.fixture(scope="module")
def wanted_nothing() -> Iterator[str]:
    with Cluster(workers=0, distributor=True, web=True) as cluster:
        yield cluster.dashboard_url


def test_fewer_workers_are_wanted_only_after_three_looks(own_cluster: Cluster) -> None:
    own_cluster.start_distributor(web=True)
    url = own_cluster.dashboard_url
    goes_on = threading.Event()
    with own_cluster.connect() as client:
        function = simpledist.worker_function(client, "sleep", lambda: goes_on.wait(60))
        futures = [function.submit() for _ in range(4)]
        wait_until(lambda: scale(url, functions="sleep", slots=2)["workers"] == 2, 10, "more at once")
        goes_on.set()
        assert all(one.result() for one in futures)
        wait_until(lambda: scale(url, functions="sleep", slots=3)["demand"] == 0, 20, "nothing is asked any more")
    assert scale(url, functions="sleep", slots=2)["workers"] == 2, "one look is not enough"
    took = wait_until(lambda: scale(url, functions="sleep", slots=2)["workers"] == 0, 10, "three looks are")
    assert took > 1.5 * LOOK_SECONDS


def test_a_redis_that_is_away_is_no_idle_cluster(own_cluster: Cluster) -> None:
    own_cluster.start_distributor(web=True)
    url = own_cluster.dashboard_url
    assert scale(url, functions="sleep")["workers"] == 0
    own_cluster.redis.stop()
    wait_until(lambda: scale(url, functions="sleep")["status"] == 503, 10, "it says so")
    assert "workers" not in scale(url, functions="sleep")


# --- the scaler --------------------------------------------------------------------------------------------------


def test_a_scaler_starts_workers_from_zero_and_they_end_by_themselves(tmp_path: Path) -> None:
    jobs, seconds = 160, 0.2
    with Cluster("farm", workers=0, folder=FUNCTIONS, distributor=True, web=True) as cluster:
        worker = [sys.executable, "-m", "simpledist.cli.worker", "--redis", cluster.url, "farm", "--slots", "8"]
        line = [sys.executable, str(SCALER), cluster.dashboard_url.rstrip("/"), "sleep", "8", "2", *worker]
        log = tmp_path / "log"
        environment = {**os.environ, "SCALER_SECONDS": "0.2"}
        with (
            log.open("wb") as file,
            subprocess.Popen(
                [*line, "--idle-exit", "2"],
                cwd=FUNCTIONS,
                env=environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ) as scaler,
        ):
            try:
                with cluster.connect() as client:
                    function = simpledist.worker_function(client, "sleep", farm.sleep)
                    began = time.monotonic()
                    assert list(function.map([seconds] * jobs)) == [seconds] * jobs
                    took = time.monotonic() - began
                    remote = function.stats().remote
                wait_until(lambda: not _workers(cluster), 30, "they have ended")
            finally:
                os.killpg(scaler.pid, signal.SIGTERM)  # as Ctrl-C reaches both: workers drain
                wait_until(lambda: not _workers(cluster), 30, "those that it had started since have ended, too")
    assert took < jobs * seconds / 2, log.read_text()
    assert remote > jobs / 2
    assert "ends: it was idle" in log.read_text()


def _workers(cluster: Cluster) -> int:
    return int(own_link(cluster, "HLEN", Keys().heartbeats))
