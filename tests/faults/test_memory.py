"""Redis runs full, or throws keys away: calls run here, results still come, nobody is held for dead, and it heals."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from simpledist.broker import Keys, Link
from simpledist.broker.link import facts_of
from simpledist.cluster import Cluster
from tests.faults.history import History, offered, probe
from tests.faults.test_unrest import again_and_again
from tests.waiting import wait_until


@pytest.fixture
def full(cluster: Cluster, link: Link) -> Iterator[None]:
    """From the moment that the test says so until its end."""
    yield
    link.call("CONFIG", "SET", "maxmemory", 0)


def test_a_full_redis_still_takes_results_and_beats(cluster: Cluster, history: History, link: Link, full: None) -> None:
    worker = cluster.start_worker()
    client = cluster.connect()
    probe(client)
    keys, big = Keys(), offered(client, "big", lambda *_: "local")
    before = history.submit(client, range(1, 4), 0.7)
    wait_until(lambda: link.call("HLEN", keys.named("current", "work")) == 2, 5, "all slots are busy")
    large = big.submit(5, 100_000)
    wait_until(lambda: all(link.call("ZCARD", keys.named("queued", one)) for one in ("work", "big")), 5, "two wait")
    link.call("CONFIG", "SET", "maxmemory", 1)
    refused = history.call(client, 10)
    assert (refused.where, refused.why) == ("local", "redis_refused")
    assert refused.seconds < 1.0
    assert [future.result(20) for future in before] == [f"value of {n}" for n in range(1, 4)]
    assert {future.info.where for future in before} == {"remote"}
    # A large value travels by plain SET, which is refused: then its function runs here.
    assert large.result(20) == "local"

    def beat() -> int:
        return int(link.call("HGET", Keys().heartbeats, worker.id))

    last = beat()
    wait_until(lambda: beat() > last, 5, "the worker still beats")
    assert b'"dead"' not in link.call("HGET", Keys().workers, worker.id)
    link.call("CONFIG", "SET", "maxmemory", 0)
    probe(client)
    history.check(most_runs=1)


def test_keys_thrown_away_cost_time_but_no_outcome(cluster: Cluster, history: History, link: Link) -> None:
    cluster.start_worker()
    client = cluster.connect()
    probe(client)
    history.submit(client, range(1, 30), 0.05)
    wait_until(lambda: history.log.exists(), 5, "one runs")
    for pattern in (
        "job:*",
        "data:*",
        "queue:*",
        "queued:*",
        "reply:*",
        "held:*",
        "meta:*",
        "offers:*",
        "clients",
        "workers",
    ):
        for name in link.call("KEYS", Keys().prefix + pattern):
            link.call("DEL", name)
    history.wait(30)
    history.check(most_runs=4)
    probe(client)


def test_a_redis_that_evicts_is_warned_of_and_spoils_no_outcome(
    cluster: Cluster, history: History, link: Link, full: None
) -> None:
    link.call("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
    worker = cluster.start_worker()
    client = cluster.connect()
    probe(client)
    assert worker.stderr_text().count("maxmemory-policy allkeys-random") == 1, worker.stderr_text()
    assert "CONFIG SET maxmemory-policy noeviction" in worker.stderr_text()
    used = int(facts_of(link.call("INFO", "memory"))["used_memory"])
    link.call("CONFIG", "SET", "maxmemory", used + 300_000)
    number = count()
    with again_and_again(0.02, lambda: link.call("SET", f"filler:{next(number) % 10}", bytes(100_000), "EX", 60)):
        history.submit(client, range(60), 0.03)
        history.wait(60)
    assert int(facts_of(link.call("INFO", "stats"))["evicted_keys"]) > 0
    history.check(most_runs=10)
    link.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
    link.call("CONFIG", "SET", "maxmemory", 0)
    for number_of in range(10):
        link.call("DEL", f"filler:{number_of}")
    probe(client)


def test_a_lost_result_is_run_here_and_is_no_sign_of_a_deaf_connection(
    cluster: Cluster, history: History, link: Link
) -> None:
    cluster.start_worker()
    client = cluster.connect()
    probe(client)
    future = history.submit(client, [1], 1.0)[0]
    wait_until(lambda: history.log.exists(), 5, "it runs")
    id, keys = future.call.id, Keys()
    connections = int(facts_of(link.call("INFO", "stats"))["total_connections_received"])

    # Redis evicts what the job came to, before its client hears of it: the reply, the result; its row stays.
    link.call("HSET", keys.named("job", id), "state", "succeeded", "fence", "", "ended", "1")
    link.call("EXPIRE", keys.named("job", id), 100)
    link.call("DEL", keys.named("call", id))
    assert future.result(10) == "value of 1"
    assert future.info is not None
    assert (future.info.where, future.info.why) == ("local", "redis_down")
    made = int(facts_of(link.call("INFO", "stats"))["total_connections_received"]) - connections
    assert made <= 1, "the connections of the client stay"
    probe(client)


def test_five_thousand_dead_rows_in_a_ledger_hide_no_lost_job(cluster: Cluster, history: History, link: Link) -> None:
    keys = Keys()
    cluster.start_worker()
    cluster.start_distributor()
    client = cluster.connect()
    probe(client)
    link.pipeline([("ZADD", keys.named("queued", "work"), 1000 + n, f"gone-{n}") for n in range(5000)])
    link.call("EXPIRE", keys.named("queued", "work"), 3600)
    future = history.submit(client, [1])[0]
    link.call("DEL", keys.queue("work"))
    assert future.result(10) == "value of 1"
    history.check(most_runs=1)
    wait_until(lambda: link.call("ZCARD", keys.named("queued", "work")) < 5000, 10, "the rows are cleared away")
    probe(client)
