"""What clients, functions and futures show of themselves in a notebook: useful, and never anybody's markup."""

from __future__ import annotations

import re
from typing import Any

import simpledist
from tests.integration.functions import farm
from tests.waiting import wait_until

EVIL = "<script>alert(1)</script>"


class Evil:
    def __repr__(self) -> str:
        return EVIL


class Broken:
    def __repr__(self) -> str:
        raise ValueError


def shown(thing: Any) -> str:
    """Its text, as a reader sees it."""
    markup: str = thing._repr_html_()
    assert "<script" not in markup
    return " ".join(re.sub(r"<[^>]*>", " ", markup).split())


def test_a_client_shows_where_it_is_and_what_workers_offer(client: simpledist.Client) -> None:
    text = shown(client)
    assert client.id in text
    assert "(up)" in text
    assert "fib on 2 slots" in text


def test_a_client_without_redis_says_so() -> None:
    with simpledist.connect("redis://127.0.0.1:1") as client:
        assert "(redis_down)" in shown(client)
    assert "(closed)" in shown(client)


def test_a_password_is_not_shown() -> None:
    with simpledist.connect("redis://:hush@127.0.0.1:1") as client:
        assert "hush" not in shown(client) + repr(client)


def test_a_function_shows_what_it_stands_for(client: simpledist.Client) -> None:
    def local(n: int) -> int:
        """Counts <b>rabbits</b>."""
        return n

    assert "on workers 2 slots" in shown(simpledist.worker_function(client, "fib", local, timeout=3))
    text = shown(simpledist.worker_function(client, "nobody", local, timeout=3))
    assert "none: calls run here" in text
    assert "Counts &lt;b&gt;rabbits&lt;/b&gt;." in text
    assert "timeout 3 s" in text


def test_a_future_shows_its_state_and_then_its_outcome(client: simpledist.Client) -> None:
    future = simpledist.worker_function(client, "sleep", farm.sleep).submit(1.5)
    assert "state queued" in shown(future) or "state running" in shown(future)
    wait_until(lambda: "state running" in shown(future), 3, "a nudge says that it runs")
    assert ": running>" in repr(future)
    assert future.result(30) == 1.5
    text = shown(future)
    assert "state succeeded" in text
    assert "value 1.5" in text
    assert re.search(r"where worker w\w+", text)
    assert re.search(r"ran 1\.\d+ s", text)


def test_a_failed_and_a_cancelled_future_say_so(client: simpledist.Client) -> None:
    failed = simpledist.worker_function(client, "fail", farm.fail).submit("key")
    assert failed.exception(30) is not None
    assert "raised KeyError(&#x27;key&#x27;)" in shown(failed)
    cancelled = simpledist.worker_function(client, "sleep", farm.sleep).submit(60)
    assert cancelled.cancel()
    assert "state cancelled" in shown(cancelled)


def test_a_call_that_travels_with_its_function_has_its_name(client: simpledist.Client) -> None:
    def own(n: int) -> int:
        return n + 1

    future = simpledist.worker_function(client, "own", own).submit(1)
    assert future.result(30) == 2
    assert future.info is not None
    assert future.info.where == "remote"
    assert repr(future).startswith("<simpledist future of own, job ")
    assert shown(future).startswith("own job ")


def test_no_value_brings_markup_or_an_exception(client: simpledist.Client) -> None:
    def here(kind: type) -> Any:
        return kind()

    nobody = simpledist.worker_function(client, "nobody", here, ship=False)
    evil, broken = nobody.submit(Evil), nobody.submit(Broken)
    evil.wait_done()
    broken.wait_done()
    assert "&lt;script&gt;" in shown(evil)
    assert "where here why no_worker" in shown(evil)
    assert "whose repr raises ValueError" in shown(broken)
