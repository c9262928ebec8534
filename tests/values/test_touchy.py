"""A call whose values raise KeyboardInterrupt, SystemExit or GeneratorExit while they travel runs at the client."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import as_completed
from typing import Any

import pytest

import simpledist
from tests.values.functions import touchy
from tests.values.functions.touchy import Clinging, Touchy

KINDS = ["interrupt", "system", "generator"]
HERE = os.getpid()


def of(client: simpledist.Client, name: str) -> simpledist.WorkerFunction[..., Any]:
    return simpledist.worker_function(client, name, getattr(touchy, name))


@pytest.mark.parametrize("what", KINDS)
def test_a_result_that_raises_where_it_is_decoded_is_made_here(client: simpledist.Client, what: str) -> None:
    function = of(client, "touchy")
    assert type(function(what, HERE)) is Touchy
    future = function.submit(what, HERE)
    assert type(future.result(30)) is Touchy
    assert future.info is not None
    assert (future.info.where, future.info.why) == ("local", "undecodable")


@pytest.mark.parametrize("what", KINDS)
def test_an_argument_that_raises_where_it_is_encoded_ends_no_program(client: simpledist.Client, what: str) -> None:
    function = of(client, "clinging")
    assert function(Clinging(what)) == what
    assert list(function.map([Clinging(what)] * 2)) == [what] * 2
    future = function.submit(Clinging(what))
    assert future.result(30) == what
    assert future.info is not None
    assert (future.info.where, future.info.why) == ("local", "unserialisable")
    with client.executor() as executor:
        assert executor.submit(touchy.clinging, Clinging(what)).result(30) == what


@pytest.mark.parametrize("what", KINDS)
def test_an_exception_that_raises_where_it_is_decoded_is_raised_here(client: simpledist.Client, what: str) -> None:
    with pytest.raises(ValueError, match="Touchy"):
        of(client, "touchy_error")(what, HERE)
    assert type(of(client, "touchy_error").submit(what, HERE).exception(30)) is ValueError


@pytest.mark.parametrize("chunksize", [1, 4])
def test_each_call_of_a_map_has_its_own_outcome(client: simpledist.Client, chunksize: int) -> None:
    kinds = [*KINDS, "fine"] * 3
    homes = [HERE if what != "fine" else 0 for what in kinds]
    values = list(of(client, "touchy").map(kinds, homes, chunksize=chunksize))
    assert [value.what for value in values] == kinds


def test_callbacks_as_completed_and_executors_get_one_outcome(client: simpledist.Client) -> None:
    function = of(client, "touchy")
    heard: list[str] = []
    all_heard = threading.Event()

    def hear(future: Any) -> None:
        heard.append(future.result().what)
        if len(heard) == len(KINDS):
            all_heard.set()

    for what in KINDS:
        function.submit(what, HERE).add_done_callback(hear)
    assert all_heard.wait(30)
    assert sorted(heard) == sorted(KINDS)
    futures = [function.submit(what, HERE) for what in KINDS]
    assert sorted(one.result().what for one in as_completed(futures, 30)) == sorted(KINDS)
    with client.executor() as executor:
        assert [executor.submit(function, what, HERE).result(30).what for what in KINDS] == KINDS


def test_who_awaits_gets_one_outcome(client: simpledist.Client) -> None:
    async def wait() -> list[str]:
        futures = [of(client, "touchy").submit(what, HERE) for what in KINDS]
        return [(await asyncio.wait_for(asyncio.wrap_future(one), 30)).what for one in futures] + [
            (await of(client, "touchy").submit(what, HERE)).what for what in KINDS
        ]

    assert asyncio.run(wait()) == KINDS * 2
