"""Arguments that change after the call was made: it is run with what it was given, on a worker and here alike."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import simpledist
from simpledist.cluster import Cluster
from simpledist.engine import argument_snapshot

EXPECTED = [0, 1, 2, 3, 4]


def total(buffer: Any) -> int:
    return int(sum(buffer))


def in_a_list() -> Iterator[list[int]]:
    buffer = [0]
    for n in EXPECTED:
        buffer[0] = n
        yield buffer


def in_an_array() -> Iterator[Any]:
    buffer = np.zeros(20_000)
    for n in EXPECTED:
        buffer[0] = n
        yield buffer


def in_bytes() -> Iterator[bytearray]:
    buffer = bytearray(100_000)
    for n in EXPECTED:
        buffer[0] = n
        yield buffer


def behind_a_read_only_view() -> Iterator[Any]:
    buffer = np.zeros(20_000)
    view = buffer[:]
    view.flags.writeable = False
    for n in EXPECTED:
        buffer[0] = n
        yield view


def in_a_tuple() -> Iterator[tuple[Any, ...]]:
    buffer = {0: 0}
    for n in EXPECTED:
        buffer.clear()
        buffer[n] = n
        yield (*buffer,)


def in_a_deque() -> Iterator[Any]:
    buffer = collections.deque([0])
    for n in EXPECTED:
        buffer[0] = n
        yield buffer


GENERATORS = [in_a_list, in_an_array, in_bytes, behind_a_read_only_view, in_a_tuple, in_a_deque]


@pytest.fixture(params=["worker", "no worker", "closed", "redis away"])
def client(request: pytest.FixtureRequest, cluster: Cluster, own_cluster: Cluster) -> Iterator[simpledist.Client]:
    where = own_cluster if request.param in ("no worker", "redis away") else cluster
    with where.connect() as client:
        if request.param == "redis away":
            own_cluster.redis.stop()
        if request.param == "closed":
            client.close()
        yield client


def ways(client: simpledist.Client, items: Callable[[], Iterator[Any]]) -> dict[str, list[int]]:
    function = simpledist.worker_function(client, "total", total)
    pool = client.executor()
    return {
        "plain": [function(one) for one in items()],
        "submit": [future.result(30) for future in [function.submit(one) for one in items()]],
        "keyword": [future.result(30) for future in [function.submit(buffer=one) for one in items()]],
        "map": list(function.map(items())),
        "batches": list(function.map(items(), chunksize=2)),
        "executor": [future.result(30) for future in [pool.submit(total, one) for one in items()]],
        "executor's map": list(pool.map(total, items())),
        "executor's batches": list(pool.map(total, items(), chunksize=2)),
    }


@pytest.mark.parametrize("items", GENERATORS)
def test_a_reused_buffer_gives_what_the_builtin_map_gives(
    client: simpledist.Client, items: Callable[[], Iterator[Any]]
) -> None:
    came = ways(client, items)
    assert came == dict.fromkeys(came, EXPECTED)


@pytest.mark.parametrize("policy", ["auto", "local", "remote"])
def test_whatever_the_policy(client: simpledist.Client, policy: Any) -> None:
    function = simpledist.worker_function(client, "total", total, policy=policy)
    for _ in range(3):
        assert [future.result(30) for future in [function.submit(one) for one in in_a_list()]] == EXPECTED
        assert list(function.map(in_a_list())) == EXPECTED


@pytest.mark.parametrize("codec", ["pickle", "json"])
def test_whatever_the_codec(client: simpledist.Client, codec: str) -> None:
    function = simpledist.worker_function(client, "total", total, codec=codec)
    assert [future.result(30) for future in [function.submit(one) for one in in_a_list()]] == EXPECTED
    assert [future.result(30) for future in [function.submit(one) for one in in_a_deque()]] == EXPECTED


def test_a_list_that_is_changed_between_the_submit_and_its_local_run(own_cluster: Cluster) -> None:
    with own_cluster.connect() as client:
        function = simpledist.worker_function(client, "total", total)
        lists = [[n] for n in EXPECTED]
        outcomes = function.map(lists, chunksize=2)
        futures = [function.submit(one) for one in lists]
        for one in lists:
            one[0] = 100
        assert [future.result(30) for future in futures] == EXPECTED
        assert list(outcomes) == EXPECTED


def test_what_kills_its_process_gets_what_was_sent_in_the_throw_away_child(cluster: Cluster) -> None:
    with cluster.connect() as client:
        values = ["exit"]
        future = simpledist.worker_function(client, "die", deadly).submit(values)
        values[0] = "changed"
        assert future.result(60) == "exit"
        assert future.info is not None
        assert future.info.why == "crashed"


def deadly(values: list[str]) -> str:
    return values[0]


def test_a_cached_call_is_kept_under_what_it_was_given(cluster: Cluster) -> None:
    with cluster.connect() as client:
        function = simpledist.worker_function(client, "total", total, cache=60)
        assert [future.result(30) for future in [function.submit(one) for one in in_a_list()]] == EXPECTED
        assert [function([n]) for n in reversed(EXPECTED)] == list(reversed(EXPECTED))
        function.cache_clear()


def test_the_own_function_runs_here_with_what_it_closes_over(own_cluster: Cluster) -> None:
    with own_cluster.connect() as client:
        seen: list[int] = []

        def note(values: list[int]) -> None:
            seen.extend(values)

        client.executor().submit(note, [1, 2]).result(30)
        assert seen == [1, 2]


def given(*values: Any) -> tuple[Any, ...]:
    return values


def test_what_cannot_change_is_not_copied(own_cluster: Cluster) -> None:
    data = bytes(1000)
    frozen = np.frombuffer(data, dtype="u1")
    with own_cluster.connect() as client:
        same = simpledist.worker_function(client, "same", given)
        got = same.submit(data, "text", (1, data), frozen).result(30)
        assert got[0] is data
        assert got[3] is frozen


@pytest.mark.parametrize("value", [1, 1.5, "a", b"a", None, (1, ("a",)), frozenset((1, 2)), range(3), int, len, total])
def test_unchanging(value: Any) -> None:
    assert argument_snapshot.unchanging((value,), {"name": value})


@pytest.mark.parametrize(
    "value", [[1], {}, set[int](), bytearray(1), (1, [2]), object(), np.zeros(1), lambda: in_a_list]
)
def test_what_can_change(value: Any) -> None:
    closure = (lambda: value) if callable(value) else value
    assert not argument_snapshot.unchanging((closure,))
    assert not argument_snapshot.unchanging((), {"name": closure})
