"""Fixtures of every test: a private Redis, and the watch over what a test leaves behind."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import simpledist
from simpledist.cluster import Cluster
from simpledist.embedded import EmbeddedRedis
from simpledist.wire.key_file import new_secret
from tests import servers, standing
from tests.descendants import descendants
from tests.key_leaks import no_key_stays
from tests.links import open_link
from tests.sources import Sources
from tests.waiting import wait_until

os.environ.setdefault("SIMPLEDIST_LOCK_ORDER", "1")  # before a client is loaded, here and in programs of tests

# pytest-xdist sets sizes, and the terminals of tests have their own; a pytest that a test starts has its own options.
for name in ("COLUMNS", "LINES", "PYTEST_ADDOPTS"):
    os.environ.pop(name, None)

LEAVES_KEYS = "leaves_keys"

# Servers of a module's tests, which may start them again: not a leak.
_standing: list[EmbeddedRedis] = []


# What this session reads of sources is kept for its workers, and goes with it.
_cache = tempfile.mkdtemp(prefix="simpledist-tests-cache-")


def pytest_configure(config: pytest.Config) -> None:
    os.environ["XDG_CACHE_HOME"] = _cache
    if not hasattr(config, "workerinput"):
        _make_key()
    config.addinivalue_line("markers", f"{LEAVES_KEYS}: the test puts keys of its own into Redis on purpose")
    # What a shell starts in the background ignores Ctrl-C, what nohup starts SIGHUP: so would all that tests start.
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


def _make_key() -> None:
    """Have a key as a user's processes have one, for this session alone; pytest-xdist's workers get it from here."""
    os.environ["XDG_CONFIG_HOME"] = os.path.join(_cache, "config")
    file = Path(os.environ["XDG_CONFIG_HOME"]) / "simpledist" / "key"
    file.parent.mkdir(parents=True)
    file.touch(0o600)
    file.write_text(new_secret())


def pytest_unconfigure() -> None:
    shutil.rmtree(_cache, ignore_errors=True)


@pytest.fixture
def sources(tmp_path: Path) -> Iterator[Sources]:
    """A folder on the path for packages that the test writes; their byte code is not kept, for they change quickly."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    one = Sources(tmp_path / "sources")
    yield one
    one.close()
    sys.dont_write_bytecode = before


@pytest.fixture(scope="module")
def redis_of_module() -> Iterator[EmbeddedRedis]:
    """One server for a module's tests; take `redis_server` instead."""
    yield from _stand(EmbeddedRedis())


@pytest.fixture
def redis_server(redis_of_module: EmbeddedRedis, request: pytest.FixtureRequest) -> Iterator[EmbeddedRedis]:
    """A running, empty Redis of the default kind; the test may stop and start it."""
    yield from _fresh(redis_of_module, request)


@pytest.fixture(scope="module", params=[servers.OLDEST, servers.NEWER])
def redis_version_of_module(request: pytest.FixtureRequest) -> Iterator[EmbeddedRedis]:
    """One server of each version for a module's tests; take `redis_version_server` instead."""
    yield from _stand(EmbeddedRedis(servers.server(request.param)))


@pytest.fixture
def redis_version_server(
    redis_version_of_module: EmbeddedRedis, request: pytest.FixtureRequest
) -> Iterator[EmbeddedRedis]:
    """A running, empty Redis: the test runs once on 6.2 and once on a newer one."""
    yield from _fresh(redis_version_of_module, request)


def _stand(server: EmbeddedRedis) -> Iterator[EmbeddedRedis]:
    with server:
        _standing.append(server)
        yield server
        _standing.remove(server)


def _fresh(server: EmbeddedRedis, request: pytest.FixtureRequest) -> Iterator[EmbeddedRedis]:
    server.start()
    with open_link(server.url) as link:
        link.call("FLUSHALL")
    yield server
    if server.running and request.node.get_closest_marker(LEAVES_KEYS) is None:
        no_key_stays(server.url)


@pytest.fixture
def client(cluster: Cluster) -> Iterator[simpledist.Client]:
    """A client of the cluster that this folder's tests share."""
    with cluster.connect() as one:
        yield one


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fails a test that leaves a process or one of our threads behind."""
    processes_before = _children()
    threads_before = set(threading.enumerate())

    yield

    def new() -> list[str]:
        processes = [str(one) for one in _children() - processes_before if not _belongs_to(one, processes_before)]
        threads = [
            str(one)
            for one in set(threading.enumerate()) - threads_before
            if one.name.startswith("simpledist") and one.is_alive()
        ]
        return processes + threads

    try:
        wait_until(lambda: not new(), 6.0, "the end of what the test started")  # a client's idle threads stay 5 s
    except AssertionError:
        pytest.fail(f"left behind: {new()}", pytrace=False)


def _belongs_to(process: psutil.Process, others: set[psutil.Process]) -> bool:
    """Whether it is gone, or was started by one of `others`: a worker of the module replaces its children."""
    try:
        return not process.is_running() or not others.isdisjoint(process.parents())
    except psutil.Error:
        return True


def _children() -> set[psutil.Process]:
    """All processes below this one, but for standing servers (and their keepers) and the interpreter's own."""
    found: set[psutil.Process] = set()
    servers_standing = {str(server.pid) for server in _standing if server.running}
    for child in descendants():
        try:
            words = {str(child.pid), *child.cmdline()}
            above = {child.pid, *(one.pid for one in child.parents())}
        except psutil.Error:
            continue
        if not standing.roots.isdisjoint(above):
            continue
        if servers_standing.isdisjoint(words) and not any(word.startswith("from multiprocessing.") for word in words):
            found.add(child)
    return found
