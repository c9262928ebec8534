"""Blobs that are lost, forged or never whole: whoever dies, and whatever Redis has, each call comes to its value."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import pytest

import simpledist
from simpledist import faultpoints
from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster
from simpledist.code.archive_format import name_of
from tests.faults.functions import work
from tests.faults.history import offered, probe
from tests.links import open_link
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
BYTES = 2_000_000

# Shares what a second run of it shares, too.
PROGRAM = """
import sys
import simpledist
from tests.faults.functions import work

with simpledist.connect(sys.argv[1]) as client:
    table = client.share({n: str(n) * 1000 for n in range(5000)})
    function = simpledist.worker_function(client, "looked_up", work.looked_up)
    future = function.submit(7, table)
    print(future.result()[:2], future.info.where)
"""


def array() -> Any:
    return numpy.frombuffer(bytearray(os.urandom(BYTES)), numpy.uint8)


def due(n: int, one: Any) -> Any:
    return work.altered(n, one.copy())


def keys_of_blobs(link: Link) -> list[bytes]:
    found: list[bytes] = link.call("KEYS", Keys().named("blob", "*"))
    return found


def all_come(client: simpledist.Client, one: Any, table: dict[int, str], numbers: range) -> Counter[str]:
    """Calls with an array, which they write to, and with a table; return where they ran, or why here."""
    altered = offered(client, "altered", work.altered)
    looked_up = offered(client, "looked_up", work.looked_up)
    futures = [(n, altered.submit(n, one), looked_up.submit(n, table)) for n in numbers]
    for n, first, second in futures:
        assert first.result(60) == due(n, one)
        assert second.result(60) == work.looked_up(n, table)
    return Counter(one.info.why or one.info.where for _, *both in futures for one in both)


@pytest.fixture
def table(client: simpledist.Client) -> dict[int, str]:
    return client.share({n: str(n) for n in range(5000)})


# --- who dies --------------------------------------------------------------------------------------------------------


def test_a_client_killed_while_it_puts_is_in_no_ones_way(cluster: Cluster, link: Link) -> None:
    cluster.start_worker()

    def run(fault: str = "") -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, faultpoints.VARIABLE: fault}
        command = [sys.executable, "-c", PROGRAM, cluster.url]
        return subprocess.run(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, timeout=60, check=False
        )

    killed = run("upload.slice:kill@3")
    assert (killed.returncode, killed.stdout) == (-9, "")
    assert keys_of_blobs(link) == []
    assert link.call("KEYS", Keys().named("slices", "*")), "it was amid them"
    assert run().stdout == "(7, 5000) remote\n"
    (key,) = keys_of_blobs(link)
    data: bytes = link.call("GET", key)
    assert name_of(data) == key.decode().split(":")[2]


@pytest.mark.parametrize("turn", [1, 2])
def test_a_worker_killed_while_it_fetches_loses_nothing(
    cluster: Cluster, client: simpledist.Client, table: dict[int, str], turn: int
) -> None:
    victim = cluster.start_worker(environment={faultpoints.VARIABLE: f"worker.fetched:kill@{turn}"})
    came: list[Counter[str]] = []
    calls = threading.Thread(target=lambda: came.append(all_come(client, array(), table, range(4))))
    calls.start()
    wait_until(lambda: not victim.running, 20, "it is killed at its point")
    cluster.start_worker()
    calls.join()
    assert came
    probe(client)


# --- what Redis loses ------------------------------------------------------------------------------------------------


@contextmanager
def evicting(url: str) -> Generator[Callable[[], int]]:
    """Delete every blob all the time; yields what tells how many it were."""
    over, deleted = threading.Event(), [0]

    def evict() -> None:
        with open_link(url) as link:
            while not over.is_set():
                for key in keys_of_blobs(link):
                    deleted[0] += int(link.call("DEL", key))

    thread = threading.Thread(target=evict)
    thread.start()
    try:
        yield lambda: deleted[0]
    finally:
        over.set()
        thread.join()


def test_evicted_at_every_moment_each_call_has_its_value(
    cluster: Cluster, client: simpledist.Client, table: dict[int, str]
) -> None:
    cluster.start_worker()
    with evicting(cluster.url) as deleted:
        for first in range(0, 20, 10):
            one = array()
            assert all_come(client, one, table, range(first, first + 10)).keys() <= {"remote"}
            cluster.start_worker()
            cluster.workers[-2].stop()
    assert deleted() >= 2
    probe(client)


@pytest.mark.parametrize("point", ["client.submitting", "client.submitted"])
def test_evicted_at_a_point_of_the_clients_way(cluster: Cluster, link: Link, point: str) -> None:
    """The client waits there, with its blob put and its call not sent, or just sent, and the blob goes."""
    cluster.start_worker()
    environment = {**os.environ, faultpoints.VARIABLE: f"{point}:pause=2"}
    command = [sys.executable, "-c", PROGRAM, cluster.url]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        wait_until(lambda: bool(keys_of_blobs(link)), 30, "it is put")
        link.call("DEL", *keys_of_blobs(link))
        assert process.communicate(timeout=60)[0] == "(7, 5000) remote\n"


def test_a_full_redis_is_no_hang_and_no_other_value(
    cluster: Cluster, client: simpledist.Client, link: Link, table: dict[int, str]
) -> None:
    cluster.start_worker()
    probe(client)
    one = array()
    link.call("CONFIG", "SET", "maxmemory", 1_000_000)
    for first in (0, 4):
        all_come(client, one, table, range(first, first + 4))
    link.call("CONFIG", "SET", "maxmemory", 0)
    probe(client)
    wait_until(lambda: all_come(client, one, table, range(2)).keys() == {"remote"}, 30, "calls travel again")


# --- what another user of Redis puts there ---------------------------------------------------------------------------


def test_what_is_forged_is_refused_and_put_again(
    cluster: Cluster, client: simpledist.Client, link: Link, table: dict[int, str]
) -> None:
    cluster.start_worker()
    one = array()
    all_come(client, one, table, range(3))
    keys = keys_of_blobs(link)
    assert len(keys) == 2
    for forge in (_other_bytes, _cut_short, _of_another_type):
        for key in keys:
            forge(link, key)
        cluster.start_worker()
        cluster.workers[-2].stop()
        assert all_come(client, one, table, range(3)).keys() == {"remote"}
        for key in keys:
            data: bytes = link.call("GET", key)
            assert name_of(data) == key.decode().split(":")[2]


def _other_bytes(link: Link, key: bytes) -> None:
    link.call("SETRANGE", key, 5000, b"\0forged\0")


def _cut_short(link: Link, key: bytes) -> None:
    link.call("SET", key, bytes(link.call("GETRANGE", key, 0, 9999)), "PX", 60_000)


def _of_another_type(link: Link, key: bytes) -> None:
    link.call("DEL", key)
    link.call("HSET", key, "a", "b")
    link.call("PEXPIRE", key, 60_000)


# --- how often it is fetched -----------------------------------------------------------------------------------------


def test_a_host_with_eight_slots_fetches_it_once(cluster: Cluster, client: simpledist.Client, link: Link) -> None:
    cluster.start_worker(arguments=["--slots", "8"])
    one, altered = array(), offered(client, "altered", work.altered)
    assert altered(1, one) == due(1, one)
    link.call("CONFIG", "RESETSTAT")
    futures = [altered.submit(n, one) for n in range(40)]
    assert [future.result(60) for future in futures] == [due(n, one) for n in range(40)]
    read = _output_bytes(link)
    assert BYTES <= read < 1.3 * BYTES
    assert len(keys_of_blobs(link)) == 1


def _output_bytes(link: Link) -> int:
    text: bytes = link.call("INFO", "stats")
    return int(text.decode().partition("total_net_output_bytes:")[2].split()[0])
