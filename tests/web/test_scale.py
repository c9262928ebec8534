"""100,000 queued jobs, 1,000 workers, 300 functions: every page and the API answer soon, and Redis hardly notices."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from simpledist.broker.records import Ended
from simpledist.embedded import EmbeddedRedis
from tests.stage import Stage
from tests.waiting import wait_until
from tests.web.browser import Browser
from tests.web.site import Site, application

FUNCTIONS, WORKERS, JOBS, SLOTS, RUNNING = 300, 1_000, 100_000, 8, 1_000
# Of this process' own time: the suite runs among others, and what they take is no fault of a page's.
MOST_SECONDS = 0.2
MOST_REDIS_MS = 4.0
KEPT_SECONDS = 0.02
PATHS = [
    "/",
    "/functions",
    "/functions?page=3",
    "/functions/f7",
    "/workers",
    "/workers?page=9",
    "/workers/w7",
    "/jobs",
    "/jobs?state=queued&page=500",
    "/jobs?state=queued&function=f7",
    "/jobs?state=ended",
    "/jobs/c1-50000",
    "/errors",
    "/readyz",
    "/api/scale.json?functions=*&slots=8",
    "/api/snapshot.json",
    "/api/stream.json",
]


@pytest.fixture(scope="module")
def crowd(redis_of_module: EmbeddedRedis) -> Iterator[Stage]:
    stage = Stage(redis_of_module)
    stage.link.call("FLUSHALL")
    names = [f"f{number}" for number in range(FUNCTIONS)]
    for number in range(WORKERS):
        offered = [names[(number + step) % FUNCTIONS] for step in range(10)]
        stage.worker(f"w{number}", *offered, slots=SLOTS)
    each = -(-JOBS // FUNCTIONS)
    for place, name in enumerate(names):
        ids = stage.submit(each + RUNNING // FUNCTIONS + 8, name)
        stage.broker.claim(f"w{place}", "n", name, [], range(RUNNING // FUNCTIONS))
        claimed = stage.broker.claim(f"w{place}", ids[0], name, [], range(8))
        ended = [Ended(one.held, "value", b"value", 100) for one in claimed[:7]]
        ended += [Ended(one.held, "error", b"error", 100, "ValueError: no\nx.py:1 in f\ntrace") for one in claimed[7:]]
        stage.broker.complete(f"w{place}", ids[0] + "m", ended)
    yield stage
    stage.close()


@pytest.fixture
def client(crowd: Stage) -> FlaskClient:
    """Nothing is kept from one page to the next: each pays for a look at Redis of its own."""
    return application(crowd.monitor(keep_seconds=KEPT_SECONDS)).test_client()


def test_every_page_answers_soon_and_costs_redis_less_than_one_slow_command(crowd: Stage, client: FlaskClient) -> None:
    client.get("/")
    slow_ms = int(crowd.link.call("CONFIG", "GET", "slowlog-log-slower-than")[1]) / 1000
    costs = {path: [cost_of(crowd, client, path) for _ in range(5)] for path in PATHS}
    for path, both in costs.items():
        seconds, redis_ms = (statistics.median(one) for one in zip(*both, strict=True))
        print(f"{path}: {seconds * 1000:.0f} ms, {redis_ms:.1f} ms of Redis")
        assert seconds < MOST_SECONDS, path
        assert redis_ms < slow_ms, path


def cost_of(crowd: Stage, client: FlaskClient, path: str) -> tuple[float, float]:
    """Of one page: our seconds, and the milliseconds that Redis worked, without those that it waited for its turn."""
    before = worked_ms(crowd)
    return seconds_of(client, path), worked_ms(crowd) - before


def worked_ms(stage: Stage) -> float:
    """How long the server's process has worked since it was started."""
    lines = stage.link.call("INFO", "cpu").decode().splitlines()
    spent = {name: number for name, _, number in (line.partition(":") for line in lines)}
    return 1000 * (float(spent["used_cpu_sys"]) + float(spent["used_cpu_user"]))


def seconds_of(client: FlaskClient, path: str) -> float:
    """How long a page takes once nothing is kept any more."""
    outlived = time.perf_counter() + KEPT_SECONDS
    wait_until(lambda: time.perf_counter() > outlived, 1.0, "the end of what was kept")
    began = time.process_time()
    answer = client.get(path)
    assert answer.status_code == 200, path
    return time.process_time() - began


def test_all_is_there(client: FlaskClient) -> None:
    snapshot = json.loads(client.get("/api/snapshot.json").data)
    assert (len(snapshot["functions"]), len(snapshot["workers"])) == (FUNCTIONS, WORKERS)
    assert sum(one["queued"] for one in snapshot["functions"]) >= JOBS
    assert "page 1 of 10" in client.get("/workers").text


def test_a_second_of_looking_costs_redis_little_however_many_look(crowd: Stage) -> None:
    monitor = crowd.monitor(keep_seconds=0.0)
    client = application(monitor).test_client()
    for path in PATHS[:3]:
        client.get(path)
    costs: list[float] = []
    for turn in range(7):
        crowd.submit(1, f"f{turn}")  # what has changed since is read again
        before = worked_ms(crowd)
        monitor.snapshot()
        costs.append(worked_ms(crowd) - before)
    print(f"a snapshot costs Redis {statistics.median(costs):.2f} ms")
    assert statistics.median(costs) < MOST_REDIS_MS


@pytest.fixture
def crowded_site(crowd: Stage) -> Iterator[Site]:
    one = Site(crowd)
    yield one
    one.close()


SHOWN = {
    "/": "workers",
    "/functions": "f100",
    "/functions/f7": "last day by 15 minutes",
    "/workers": "page 1 of 10",
    "/workers/w7": "last beat",
    "/jobs?state=queued": "place",
    "/jobs/c1-50000": "What happened",
    "/errors": "ValueError",
}


@pytest.mark.parametrize("path", SHOWN)
def test_a_browser_shows_it_and_stays_live(crowded_site: Site, browser: Browser, path: str) -> None:
    browser.open(crowded_site.url + path)
    browser.wait_for(SHOWN[path])
    browser.wait_for("live", "#pulse")
    assert browser.run("return document.documentElement.scrollWidth <= window.innerWidth"), "it overflows sideways"
