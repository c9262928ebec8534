"""policy= of a worker function: calls that travel, that stay, and that go where it costs less."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

import simpledist
from simpledist.errors import ConfigurationError

LOCAL = "local"


def here(*_: Any) -> str:
    return LOCAL


def same(n: int) -> int:
    return n


def inverse_of(n: int) -> float:
    return 1 / (n - 5)


def doze(n: int) -> int:
    time.sleep(0.02)
    return n


def offered(client: simpledist.Client, name: str, policy: Any, local: Any = here) -> Any:
    return simpledist.worker_function(client, name, local, policy=policy)


def test_local_calls_stay(client: simpledist.Client) -> None:
    echo = offered(client, "echo", "local")
    assert echo(1) == LOCAL
    future = echo.submit(1)
    assert future.result(5) == LOCAL
    assert future.info.why == "local"
    assert list(echo.map(range(5))) == [LOCAL] * 5


def test_auto_keeps_short_calls_here_once_they_are_known(client: simpledist.Client) -> None:
    echo = offered(client, "echo", "auto")
    found = Counter(echo(n) == LOCAL for n in range(200))
    assert found[False] >= 1, "the first one travels: no one knows yet"
    assert found[True] > 150
    future = echo.submit(1)
    assert future.result(5) == LOCAL
    assert future.info.why == "cheaper"


def test_auto_sends_long_calls(client: simpledist.Client) -> None:
    sleep = offered(client, "sleep", "auto")
    assert [sleep(0.02) for _ in range(5)] == [0.02] * 5
    assert list(sleep.map([0.02] * 6)) == [0.02] * 6


def test_an_auto_map_of_tiny_calls_runs_here_in_order(client: simpledist.Client) -> None:
    echo = offered(client, "echo", "auto", same)
    assert list(echo.map(range(20_000))) == list(range(20_000))


def test_exceptions_of_a_map_that_runs_here_stand_at_their_place(client: simpledist.Client) -> None:
    inverse = offered(client, "nobody", "local", inverse_of)
    outcomes = inverse.map(range(10))
    assert [next(outcomes) for _ in range(5)] == [inverse_of(n) for n in range(5)]
    with pytest.raises(ZeroDivisionError):
        next(outcomes)
    assert list(outcomes) == [inverse_of(n) for n in range(6, 10)]


def test_a_map_that_runs_here_looks_at_the_time(client: simpledist.Client) -> None:
    """The consumer gets its first values long before the last call has run."""
    slow = offered(client, "nobody", "local", doze)
    began = time.monotonic()
    outcomes = slow.map(range(100))
    assert next(outcomes) == 0
    assert time.monotonic() - began < 0.5
    outcomes.close()
    assert list(outcomes) == []


def test_a_policy_has_one_of_three_names(client: simpledist.Client) -> None:
    with pytest.raises(ConfigurationError, match="policy"):
        offered(client, "echo", "sometimes")
