"""A client behind a bad link: nothing small waits for what is big, a budget holds, and an idle connection may die."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import simpledist
from simpledist.cluster import Cluster
from tests.faults.functions import work
from tests.faults.history import offered, probe
from tests.faults.proxy import Proxy
from tests.faults.throttle import Throttle
from tests.waiting import wait_until

RATE = 400_000.0
LATE_SECONDS = 2.0


@pytest.fixture
def throttle(cluster: Cluster) -> Iterator[Throttle]:
    cluster.start_worker()
    with Throttle(cluster.url, 0.0) as one:
        yield one
        one.set_rate(0.0)


@pytest.fixture
def behind(throttle: Throttle) -> Iterator[simpledist.Client]:
    """A client on that link, which is fast until the test says otherwise."""
    client = simpledist.connect(throttle.url)
    probe(client)
    yield client
    throttle.set_rate(0.0)
    client.close(wait=False)


@pytest.mark.parametrize("how", ["submit", "a plain call"])
def test_small_calls_do_not_wait_for_a_big_one_on_a_slow_link(
    how: str, throttle: Throttle, behind: simpledist.Client
) -> None:
    throttle.set_rate(RATE)
    data = bytes(4_000_000)  # 10 s and more
    weigh, small = offered(behind, "weigh"), offered(behind, "probe")
    came: list[Any] = []
    call = (lambda: weigh.submit(1, data).result()) if how == "submit" else (lambda: weigh(1, data))
    thread = threading.Thread(target=lambda: came.append(call()), daemon=True)
    thread.start()
    wait_until(lambda: throttle.up.carried > 300_000, 20, "the big call is on its way")
    for n in range(10, 14):
        began = time.monotonic()
        future = small.submit(n)
        assert future.result(10) == n * n
        assert future.info.where == "remote"
        assert small(n + 10) == (n + 10) ** 2
        assert time.monotonic() - began < 4.0, "they wait for a slice or two"
    assert not came
    thread.join(30)
    assert came[0][:2] == (1, len(data))


def test_small_results_do_not_wait_for_a_big_one_on_a_slow_link(throttle: Throttle, behind: simpledist.Client) -> None:
    throttle.set_rate(RATE)
    size = 4_000_000
    big = offered(behind, "big").submit(1, size)
    waiting = threading.Thread(target=big.result, daemon=True)
    waiting.start()
    wait_until(lambda: throttle.down.carried > 300_000, 20, "the big result is on its way")
    began = time.monotonic()
    middle = offered(behind, "big").submit(2, 20_000)
    assert middle.result(10) == (2).to_bytes(8, "big") + bytes(20_000)
    assert (middle.info.where, time.monotonic() - began < 3.0, big.done()) == ("remote", True, False)
    assert big.result(30) == (1).to_bytes(8, "big") + bytes(size)
    assert big.info.where == "remote"
    waiting.join(10)


BUDGET_SECONDS = 1.5
WAYS: dict[str, Callable[[simpledist.Client], Any]] = {
    "a plain call": lambda client: local(client, "work")(1),
    "submit": lambda client: local(client, "work").submit(1).result(),
    "map": lambda client: list(local(client, "work").map(range(3))),
    "join": lambda client: local(client, "work", join=True)(1),
    "cache": lambda client: local(client, "work", cache=60)(1),
    "big arguments": lambda client: local(client, "weigh")(1, bytes(3_000_000)),
    "big arguments of a future": lambda client: local(client, "weigh").submit(1, bytes(3_000_000)).result(),
    "a result": lambda client: local(client, "big")(1, 3_000_000),
}


def local(client: simpledist.Client, name: str, **options: Any) -> Any:
    return offered(client, name, getattr(work, name), timeout=BUDGET_SECONDS, **options)


@pytest.mark.parametrize("rate", [1.0, 5_000.0, 100_000.0])
def test_a_budget_holds_whatever_the_wire_does(rate: float, throttle: Throttle) -> None:
    """On a link that drips, that is slower than the slowest that is meant, and that is just slow."""
    clients = {way: simpledist.connect(throttle.url) for way in WAYS}
    for client in clients.values():
        probe(client)
    throttle.set_rate(rate)
    seconds: dict[str, float] = {}

    def call(way: str) -> None:
        began = time.monotonic()
        WAYS[way](clients[way])
        seconds[way] = time.monotonic() - began

    threads = [threading.Thread(target=call, args=(way,), daemon=True) for way in WAYS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    throttle.set_rate(0.0)
    for client in clients.values():
        client.close(wait=False)
    late = {way: seconds.get(way) for way in WAYS if seconds.get(way, 1e9) > BUDGET_SECONDS + LATE_SECONDS}
    assert not late


@pytest.fixture
def forgotten(cluster: Cluster, proxy: Proxy) -> Iterator[tuple[simpledist.Client, Proxy]]:
    """A client that has served a call, through a router that forgets connections."""
    cluster.start_worker()
    with simpledist.connect(proxy.url) as client:
        probe(client)
        # A plain call with a big argument goes by the command connection, others by that for replies.
        assert offered(client, "weigh")(1, bytes(300_000))[0] == 1
        yield client, proxy


def test_an_idle_client_whose_connections_were_dropped_calls_remotely(
    forgotten: tuple[simpledist.Client, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, proxy = forgotten
    monkeypatch.setattr("simpledist.policy.IDLE_CONNECTION_SECONDS", 0.3)
    wait_until(lambda: is_quiet(proxy), 10, "the client is idle")
    proxy.forget_all()
    assert_calls_travel(client, within=3.0)


def test_silence_on_an_old_connection_is_tried_again_on_a_new_one(
    forgotten: tuple[simpledist.Client, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, proxy = forgotten
    monkeypatch.setattr("simpledist.engine.session.OLD_SECONDS", 0.3)
    wait_until(lambda: is_quiet(proxy), 10, "the client is idle")
    proxy.forget_all()
    assert_calls_travel(client, within=6.0)


def is_quiet(proxy: Proxy) -> bool:
    """Whether nothing was asked for half a second."""
    before = len(proxy.seen)
    end = threading.Event()
    end.wait(0.6)
    return len(proxy.seen) == before


def assert_calls_travel(client: simpledist.Client, *, within: float) -> None:
    began = time.monotonic()
    function = offered(client, "probe")
    assert [function(n) for n in range(3)] == [0, 1, 4], "they ran on the worker"
    assert time.monotonic() - began < within
