"""A thread of plain calls reads its own replies; whatever comes between, each call gets its own outcome, soon."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import simpledist
from tests.integration.functions import farm

HERE = "here"


def offered(client: simpledist.Client, name: str) -> Callable[..., Any]:
    return simpledist.worker_function(client, name, lambda *_: HERE)


def test_a_call_that_takes_longer_is_left_to_the_listener_and_not_to_the_next_nudge(client: simpledist.Client) -> None:
    sleep, echo = offered(client, "sleep"), offered(client, "echo")
    seconds: list[float] = []
    for _ in range(5):
        assert [echo(i) for i in range(3)] == [0, 1, 2]
        began = time.monotonic()
        assert sleep(0.1) == 0.1
        seconds.append(time.monotonic() - began)
    assert min(seconds) < 0.5


def test_plain_calls_of_many_threads_and_futures_between_them_each_get_their_own(client: simpledist.Client) -> None:
    echo: Any = simpledist.worker_function(client, "echo", farm.echo)
    wrong: list[object] = []

    def work(first: int) -> None:
        for i in range(first, first + 40):
            futures = [echo.submit(-i), echo.submit(i + 0.5)]
            if echo(i) != i or [one.result(30) for one in futures] != [-i, i + 0.5]:
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(1000 * n,)) for n in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert not any(one.is_alive() for one in threads)
    assert wrong == []
