"""Fixtures of the verbs' tests: every test runs on fakeredis, on the oldest real Redis and on a newer one.

Time stands still in most of them: the verbs read a clock that the test sets (`Bench.advance`), not Redis TIME.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import fakeredis
import psutil
import pytest

from simpledist.broker import Broker, Keys, Link, scripts
from simpledist.embedded import EmbeddedRedis
from tests import servers, standing
from tests.broker.bench import CLOCK_KEY, Bench, Place
from tests.conftest import LEAVES_KEYS
from tests.key_leaks import key_leaks

FAKE = "fakeredis"


@pytest.fixture(scope="session", params=[FAKE, servers.OLDEST, servers.NEWER])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """One Redis of each kind for all tests of this folder."""
    yield from _place(request.param)


@pytest.fixture(scope="session", params=[servers.OLDEST, servers.NEWER])
def real_place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """One real Redis of each version, for what fakeredis does not know: memory, connections, ACLs."""
    yield from _place(request.param)


def _place(kind: str) -> Iterator[Place]:
    if kind == FAKE:
        pool = cast("Any", fakeredis.FakeRedis(server=fakeredis.FakeServer())).connection_pool
        yield Place(kind, "unix:///nowhere", lambda: pool.connection_class(**pool.connection_kwargs))
        return
    before = set(psutil.Process().children())
    with EmbeddedRedis(servers.server(kind)) as server:
        mine = {process.pid for process in set(psutil.Process().children()) - before}
        standing.roots.update(mine)
        yield Place(kind, server.url, None)
        standing.roots.difference_update(mine)


@pytest.fixture
def bench(place: Place, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """An empty Redis whose verbs read the test's clock; fails a test that leaves a key without TTL behind."""
    yield from _bench(place, request)


@pytest.fixture
def real_bench(real_place: Place, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """As `bench`, on real servers only."""
    yield from _bench(real_place, request)


def _bench(place: Place, request: pytest.FixtureRequest) -> Iterator[Bench]:
    bench = Bench(place)
    yield bench
    try:
        on_purpose = request.node.get_closest_marker(LEAVES_KEYS) is not None
        leaks = [] if on_purpose else key_leaks(bench.link, bench.keys, but=CLOCK_KEY)
    finally:
        bench.close()
    assert not leaks, "\n".join(leaks)


@pytest.fixture
def link(place: Place) -> Iterator[Link]:
    """A bare connection to an empty Redis."""
    yield from emptied(place)


@pytest.fixture
def real_link(real_place: Place) -> Iterator[Link]:
    """As `link`, to real servers only."""
    yield from emptied(real_place)


def emptied(place: Place) -> Iterator[Link]:
    one = place.link()
    one.call("FLUSHALL")
    yield one
    one.close()


@pytest.fixture
def true_time(place: Place) -> Iterator[Broker]:
    """The verbs as the roles run them, by Redis TIME."""
    one = place.link()
    one.call("FLUSHALL")
    yield Broker(one, Keys(), scripts.load())
    one.close()
