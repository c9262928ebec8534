"""Redis runs full, or throws keys away: calls run here, results still come, no one is held for dead, and it heals."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

import simpledist
from simpledist import policy
from simpledist.broker import Keys, Link
from simpledist.broker.link import facts_of
from simpledist.cluster import Cluster
from simpledist.embedded import EmbeddedRedis
from simpledist.errors import RedisRefused
from tests.faults.conftest import MakeCluster
from tests.faults.functions import work
from tests.faults.history import History, offered, probe
from tests.faults.test_unrest import again_and_again
from tests.links import open_link
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

    def fill() -> None:
        with contextlib.suppress(RedisRefused):  # what is under way to somebody counts as well, and cannot be evicted
            link.call("SET", f"filler:{next(number) % 10}", bytes(100_000), "EX", 60)

    with again_and_again(0.02, fill):
        history.submit(client, range(60), 0.03)
        history.wait(60)
    assert int(facts_of(link.call("INFO", "stats"))["evicted_keys"]) > 0
    history.check(most_runs=10)
    link.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
    link.call("CONFIG", "SET", "maxmemory", 0)
    for number_of in range(10):
        link.call("DEL", f"filler:{number_of}")
    probe(client)


def test_a_call_that_redis_forgets_each_time_runs_six_times_at_most_and_then_here(
    cluster: Cluster, history: History, link: Link, tmp_path: Path
) -> None:
    """Also where Redis forgets its epoch each time, so that the client asks ten times a second and not once."""
    cluster.start_worker(slots=12)
    client = cluster.connect()
    probe(client)
    keys, numbers, until, free = Keys(), (1, 2), tmp_path / "until", threading.Event()

    def here(n: int, until: str) -> str:
        free.wait(60)  # the other one waits for its place
        return work.value_of(n)

    linger = offered(client, "linger", here)
    futures = [linger.submit(n, str(until)) for n in numbers]
    remembered = linger.submit(3, str(until))  # for which the client goes on asking
    entered, signs = Counter[int](), set[bytes]()

    def forget() -> bool:
        """Throw away each job that runs; return whether its client has asked ten times since there was one."""
        signs.add(link.call("HGET", keys.clients, client.id))
        for n, future in zip(numbers, futures, strict=True):
            state = link.call("HGET", job := keys.named("job", future.call.id), "state")
            if state is not None:
                signs.clear()
            if state == b"running":
                entered[n] += link.call("DEL", job)
        link.call("DEL", keys.epoch)
        return len(signs) >= 10

    wait_until(forget, 30, "Redis is asked for them no more")
    free.set()
    assert [future.result(10) for future in futures] == [work.value_of(n) for n in numbers]
    until.touch()
    assert (remembered.result(10), remembered.info.where) == (work.value_of(3), "remote")
    assert [(future.info.where, future.info.why) for future in futures] == [("local", "redis_down")] * 2
    assert entered == dict.fromkeys(numbers, policy.FORGOTTEN_CAP + 1)
    assert Counter(work.runs(history.log)) <= entered | Counter({3: 1})
    probe(client)


def test_a_nudge_asks_after_every_call_while_they_are_few(
    cluster: Cluster, client: simpledist.Client, link: Link, tmp_path: Path
) -> None:
    cluster.start_worker(slots=3)
    probe(client)
    until = tmp_path / "until"
    futures = [offered(client, "linger").submit(n, str(until)) for n in range(3)]
    jobs = [Keys().named("job", future.call.id) for future in futures]
    wait_until(lambda: all(link.call("HGET", job, "state") == b"running" for job in jobs), 5, "each runs")

    def renewed() -> list[bool]:
        return [seconds > 3600 for seconds in link.pipeline([("TTL", job) for job in jobs])]

    for _ in range(4):
        link.pipeline([("EXPIRE", job, 3600) for job in jobs])
        wait_until(lambda: any(renewed()), 5, "a nudge")
        assert renewed() == [True, True, True]
    until.touch()
    assert [future.result(10) for future in futures] == [work.value_of(n) for n in range(3)]


def test_each_kind_of_key_may_be_thrown_away_alone(cluster: Cluster, history: History, link: Link) -> None:
    """What is still there must not hide what is missing."""
    cluster.start_worker()
    client = cluster.connect()
    probe(client)
    prefix, numbers = Keys().prefix, count(step=30)

    def kinds() -> dict[str, list[bytes]]:
        found: defaultdict[str, list[bytes]] = defaultdict(list)
        for name in link.call("KEYS", prefix + "*"):
            found[name.decode().removeprefix(prefix).split(":")[0]].append(name)
        return found

    history.submit(client, range(first := next(numbers), first + 30), 0.02)
    kinds_of_busy = kinds()
    history.wait(30)
    assert {"job", "data", "workers", "offers", "epoch"} <= kinds_of_busy.keys()
    for kind in sorted(kinds_of_busy):
        history.submit(client, range(first := next(numbers), first + 30), 0.02)
        wait_until(lambda: len(history.open()) < 25, 10, "some have ended")
        for name in kinds().get(kind, ()):
            link.call("DEL", name)
        history.wait(30)
        probe(client)
    history.check(most_runs=4)


def test_offers_thrown_away_are_back_with_the_next_beat(cluster: Cluster, link: Link) -> None:
    """The worker's row and heartbeat are still there: nothing else tells that it offers nothing any more."""
    cluster.start_worker()
    client = cluster.connect()
    probe(client)
    for name in link.call("KEYS", Keys().prefix + "offers:*"):
        link.call("DEL", name)
    probe(client)


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random"])
def test_a_redis_of_20_mb_evicts_results_and_every_call_has_its_own_value(
    make_cluster: MakeCluster, policy: str
) -> None:
    arguments = ("--maxmemory", "20mb", "--maxmemory-policy", policy)
    with EmbeddedRedis(arguments=arguments) as redis, open_link(redis.url) as link:
        cluster = make_cluster(redis=redis, workers=1)
        client = cluster.connect()
        probe(client)
        big = offered(client, "big", work.big)

        def stats(name: str) -> int:
            return int(facts_of(link.call("INFO", "stats"))[name])

        connections, size = stats("total_connections_received"), 1_000_000
        evictions: list[int] = []
        for first in range(0, 90, 30):
            before = stats("evicted_keys")
            futures = [big.submit(n, size) for n in range(first, first + 30)]
            for n, future in enumerate(futures, first):
                assert future.result(30) == n.to_bytes(8, "big") + bytes(size)
            evictions.append(stats("evicted_keys") - before)
        assert evictions[0] > 10, "results were evicted"
        assert stats("total_connections_received") - connections <= 3, (
            "no one takes a lost result for a deaf connection"
        )
        link.call("CONFIG", "SET", "maxmemory", 0)
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
