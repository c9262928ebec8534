"""Values over 64 KB, which travel beside the scripts and in pieces: through Redis, a worker's parent and its child."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest

import simpledist
from simpledist.cluster import Cluster
from simpledist.policy import TIMINGS
from simpledist.wire.key_file import new_secret
from tests import standing
from tests.integration.conftest import FUNCTIONS

LOCAL = "here"
SIZES = (64 * 1024 - 200, 64 * 1024, 64 * 1024 + 1, 1_000_000, 4 * 1024 * 1024, 9_000_001)


def here(*_: Any) -> Any:
    return LOCAL


@pytest.fixture(scope="module", params=["no key", "key"])
def signed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    secret = None
    if request.param == "key":
        secret = tmp_path_factory.mktemp("key") / "secret"
        secret.write_text(new_secret())
        secret.chmod(0o600)
    with Cluster("farm", slots=2, folder=FUNCTIONS, secret_file=str(secret) if secret else None) as one:
        pids = {worker.pid for worker in one.workers}
        standing.roots.update(pids)
        yield one
        standing.roots.difference_update(pids)


@pytest.fixture
def echo(signed: Cluster) -> Iterator[Any]:
    with signed.connect() as client:
        yield simpledist.worker_function(client, "echo", here)


@pytest.mark.parametrize("size", SIZES)
def test_bytes_of_any_size_come_back(echo: Any, size: int) -> None:
    value = secrets.token_bytes(size)
    assert echo(value) == value


def test_arrays_come_back_and_can_be_written_to(echo: Any) -> None:
    array: Any = numpy.ones((1000, 1000))
    back = echo(array)
    assert (back == array).all()
    back[0, 0] = 1.0


def test_an_array_may_be_used_again_after_submit(echo: Any) -> None:
    array, futures = numpy.zeros(100_000), list[Any]()
    for i in range(5):
        array[:] = i
        futures.append(echo.submit(array))
    assert [future.result(30)[0] for future in futures] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert {future.info.where for future in futures} == {"remote"}


def test_many_at_once_keep_their_order(echo: Any) -> None:
    values = [secrets.token_bytes(300_000) for _ in range(20)]
    assert list(echo.map(values)) == values


def test_nested_lists_and_text_come_back(echo: Any) -> None:
    value = {"rows": [[i, float(i), str(i)] for i in range(100_000)], "text": "é" * 500_000}
    assert echo(value) == value


def test_an_exception_with_a_big_argument_comes_back(signed: Cluster) -> None:
    with signed.connect() as client:
        throw: Any = simpledist.worker_function(client, "raise_with", here)
        with pytest.raises(ValueError, match="x") as raised:
            throw("x" * 200_000)
    assert raised.value.args == ("x" * 200_000,)


def test_json_takes_big_values_too(signed: Cluster) -> None:
    with signed.connect(codec="json") as client:
        echo: Any = simpledist.worker_function(client, "echo", here)
        value = [[i, str(i)] for i in range(50_000)]
        assert echo(value) == value


def test_a_killed_child_costs_a_big_call_one_attempt(signed: Cluster, tmp_path: Path) -> None:
    with signed.connect() as client:
        once: Any = simpledist.worker_function(client, "die_once_with", here)
        future = once.submit(str(tmp_path / "died"), b"x" * 3_000_000)
        assert future.result(30) == b"x" * 3_000_000
        assert future.info is not None
        assert (future.info.where, future.info.attempts) == ("remote", 2)


def test_a_big_result_does_not_wait_for_the_workers_next_heartbeat(echo: Any) -> None:
    value = secrets.token_bytes(300_000)
    took: list[float] = []
    for _ in range(6):
        began = time.monotonic()
        assert echo(value) == value
        took.append(time.monotonic() - began)
    assert min(took[1:]) < TIMINGS.beat_seconds / 2  # each of them had to wait, and for nearly all of it
