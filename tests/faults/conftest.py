"""A cluster that a test may break, the history of its calls, and the probe that ends every test."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster, RoleProcess
from tests import standing
from tests.faults.functions import work
from tests.faults.history import History, probe
from tests.faults.proxy import Proxy
from tests.key_leaks import no_key_stays
from tests.links import open_link

ROOT = Path(__file__).parents[2]
TARGETS = ("tests.faults.functions.work",)

MakeCluster = Callable[..., Cluster]


@contextmanager
def counting_cluster(log: Path, **options: Any) -> Generator[Cluster]:
    """A cluster of the functions in functions/work.py, without a worker unless asked for; no key may stay in it."""
    environment = {work.LOG_VARIABLE: str(log), **options.pop("environment", {})}
    settings: dict[str, Any] = {"workers": 0, "slots": 2, "folder": ROOT, "environment": environment, **options}
    with Cluster(TARGETS, **settings) as cluster:
        yield cluster
        if isinstance(options.get("redis"), str) or cluster.redis.running:
            no_key_stays(cluster.url, cluster.namespace)


@pytest.fixture
def runs_log(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def history(runs_log: Path) -> History:
    return History(runs_log)


@pytest.fixture
def make_cluster(runs_log: Path) -> Iterator[MakeCluster]:
    """Makes clusters of a test's own, ended with it."""
    with ExitStack() as stack:

        def make(**options: Any) -> Cluster:
            return stack.enter_context(counting_cluster(runs_log, **options))

        yield make


@pytest.fixture
def cluster(make_cluster: MakeCluster) -> Cluster:
    return make_cluster()


@pytest.fixture
def link(cluster: Cluster) -> Iterator[Link]:
    with open_link(cluster.url) as one:
        yield one


@pytest.fixture
def client(cluster: Cluster) -> simpledist.Client:
    return cluster.connect()


@pytest.fixture
def proxy(cluster: Cluster) -> Iterator[Proxy]:
    """Between the test's cluster and anyone who is given its URL."""
    with Proxy(cluster.url) as one:
        yield one


@dataclass
class Wires:
    """A cluster whose worker and whose client each speak to Redis through a proxy."""

    cluster: Cluster
    worker: RoleProcess
    worker_proxy: Proxy
    client: simpledist.Client
    client_proxy: Proxy
    history: History
    link: Link
    numbers: Iterator[int]

    def counter(self, name: str) -> int:
        """One of the counters that Redis keeps of `work`."""
        return int(self.link.call("HGET", Keys().named("meta", "work"), name) or 0)

    def let_it_queue(self) -> None:
        """The next lone call goes by its queue: no worker is known to wait for it."""
        self.link.call("HDEL", Keys().named("meta", "work"), "idle")


@pytest.fixture(scope="module")
def wires_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wires]:
    log = tmp_path_factory.mktemp("wires") / "runs"
    with counting_cluster(log) as cluster, Proxy(cluster.url) as workers, Proxy(cluster.url) as clients:
        worker = cluster.start_worker(arguments=["--redis", workers.url])
        standing.roots.add(worker.pid)
        with open_link(cluster.url) as link, cluster.connect() as client:
            yield Wires(cluster, worker, workers, client, clients, History(log), link, iter(range(1, 10**6, 7)))
        worker.stop()
        standing.roots.discard(worker.pid)


@pytest.fixture
def wires(wires_of_module: Wires) -> Iterator[Wires]:
    """A worker and a client whose replies a test may spoil; the worker is shared, so it must be whole again."""
    with simpledist.connect(wires_of_module.client_proxy.url) as client:
        probe(client)
        yield replace(wires_of_module, client=client, history=History(wires_of_module.history.log))
        for proxy in (wires_of_module.worker_proxy, wires_of_module.client_proxy):
            proxy.relent()
            proxy.struck.clear()
        probe(client)
