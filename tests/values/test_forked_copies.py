"""A job that forks: its copy never answers for it, and leaves as it would in a plain program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.cluster import Cluster
from simpledist.engine import throwaway
from tests.values.functions import copying
from tests.waiting import wait_until


def _not_here(*_: Any) -> Any:
    raise AssertionError("it ran at its client")


def _same(value: int) -> int:
    return value


def remote(client: simpledist.Client, name: str) -> simpledist.WorkerFunction[..., Any]:
    return simpledist.worker_function(client, name, _not_here)


def innocent_calls(client: simpledist.Client) -> None:
    """Calls that would meet a copy that reads their channel: big ones and small ones, in batches and alone."""
    echo = remote(client, "echo")
    values = [bytes([n]) * (300_000 if n % 2 else 300) for n in range(10)]
    futures = [echo.submit(value) for value in values]
    assert [future.result(20) for future in futures] == values
    assert list(echo.map(range(200))) == list(range(200))


@pytest.mark.parametrize(
    ("name", "args", "value"),
    [
        ("exits", (7, 0), (7, 0)),
        ("exits", (7, 5), (7, 5)),
        ("raises", (7,), (7, 1)),
        ("returns_twice", (7,), 7),
        ("says_goodbye", (7,), 7),
        ("forks_in_a_thread", (7,), 7),
        ("forks_a_terminal", (7,), 7),
        ("forks_in_c", (7,), 7),
        ("raises_in_c", (7,), 7),
        ("stops_its_copy", (7,), (7, -15)),
        ("by_multiprocessing", (4,), [0, 1, 4, 9]),
    ],
)
def test_a_caller_gets_the_outcome_of_the_original(
    client: simpledist.Client, name: str, args: tuple[Any, ...], value: Any
) -> None:
    function = remote(client, name)
    assert function(*args) == value
    assert function.submit(*args).result(20) == value
    innocent_calls(client)


def test_a_copy_that_is_made_while_the_result_is_pickled_answers_for_nothing(client: simpledist.Client) -> None:
    function = simpledist.worker_function(client, "forks_on_its_way", _same)
    for value in range(3):
        assert function(value) == value
    innocent_calls(client)


def test_a_copy_that_returns_adds_no_part_to_a_batch(client: simpledist.Client) -> None:
    assert list(remote(client, "returns_twice").map(range(40), chunksize=20)) == list(range(40))
    assert list(remote(client, "returns_with_status").map(range(20), chunksize=20)) == [(n, 0) for n in range(20)]
    assert list(remote(client, "raises").map(range(20), chunksize=20)) == [(n, 1) for n in range(20)]
    innocent_calls(client)


def test_a_copy_says_what_it_would_say_in_a_plain_program(cluster: Cluster, client: simpledist.Client) -> None:
    worker = cluster.workers[0]
    assert remote(client, "says_goodbye")(1) == 1
    wait_until(lambda: "last words" in worker.stderr_text(), 5, "what it exits with")
    wait_until(lambda: "left in the buffer" in worker.stderr_text(), 5, "what it had not written yet")
    assert remote(client, "raises")(1) == (1, 1)
    wait_until(lambda: "ZeroDivisionError" in worker.stderr_text(), 5, "its traceback")
    assert "wire/running.py" not in worker.stderr_text()


def test_a_copy_that_outlives_its_job_disturbs_no_one(
    cluster: Cluster, client: simpledist.Client, tmp_path: Path
) -> None:
    until = tmp_path / "until"
    assert remote(client, "outlives")(3, str(until)) == 3
    innocent_calls(client)
    until.touch()
    wait_until(lambda: "long after" in cluster.workers[0].stderr_text(), 10, "the copy's own end")
    innocent_calls(client)


@pytest.mark.parametrize(
    ("function", "value"),
    [(copying.returns_twice, 3), (copying.by_multiprocessing, [0, 1, 4]), (copying.raises, (3, 1))],
)
def test_the_throw_away_child_does_not_take_its_copys_word(function: Callable[[int], Any], value: Any) -> None:
    assert throwaway.run("f", function, (3,), {}, why="crashed") == value


def test_the_throw_away_child_does_not_wait_for_a_copy_that_lives_on(tmp_path: Path) -> None:
    until = tmp_path / "until"
    assert throwaway.run("f", copying.outlives, (3, str(until)), {}, why="crashed") == 3
    until.touch()
